import { expect, test } from '@jest/globals';
import { type Coefficients, capacityFor, type Demand, fitLine, predict, relativeError } from './model.ts';

const coefficients: Coefficients = {
  cpuPerRender: 0.001,
  connectionPerRender: 0.002,
  cpuPerRelayed: 0.0001,
  cpuPerApplied: 0.00004,
  build: { fixed: 1, perUnit: 1 / 25_000 },
};
const demand: Demand = {
  visitsPerDay: 30_000_000,
  writesPerDay: 1_000_000,
  sellers: 1_000_000,
  peak: 3,
  buildSeconds: 60,
};

test('a line goes through two points, and between three', () => {
  expect(
    fitLine([
      { x: 10, y: 3 },
      { x: 20, y: 5 },
    ]),
  ).toEqual({ fixed: 1, perUnit: 0.2 });
  const { fixed, perUnit } = fitLine([
    { x: 0, y: 0 },
    { x: 1, y: 2 },
    { x: 2, y: 1 },
  ]);
  expect([fixed, perUnit]).toEqual([0.5, 0.5]);
  expect(() =>
    fitLine([
      { x: 1, y: 1 },
      { x: 1, y: 2 },
    ]),
  ).toThrow('two points');
  expect(predict({ fixed: 1, perUnit: 2 }, 3)).toBe(7);
  expect(relativeError(11, 10)).toBeCloseTo(0.1);
});

test('replicas follow the busiest second at half of a core each', () => {
  // 30 million a day is 347 a second, 1,042 at the peak: 1.04 cores of work.
  expect(capacityFor(demand, coefficients).pageReplicas).toBe(3);
  expect(capacityFor({ ...demand, visitsPerDay: 60_000_000 }, coefficients).pageReplicas).toBe(5);
  expect(capacityFor({ ...demand, visitsPerDay: 1 }, coefficients).pageReplicas).toBe(2);
});

test('projectors are as many as the build needs when writes are few', () => {
  // 40 s of work in 59 s; in 21 s it takes two.
  expect(capacityFor(demand, coefficients).projectorReplicas).toBe(1);
  expect(capacityFor({ ...demand, buildSeconds: 22 }, coefficients).projectorReplicas).toBe(2);
  expect(capacityFor({ ...demand, writesPerDay: 1_000_000_000 }, coefficients).projectorReplicas).toBe(3);
});

test('partitions are never fewer than the topic is made with, and let projectors double', () => {
  expect(capacityFor(demand, coefficients).partitions).toBe(12);
  expect(capacityFor({ ...demand, buildSeconds: 5 }, coefficients).partitions).toBe(20);
});

test('connections cover pages and projectors', () => {
  // 1,042 a second over 3 servers is 347 each, 0.69 busy in the mean: a pool of 4, and one to be told of changes.
  expect(capacityFor(demand, coefficients).pageConnections).toBe(3 * 5 + 2);
});

test('more of anything never needs less', () => {
  let before = capacityFor(demand, coefficients);
  for (let factor = 2; factor < 200; factor *= 2) {
    const more = capacityFor(
      {
        ...demand,
        visitsPerDay: demand.visitsPerDay * factor,
        writesPerDay: demand.writesPerDay * factor,
        sellers: demand.sellers * factor,
      },
      coefficients,
    );
    for (const key of Object.keys(before) as (keyof typeof before)[])
      expect(more[key]).toBeGreaterThanOrEqual(before[key]);
    before = more;
  }
});

test('a demand that is no number is refused by name', () => {
  expect(() => capacityFor({ ...demand, peak: Number.NaN }, coefficients)).toThrow('peak must be a number');
});
