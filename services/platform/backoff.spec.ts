import { expect, test } from '@jest/globals';
import { Backoff } from './backoff.ts';

const waits = (backoff: Backoff, count: number) => Array.from({ length: count }, () => backoff.next());

test('waits grow from the first to the longest, and begin anew once it went well', () => {
  const backoff = new Backoff({ firstMs: 2, longestMs: 20, random: null });
  expect(waits(backoff, 6)).toEqual([2, 4, 8, 16, 20, 20]);
  backoff.reset();
  expect(backoff.next()).toBe(2);
});

test('half of a wait is drawn at random, and what was drawn has no part in the next', () => {
  const draws = [0, 1, 0.5];
  const backoff = new Backoff({ firstMs: 100, longestMs: 1_000, random: () => draws.shift()! });
  expect(waits(backoff, 3)).toEqual([50, 200, 300]);
});

test('after any number of failures the wait is the longest', () => {
  const backoff = new Backoff({ firstMs: 1, longestMs: 5_000, factor: 3, random: null });
  expect(waits(backoff, 2_000).at(-1)).toBe(5_000);
});
