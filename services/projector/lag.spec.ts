import { expect, test } from '@jest/globals';
import { lagRecords, lagSeconds, type PartitionProgress } from './lag.ts';

const now = 1_000_000;
const startedAt = now - 60_000;
const progress = (changes: Partial<PartitionProgress>): PartitionProgress => ({
  applied: 10,
  end: 10,
  oldestDelivered: null,
  lastApplied: null,
  caughtUpAt: null,
  ...changes,
});
const seconds = (changes: Partial<PartitionProgress>) => lagSeconds(progress(changes), now, startedAt);

test('nothing is behind when idle, however long ago the last message was', () => {
  expect(lagRecords(progress({}))).toBe(0);
  expect(seconds({ lastApplied: 0 })).toBe(0);
});

test('a partition that moved on past the last look is not behind', () => {
  expect(lagRecords(progress({ applied: 12 }))).toBe(0);
});

test('stuck with delivered messages, the age of the oldest one counts', () => {
  expect(seconds({ end: 15, oldestDelivered: now - 7_000, lastApplied: now - 9_000 })).toBe(7);
});

test('stuck before a delivery, it counts from the last sign of having been up to date', () => {
  expect(seconds({ end: 15, lastApplied: now - 9_000 })).toBe(9);
  expect(seconds({ end: 15, lastApplied: now - 9_000, caughtUpAt: now - 4_000 })).toBe(4);
});

test('with nothing known yet it counts from the start of the process', () => {
  expect(seconds({ end: 15 })).toBe(60);
});

test('clocks that disagree never give a negative age', () => {
  expect(seconds({ end: 15, oldestDelivered: now + 5_000 })).toBe(0);
});
