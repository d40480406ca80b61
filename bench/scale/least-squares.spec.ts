import { expect, test } from '@jest/globals';
import { fitOver, leastSquares, predict, relativeError } from './least-squares.ts';

const samples = (of: (x: number) => number, ...xs: number[]) =>
  xs.map((x) => ({ terms: [1, x], value: of(x) }));

test('exact points give exact coefficients', () => {
  const { coefficients, error } = leastSquares(samples((x) => 3 + 2 * x, 1, 10, 100));
  expect(coefficients[0]).toBeCloseTo(3);
  expect(coefficients[1]).toBeCloseTo(2);
  expect(error).toBeCloseTo(0);
  expect(predict(coefficients, [1, 1_000])).toBeCloseTo(2_003);
});

test('terms may differ by orders of magnitude', () => {
  const points = [1, 2, 5, 9].map((x) => ({ terms: [1, x * 1e6, x * x], value: 1 + 2 * x + 3 * x * x }));
  const { coefficients } = leastSquares(points);
  expect(coefficients[0]).toBeCloseTo(1);
  expect(coefficients[1]! * 1e6).toBeCloseTo(2);
  expect(coefficients[2]).toBeCloseTo(3);
});

test('no work has a negative cost: what looks so is left out', () => {
  const { coefficients } = leastSquares(samples((x) => 2 * x - 1, 1, 2, 4));
  expect(coefficients[0]).toBe(0);
  expect(coefficients[1]).toBeGreaterThan(0);
});

test('terms that no point tells apart share one coefficient', () => {
  const { coefficients } = leastSquares([1, 2, 3].map((x) => ({ terms: [x, x], value: 4 * x })));
  expect(predict(coefficients, [1, 1])).toBeCloseTo(4);
});

test('errors count relative to their value: a large point does not drown a small one', () => {
  // One coefficient cannot be right for both; by absolute squares it would be near 2 and 100 % wrong at the small one.
  const { coefficients } = leastSquares([
    { terms: [1], value: 1 },
    { terms: [1_000], value: 2_000 },
  ]);
  expect(coefficients[0]).toBeCloseTo(1.2);
});

test('a time that is not linear is the one of the candidates that explains the points best', () => {
  const terms = (x: number, within: number) => [1, 1 - Math.exp(-x / within)];
  const found = fitOver([5, 20, 80], (within) =>
    [1, 10, 30, 100].map((x) => ({
      terms: terms(x, within),
      value: predict([1, 4], terms(x, 20)),
    })),
  );
  expect(found.candidate).toBe(20);
  expect(found.coefficients[1]).toBeCloseTo(4);
});

test('too few points, or one without a value, are refused', () => {
  expect(() => leastSquares([{ terms: [1, 2], value: 1 }])).toThrow('2 terms need as many points');
  expect(() => leastSquares([])).toThrow('points');
  expect(() => leastSquares([{ terms: [1], value: 0 }])).toThrow('above zero');
});

test('an error is relative to what was measured', () => {
  expect(relativeError(11, 10)).toBeCloseTo(0.1);
});
