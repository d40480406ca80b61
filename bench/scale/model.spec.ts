import { describe, expect, test } from '@jest/globals';
import {
  buildingCost,
  capacityFor,
  coresOf,
  type Demand,
  type Load,
  type Model,
  projectorRounds,
  relayLooks,
  relayRounds,
  roundsAt,
  servingCores,
} from './model.ts';

const MODEL: Model = {
  times: { relay: 0.004, projector: 0.002 },
  awake: { relay: 0.001, projectors: 0, kafka: 0.0005, source: 0.001, pages: 0 },
  cpu: {
    relay: [0.0004, 0.01, 0.00005, 0.00001],
    projectors: [0.0003, 0.008, 0.00004, 0.00001],
    kafka: [0.0002, 0.02, 0.001, 0.00001, 0],
    source: [0.0001, 0.005, 0.0004, 0.00001],
    pages: [0.0002, 0, 0.002, 0.00005, 0],
  },
  page: { coefficients: [0.005, 0, 0.001], roundSeconds: 0.001 },
  pageDatabase: { coefficients: [0, 0, 0.0002], roundSeconds: 0.001 },
  connectionPerRender: 0.002,
  build: { start: 0.5, perSeller: 1 / 25_000, warming: 0.5, warmAfter: 10_000 },
  buildCpu: { start: 0.4, perSeller: 1 / 50_000, warming: 0.4, warmAfter: 10_000 },
};
const DEMAND: Demand = {
  visitsPerDay: 30_000_000,
  writesPerDay: 1_000_000,
  sellers: 1_000_000,
  clients: 3,
  peak: 3,
  buildSeconds: 60,
};
const LOAD: Load = { perSecond: 100, pages: 1, shards: 1, clients: 3 };

describe('rounds', () => {
  test('each rare event has a round of its own, and many share them', () => {
    expect(roundsAt(1, 0.004)).toBeCloseTo(1, 1);
    expect(roundsAt(250, 0.004)).toBeCloseTo(125);
    expect(roundsAt(1_000_000, 0.004)).toBeCloseTo(250, 0);
    expect(roundsAt(100, 0)).toBe(100);
  });

  test('a relay gathers for longer the more there are, up to the longest round', () => {
    const times = { relay: 0.002, projector: 0.001 };
    expect(relayRounds({ ...LOAD, perSecond: 10 }, times)).toBeCloseTo(9.8, 1);
    // 500 a second gather for 4 ms, 3 in a round; 100,000 for 6 ms.
    expect(relayRounds({ ...LOAD, perSecond: 500 }, times)).toBeCloseTo(500 / 3);
    expect(relayRounds({ ...LOAD, perSecond: 100_000 }, times)).toBeCloseTo(1 / 0.006, 0);
  });

  test('a relay looks twice for a rare event, in vain between sleep and full rounds, and once a round in those', () => {
    const times = { relay: 0.002, projector: 0.001 };
    const looksOfARound = (perSecond: number) =>
      relayLooks({ ...LOAD, perSecond }, times) / relayRounds({ ...LOAD, perSecond }, times);
    expect(looksOfARound(1)).toBeCloseTo(2, 1);
    expect(looksOfARound(200)).toBeGreaterThan(2.2);
    expect(looksOfARound(10_000)).toBeCloseTo(1);
    expect(relayLooks({ ...LOAD, perSecond: 0 }, times)).toBe(0);
  });

  test('projectors of a page share what a round of the relay has', () => {
    const at = (projectors: number) =>
      projectorRounds({ ...LOAD, perSecond: 1_000, projectors }, MODEL.times);
    expect(at(2)).toBeGreaterThan(at(1));
    expect(at(2)).toBeLessThan(2 * at(1));
    expect(projectorRounds({ ...LOAD, perSecond: 0 }, MODEL.times)).toBe(0);
  });

  test('an event costs less the more there are, never less than its own work', () => {
    const each = (perSecond: number) => coresOf('relay', { ...LOAD, perSecond }, MODEL) / perSecond;
    expect(each(1)).toBeGreaterThan(each(10));
    expect(each(10)).toBeGreaterThan(each(1_000));
    expect(each(1e9)).toBeCloseTo(0.00008);
  });
});

describe('what grows with what', () => {
  test('a relay that does nothing costs its shards; with more of them rounds are emptier', () => {
    expect(coresOf('relay', { ...LOAD, perSecond: 0, shards: 4 }, MODEL)).toBeCloseTo(0.04);
    const at = (shards: number) => coresOf('relay', { ...LOAD, perSecond: 1_000, shards }, MODEL);
    expect(at(8)).toBeGreaterThan(at(1));
    expect(at(8)).toBeLessThan(8 * at(1));
  });

  test('pages cost projectors and their database in proportion, and the relay nothing', () => {
    const at = (process: Parameters<typeof coresOf>[0], pages: number) =>
      coresOf(process, { ...LOAD, pages }, MODEL);
    expect(at('projectors', 20)).toBeCloseTo(20 * at('projectors', 1));
    expect(at('pages', 20)).toBeCloseTo(20 * at('pages', 1));
    expect(at('relay', 20)).toBe(at('relay', 1));
    expect(at('source', 20)).toBe(at('source', 1));
    expect(at('kafka', 20)).toBeLessThan(20 * at('kafka', 1));
  });

  test('clients cost by the client', () => {
    const more = (clients: number) => coresOf('relay', { ...LOAD, clients }, MODEL);
    expect(more(20) - more(10)).toBeCloseTo(more(10) - more(0));
  });

  test('a build begins slowly and then costs the same for each seller', () => {
    const { build } = MODEL;
    expect(buildingCost(build, 0)).toBe(0.5);
    expect(buildingCost(build, 1_000_000) - buildingCost(build, 900_000)).toBeCloseTo(4);
    expect(buildingCost(build, 1_000_000)).toBeCloseTo(41);
    expect(buildingCost(build, 1_000)).toBeGreaterThan(0.5 + 1_000 * build.perSeller);
  });

  test('a page server costs for a second and for a render', () => {
    expect(servingCores(MODEL.page, 0)).toBe(0.005);
    expect(servingCores(MODEL.page, 100)).toBeCloseTo(0.105);
  });
});

describe('capacity', () => {
  test('replicas follow the busiest second at half of a core each', () => {
    // 30 million a day is 347 a second, 1,042 at the peak: 1.04 cores of renders, and 0.005 for each server.
    expect(capacityFor(DEMAND, MODEL).pageReplicas).toBe(3);
    expect(capacityFor({ ...DEMAND, visitsPerDay: 60_000_000 }, MODEL).pageReplicas).toBe(5);
    expect(capacityFor({ ...DEMAND, visitsPerDay: 1 }, MODEL).pageReplicas).toBe(2);
  });

  test('projectors are as many as the build needs when writes are few', () => {
    // 40 s of rows in 59 s; in 21 s it takes two.
    expect(capacityFor(DEMAND, MODEL).projectorReplicas).toBe(1);
    expect(capacityFor({ ...DEMAND, buildSeconds: 22 }, MODEL).projectorReplicas).toBe(2);
    // 34,722 a second at the peak, each 70 µs of a core: 2.4 cores in the events alone, and rounds.
    expect(capacityFor({ ...DEMAND, writesPerDay: 1_000_000_000 }, MODEL).projectorReplicas).toBe(7);
  });

  test('partitions are never fewer than the topic is made with, and let projectors double', () => {
    expect(capacityFor(DEMAND, MODEL).partitions).toBe(12);
    expect(capacityFor({ ...DEMAND, buildSeconds: 5 }, MODEL).partitions).toBe(20);
  });

  test('connections cover pages and projectors', () => {
    // 1,042 a second over 3 servers is 347 each, 0.69 busy in the mean: a pool of 4, and one to be told of changes.
    expect(capacityFor(DEMAND, MODEL).pageConnections).toBe(3 * 5 + 2);
  });

  test('more of anything never needs less', () => {
    let before = capacityFor(DEMAND, MODEL);
    for (let factor = 2; factor < 200; factor *= 2) {
      const more = capacityFor(
        {
          ...DEMAND,
          visitsPerDay: DEMAND.visitsPerDay * factor,
          writesPerDay: DEMAND.writesPerDay * factor,
          sellers: DEMAND.sellers * factor,
        },
        MODEL,
      );
      for (const key of Object.keys(before) as (keyof typeof before)[])
        expect(more[key]).toBeGreaterThanOrEqual(before[key]);
      before = more;
    }
  });

  test('a demand that is no number is refused by name', () => {
    expect(() => capacityFor({ ...DEMAND, peak: Number.NaN }, MODEL)).toThrow('peak must be a number');
  });

  test('a process that is busy with nothing is no basis for a plan', () => {
    const page = { ...MODEL.page, coefficients: [0.5, 0, 0.001] };
    expect(() => capacityFor(DEMAND, { ...MODEL, page })).toThrow('does nothing');
  });
});
