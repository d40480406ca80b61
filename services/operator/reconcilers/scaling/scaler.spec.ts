import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decideReplicas, mostProjectors, type Recommendation, type ScalerSituation } from './scaler.ts';

const NOW = 1_000_000;
const decide = (situation: Partial<ScalerSituation>) =>
  decideReplicas({
    now: NOW,
    lag: 0,
    current: 1,
    lagThreshold: 1_000,
    minReplicas: 1,
    maxReplicas: 6,
    partitions: 12,
    maxDatabaseConnections: 60,
    scaleDownStabilizationMs: 300_000,
    history: [],
    ...situation,
  });

test.each([
  ['nothing behind keeps the least', { lag: 0 }, 1],
  ['exactly the threshold needs one', { lag: 1_000 }, 1],
  ['a record more needs another', { lag: 1_001 }, 2],
  ['at most the maximum', { lag: 1_000_000 }, 6],
  ['at most the partitions', { lag: 1_000_000, partitions: 3 }, 3],
  ['at most what the database spares', { lag: 1_000_000, maxDatabaseConnections: 14 }, 4],
  ['at least the minimum', { lag: 0, minReplicas: 2 }, 2],
  ['a minimum above the partitions gives way', { lag: 0, minReplicas: 5, partitions: 2 }, 2],
  ['never below one, however few connections there are', { lag: 0, maxDatabaseConnections: 2 }, 1],
])('%s', (_, situation, expected) => {
  expect(decide(situation).replicas).toBe(expected);
});

test('says which limit holds', () => {
  expect(mostProjectors({ maxReplicas: 6, partitions: 4, maxDatabaseConnections: 60 })).toEqual({
    replicas: 4,
    because: 'the partitions of the topic',
  });
});

test('scales down only after the window, and to the most that was needed within it', () => {
  let history: readonly Recommendation[] = [];
  let current = 1;
  const seen: number[] = [];
  for (const [second, lag] of [
    [0, 5_500],
    [60, 0],
    [120, 2_500],
    [299, 0],
    [301, 0],
    [419, 0],
    [421, 0],
  ] as const) {
    const decision = decide({ now: NOW + second * 1_000, lag, current, history });
    ({ replicas: current, history } = decision);
    seen.push(current);
  }
  expect(seen).toEqual([6, 6, 6, 6, 3, 3, 1]);
});

test('takes nothing away right after a start, when it does not know what was needed before', () => {
  const started = decide({ current: 4, lag: 0 });
  expect(started.replicas).toBe(4);
  expect(decide({ now: NOW + 301_000, current: 4, lag: 0, history: started.history }).replicas).toBe(1);
});

test('scales down at once when there is no window', () => {
  expect(decide({ current: 4, lag: 0, scaleDownStabilizationMs: 0 }).replicas).toBe(1);
});

test('stays within all limits and never takes away what the lag needs now, whatever came before', () => {
  const some = fc.integer({ min: 1, max: 40 });
  fc.assert(
    fc.property(
      fc.record({ minReplicas: some, maxReplicas: some, partitions: some, maxDatabaseConnections: some }),
      fc.array(
        fc.record({
          lag: fc.integer({ min: 0, max: 50_000 }),
          afterMs: fc.integer({ min: 1, max: 400_000 }),
        }),
      ),
      (limits, looks) => {
        let now = NOW;
        let current = 1;
        let history: readonly Recommendation[] = [];
        const most = mostProjectors(limits).replicas;
        for (const { lag, afterMs } of looks) {
          now += afterMs;
          ({ replicas: current, history } = decide({ ...limits, now, lag, current, history }));
          expect(current).toBeGreaterThanOrEqual(Math.min(most, Math.max(1, Math.ceil(lag / 1_000))));
          expect(current).toBeLessThanOrEqual(most);
        }
      },
    ),
  );
});
