import { expect, test } from '@jest/globals';
import { readOptions } from './options.ts';
import { logTicks, plots } from './plots.ts';
import { disturbance, quantile, type Results, type Run, spread } from './results.ts';
import {
  bytesTable,
  costSummary,
  costTable,
  faultSummary,
  faultTable,
  healthySummary,
  healthyTable,
  markdown,
} from './tables.ts';

const run = (of: Partial<Run>): Run => ({
  page: 'gig',
  variant: 'hybrid',
  condition: 'healthy',
  round: 1,
  share: 33,
  rate: 100,
  requests: 1_000,
  okPerSecond: 100,
  statuses: { 200: 1_000 },
  latencyMs: { p50: 2, p95: 4, p99: 8, p999: 16, max: 20 },
  latestStartMs: 1,
  renders: 1_000,
  callsPerRender: 0.33,
  outcomes: { full: 1, missing: 0, stale: 0, error: 0 },
  cpuSecondsPerThousand: { page: 1, source: 0.5, postgres: 0.25 },
  staleness: { shownAfterMs: [10, 20, 30], notShown: 0 },
  saturationPerSecond: 900,
  loadBefore: 0.1,
  othersCores: 0,
  ...of,
});
const results = (...runs: Run[]): Results => ({
  environment: {
    at: '2026-11-24T10:00:00.000Z',
    cpu: 'a processor',
    cores: 2,
    memoryGb: 24,
    kernel: '6.1',
    versions: { node: 'v24' },
    loadAtStart: [0.1, 0.2, 0.3],
    commit: 'abc1234',
    command: 'make bench',
  },
  options: readOptions([], '/out'),
  runs,
  bytes: [
    { share: 90, sellersWithClients: 10, tables: { 'gig: hybrid': 3_000 } },
    { share: 33, sellersWithClients: 4, tables: { 'gig: hybrid': 2_000 } },
  ],
});

test('several rounds become median, least and greatest', () => {
  const table = healthyTable(
    results(
      run({ latencyMs: { p50: 1, p95: 4, p99: 8, p999: 16, max: 20 } }),
      run({ round: 2, latencyMs: { p50: 9, p95: 4, p99: 8, p999: 16, max: 20 } }),
      run({ round: 3, latencyMs: { p50: 3, p95: 4, p99: 8, p999: 16, max: 20 } }),
    ),
  );
  expect(table).toContain(
    '| gig | hybrid | 900 | 100 | 3.00 (1.00–9.00) | 4.00 | 8.00 | 16.0 | 20.0 | 30.0 | 100 |',
  );
});

test('one share does not mix with another, nor a fault with a healthy system', () => {
  const all = results(
    run({}),
    run({ share: 90, callsPerRender: 0.9 }),
    run({
      condition: 'source-killed',
      outcomes: { full: 0.67, missing: 0.33, stale: 0, error: 0 },
      statuses: { 200: 990, 503: 10 },
      staleness: { shownAfterMs: [5], notShown: 3 },
    }),
  );
  expect(healthyTable(all).split('\n')).toHaveLength(3);
  expect(costTable(all)).toContain('| 90 % | gig | hybrid | 0.90 |');
  expect(faultTable(all)).toContain('| source of truth killed | gig | hybrid | 67.0 | 33.0 | 0 | 10.0 |');
  expect(faultTable(all)).toContain('| 3 of 4 |');
});

test('the summary has a column a variant, and a dash where one was not measured', () => {
  const all = results(
    run({}),
    run({ variant: 'off', staleness: null, callsPerRender: 0 }),
    run({ share: 90, callsPerRender: 0.9 }),
    run({ condition: 'source-killed', outcomes: { full: 0.67, missing: 0.33, stale: 0, error: 0 } }),
  );
  expect(healthySummary(all)).toContain('| page | figure | off | hybrid |');
  expect(healthySummary(all)).toContain('| gig | p50, p99, ms | 2.00, 8.00 | 2.00, 8.00 |');
  expect(costSummary(all, 'gig')).toContain('| 33 % | 0, 1.00, 0.50, 0.25 | 0.33, 1.00, 0.50, 0.25 |');
  expect(costSummary(all, 'gig')).toContain('| 90 % | – | 0.90, 1.00, 0.50, 0.25 |');
  expect(faultSummary(all, 'gig')).toContain('| source of truth killed | – | 67.0 %, 8.00, 0 of 3 |');
});

test('bytes are those of a seller who has clients, smallest share first', () => {
  expect(bytesTable(results(run({})))).toContain('| gig: hybrid | 500 | 300 |');
});

test('what was not measured is a dash, and the document is made all the same', () => {
  const all = results(run({ variant: 'off', staleness: null, saturationPerSecond: null }));
  expect(healthyTable(all)).toContain('| gig | off | – | 100 |');
  expect(markdown(all)).toContain('commit abc1234');
});

test('others on the machine are named, and a generator that was late', () => {
  expect(disturbance(results(run({})))).toContain('Nobody else');
  const busy = disturbance(results(run({ othersCores: 0.9 }), run({ latestStartMs: 40 })));
  expect(busy).toContain('**The machine was busy**: during 1 of 2 measurements');
  expect(busy).toContain('at most 40 ms behind');
});

test('quantiles take the nearest rank', () => {
  const values = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect(quantile(values, 0.5)).toBe(50);
  expect(quantile(values, 0.99)).toBe(99);
  expect(quantile([], 0.5)).toBeNull();
  expect(spread([null, 3, 1])).toEqual({ min: 1, median: 2, max: 3 });
  expect(spread([null])).toBeNull();
});

test('an axis begins and ends on ticks that enclose all values', () => {
  expect(logTicks(1.3, 180)).toEqual([1, 2, 5, 10, 20, 50, 100, 200]);
  expect(logTicks(0.02, 0.02)).toEqual([0.02]);
});

test('plots are SVG in which a greater value lies further right', () => {
  const made = plots(
    results(
      run({ variant: 'off', saturationPerSecond: 100 }),
      run({ saturationPerSecond: 1_000 }),
      run({ condition: 'kafka-down', outcomes: { full: 0.5, missing: 0.5, stale: 0, error: 0 } }),
    ),
  );
  expect([...made.keys()]).toEqual(['latency', 'saturation', 'cpu', 'faults']);
  for (const svg of made.values()) expect(svg).toMatch(/^<svg xmlns[\s\S]*<\/svg>\n$/);
  const [off, hybrid] = [...made.get('saturation')!.matchAll(/<circle cx="([\d.]+)"/g)].map((one) =>
    Number(one[1]),
  );
  expect(off).toBeLessThan(hybrid!);
  expect(made.get('faults')).toContain('gig, Kafka down');
  for (const svg of plots(results()).values()) expect(svg).not.toMatch(/NaN|Infinity/);
});
