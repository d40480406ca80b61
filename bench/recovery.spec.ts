import { expect, test } from '@jest/globals';
import { caughtUpAfter } from './recovery.ts';

const seen = (at: number, visibleAt: number) => ({ sellerId: 1, version: 1, at, visibleAt });

test('counts from the kill to the last write that the outage kept waiting', () => {
  const all = [
    seen(900, 910),
    seen(1_001, 1_012),
    seen(1_010, 2_000),
    seen(1_500, 2_010),
    seen(2_005, 2_020),
  ];
  expect(caughtUpAfter(all, 1_000)).toBe(1_010);
});

test('a hiccup afterwards does not count, and writes may be seen in any order', () => {
  const all = [seen(6_000, 6_300), seen(1_500, 2_010), seen(1_010, 2_000), seen(2_005, 2_020)];
  expect(caughtUpAfter(all, 1_000)).toBe(1_010);
});

test('a pipeline that never caught up is behind to the end', () => {
  expect(caughtUpAfter([seen(1_010, 4_000), seen(3_000, 5_000)], 1_000)).toBe(4_000);
});

test('a kill that nobody noticed took no time', () => {
  expect(caughtUpAfter([seen(1_010, 1_020)], 1_000)).toBe(0);
});
