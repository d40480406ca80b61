import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import kafkajs from 'kafkajs';
import { murmur2 } from '#contracts/partition.ts';
import { createPartitioner } from './partitioner.ts';

// From the tests of the Java client, UtilsTest.testMurmur2.
test.each([
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
])('hashes %j as Java does', (text, hash) => {
  expect(murmur2(Buffer.from(text))).toBe(hash);
});

test('chooses the partition that kafkajs chooses, for any key and number of partitions', () => {
  const ours = createPartitioner();
  const theirs = kafkajs.Partitioners.DefaultPartitioner();
  fc.assert(
    fc.property(
      fc.oneof(fc.nat({ max: Number.MAX_SAFE_INTEGER }).map(String), fc.string({ unit: 'grapheme' })),
      fc.integer({ min: 1, max: 200 }),
      (key, partitions) => {
        const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({
          partitionId,
          leader: 1,
        }));
        const chosen = {
          topic: 'any',
          partitionMetadata: partitionMetadata as never[],
          message: { key, value: '' },
        };
        expect(ours(chosen)).toBe(theirs(chosen));
      },
    ),
    { numRuns: 1_000 },
  );
});

test('a message that names its partition goes there, whatever its key says', () => {
  const partitionMetadata = [{ partitionId: 2 }, { partitionId: 0 }, { partitionId: 1 }];
  const ours = createPartitioner();
  for (const partition of [0, 1, 2])
    expect(ours({ partitionMetadata, message: { key: '42', partition } })).toBe(partition);
  expect(ours({ partitionMetadata, message: { key: '42', partition: null } })).toBe(
    ours({ partitionMetadata, message: { key: '42' } }),
  );
});

// kafkajs leaves out what goes to a partition that it does not know, and reports success.
test('a partition that is not known yet fails the send in a way that kafkajs asks for the partitions anew', () => {
  const send = () =>
    createPartitioner()({ partitionMetadata: [{ partitionId: 0 }], message: { partition: 1 } });
  expect(send).toThrow(
    expect.objectContaining({
      name: 'KafkaJSMetadataNotLoaded',
      retriable: true,
      type: 'UNKNOWN_TOPIC_OR_PARTITION',
    }),
  );
});
