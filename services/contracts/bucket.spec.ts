import { expect, test } from '@jest/globals';
import { bucketOf } from './bucket.ts';

test('buckets never change: rows that wait in an outbox carry them', () => {
  expect([1, 2, 3, 1_000_003, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER].map(bucketOf)).toEqual([
    632, 241, 874, 861, 0, 807,
  ]);
});

test.each([1, 2, 1_024, 2 ** 32])('ids in steps of %d spread evenly', (step) => {
  const counts = new Array<number>(1_024).fill(0);
  for (let i = 1; i <= 102_400; i++) counts[bucketOf(i * step)]! += 1;
  expect(Math.min(...counts)).toBeGreaterThan(0);
  expect(Math.max(...counts)).toBeLessThan(400);
});
