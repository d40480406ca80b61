import { expect, test } from '@jest/globals';
import { CATALOGUE } from './catalogue.ts';
import { type Round, rounds } from './schedule.ts';

const first = (seed: number, count: number): Round[] => {
  const all: Round[] = [];
  for (const round of rounds(seed, CATALOGUE)) if (all.push(round) === count) break;
  return all;
};
const names = (seed: number, count: number) =>
  first(seed, count).map(({ faults, holdMs }) => [...faults.map(({ name }) => name), holdMs].join());

test('a seed gives the same rounds every time, another seed gives others', () => {
  expect(names(1, 200)).toEqual(names(1, 200));
  expect(names(1, 200)).not.toEqual(names(2, 200));
});

test('each fault comes alone before any come together', () => {
  const alone = first(3, CATALOGUE.length);
  expect(alone.map(({ faults }) => faults.length)).toEqual(CATALOGUE.map(() => 1));
  expect(new Set(alone.map(({ faults }) => faults[0])).size).toBe(CATALOGUE.length);
});

test('a combination has two or three faults that touch different things', () => {
  for (const { faults } of first(4, 300).slice(CATALOGUE.length)) {
    expect([2, 3]).toContain(faults.length);
    expect(new Set(faults.map(({ touches }) => touches)).size).toBe(faults.length);
  }
});

test('every fault lasts at least as long as it says, and at most', () => {
  for (const { faults, holdMs } of first(5, 300)) {
    const [least, most] = [0, 1].map((i) => Math.max(...faults.map(({ seconds = [1, 4] }) => seconds[i]!)));
    expect(holdMs).toBeGreaterThanOrEqual(least! * 1_000);
    expect(holdMs).toBeLessThanOrEqual(most! * 1_000);
  }
});

test('every fault has a name of its own', () => {
  expect(new Set(CATALOGUE.map(({ name }) => name)).size).toBe(CATALOGUE.length);
});
