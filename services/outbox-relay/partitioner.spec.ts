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
  const partitionMetadata = Array.from({ length: 4 });
  expect([0, 1, 2, 3].map((partition) => at(partition))).toEqual([0, 1, 2, 3]);
  function at(partition: number) {
    return createPartitioner()({ topic: 'any', partitionMetadata, message: { key: '42', partition } });
  }
});

test('kafkajs is told to ask the broker again rather than drop a message for a partition it does not know', () => {
  const partition = () =>
    createPartitioner()({ topic: 'any', partitionMetadata: [{}, {}], message: { key: '42', partition: 2 } });
  expect(partition).toThrow(
    expect.objectContaining({
      name: new (kafkajs.KafkaJSMetadataNotLoaded as new (message: string) => Error)('').name,
      retriable: true,
      message: 'a message is for partition 2, but any has 2 as far as is known here',
    }),
  );
});
