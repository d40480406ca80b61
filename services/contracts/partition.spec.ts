import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import kafkajs from 'kafkajs';
import { murmur2, partitionOf } from './partition.ts';

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
  const theirs = kafkajs.Partitioners.DefaultPartitioner();
  fc.assert(
    fc.property(
      fc.oneof(fc.nat({ max: Number.MAX_SAFE_INTEGER }).map(String), fc.string({ unit: 'grapheme' })),
      fc.integer({ min: 1, max: 200 }),
      (key, partitions) => {
        const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({
          partitionId,
          leader: 1,
        })) as never[];
        const chosen = theirs({ topic: 'any', partitionMetadata, message: { key, value: '' } });
        expect(partitionOf(key, partitions)).toBe(chosen);
      },
    ),
    { numRuns: 1_000 },
  );
});
