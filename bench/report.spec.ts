import { expect, test } from '@jest/globals';
import { isReached, median, table } from './report.ts';

test('the middle of an even number of values is between the two', () => {
  expect(median([4, 1, 3, 2])).toBe(2.5);
  expect(median([3, 1, 2])).toBe(2);
});

test('a figure is judged by its median, on the side of its target', () => {
  const figure = { name: 'n', unit: 'ms', values: [1, 5, 9] };
  expect(isReached({ ...figure, target: { most: 5 } })).toBe(true);
  expect(isReached({ ...figure, target: { most: 4.9 } })).toBe(false);
  expect(isReached({ ...figure, target: { least: 5 } })).toBe(true);
  expect(isReached({ ...figure, target: { least: 5.1 } })).toBe(false);
  expect(isReached({ ...figure, target: null })).toBeNull();
});

test('what falls short is said aloud', () => {
  expect(table([{ name: 'p50', unit: 'ms', target: { most: 5 }, values: [4, 6, 8] }])).toContain(
    '| p50 | ms | 4.00 | 6.00 | 8.00 | ≤ 5 |  | MISSED |',
  );
});
