/** Whoever produces with another client must find the partitions where ours does. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import kafkajs from 'kafkajs';
import { partitionOf } from '#contracts/partition.ts';

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
