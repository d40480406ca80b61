import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Ratio, sumOfCounter, Window } from './window.ts';

const windowOf = (values: readonly number[], size = 1_000) => {
  const window = new Window(size);
  for (const value of values) window.add(value);
  return window;
};

test('a window keeps the newest values only', () => {
  expect(windowOf([1, 2, 3, 4, 5], 3).values).toEqual([3, 4, 5]);
});

test('quantiles are values that were measured, by the nearest rank', () => {
  const window = windowOf([15, 20, 35, 40, 50].toReversed());
  expect([0.05, 0.3, 0.4, 0.5, 0.95, 1].map((share) => window.quantile(share))).toEqual([
    15, 20, 20, 35, 50, 50,
  ]);
  expect(windowOf([]).quantile(0.5)).toBeNull();
});

test('at least the asked share of any values does not exceed the quantile, and fewer do not reach it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1 }),
      fc.constantFrom(0.5, 0.95, 0.99, 1),
      (values, share) => {
        const quantile = windowOf(values).quantile(share)!;
        const notAbove = values.filter((value) => value <= quantile).length;
        const below = values.filter((value) => value < quantile).length;
        return notAbove >= share * values.length && below < share * values.length;
      },
    ),
  );
});

test('a ratio is that of the last while, and forgets a counter that began anew', () => {
  const ratio = new Ratio(10_000);
  expect(ratio.value).toBeNull();
  ratio.add(0, 100, 100);
  expect(ratio.value).toBeNull();
  ratio.add(5_000, 110, 120);
  expect(ratio.value).toBe(0.5);
  ratio.add(20_000, 110, 140);
  expect(ratio.value).toBe(0);
  ratio.add(21_000, 0, 5);
  expect(ratio.value).toBeNull();
  ratio.add(22_000, 5, 10);
  expect(ratio.value).toBe(1);
});

test('samples of one counter are added up, those of its namesakes are not', () => {
  const text = [
    '# TYPE calls_total counter',
    'calls_total{page="gig",result="ok"} 7',
    'calls_total{page="gig",result="open"} 5',
    'calls_total{page="gig",result="timeout"} 2',
    'calls_total_of_others{result="ok"} 100',
    'plain_total 3',
  ].join('\n');
  expect(sumOfCounter(text, 'calls_total')).toBe(14);
  expect(sumOfCounter(text, 'calls_total', ['result="ok"', 'result="timeout"'])).toBe(9);
  expect(sumOfCounter(text, 'plain_total')).toBe(3);
  expect(sumOfCounter(text, 'absent_total')).toBe(0);
});
