import { expect, test } from '@jest/globals';
import type { Environment } from '../machine.ts';
import { checksOf, fitModel } from './fit-model.ts';
import { relativeError } from './least-squares.ts';
import { buildingCost, coresOf, type Model, projectorRounds, relayRounds, servingCores } from './model.ts';
import { type Place, PROCESSES, type ScaleResults, type SteadyRun, undisturbed, withRun } from './results.ts';
import { axisTable, checkSummary, checkTable } from './tables.ts';

const TRUTH: Model = {
  times: { relay: 0.004, projector: 0.002 },
  awake: { relay: 0.0012, projectors: 0, kafka: 0.0005, source: 0.0009, pages: 0.002 },
  cpu: {
    relay: [0.0004, 0.02, 0.00005, 0.00001],
    projectors: [0.0003, 0.01, 0.00004, 0.00001],
    kafka: [0.0004, 0.03, 0.004, 0.00002, 0.00001],
    source: [0.0002, 0.02, 0.0003, 0.00001],
    pages: [0.0002, 0.02, 0.004, 0.00005, 0.00001],
  },
  page: { coefficients: [0.005, 0.0002, 0.0001], roundSeconds: 0.002 },
  pageDatabase: { coefficients: [0.001, 0.0001, 0.0001], roundSeconds: 0.002 },
  connectionPerRender: 0.001,
  build: { start: 0.5, perSeller: 0.000_01, warming: 0.4, warmAfter: 20_000 },
  buildCpu: { start: 0.4, perSeller: 0.000_008, warming: 0.4, warmAfter: 20_000 },
};
const BASE: Place = { perSecond: 500, sellers: 10_000, pages: 1, shards: 1, clients: 3 };
const AT = { at: '', othersCores: 0 };

function steady(place: Place): SteadyRun {
  const seconds = 10;
  const cpuSeconds = Object.fromEntries(
    PROCESSES.map((process) => [process, seconds * coresOf(process, place, TRUTH)]),
  ) as SteadyRun['cpuSeconds'];
  const events = place.perSecond * seconds;
  return {
    ...{ ...AT, seconds, events, cpuSeconds, writersLateMs: 0 },
    rounds: {
      relay: seconds * relayRounds(place, TRUTH.times),
      projectors: seconds * projectorRounds(place, TRUTH.times),
    },
    latencyMs: { p50: 4, p99: 12, samples: 100 },
  };
}

function measuredAs(change: (place: Place, run: SteadyRun) => SteadyRun = (_, run) => run): ScaleResults {
  const along = (places: readonly Partial<Place>[]) =>
    places.reduce(
      (points, one) =>
        withRun(points, { ...BASE, ...one }, change({ ...BASE, ...one }, steady({ ...BASE, ...one }))),
      [] as ReturnType<typeof withRun<Place, SteadyRun>>,
    );
  return {
    environment: {} as Environment,
    calibrations: [],
    took: {},
    axes: {
      rate: along([20, 50, 100, 200, 500, 1_000, 2_000].map((perSecond) => ({ perSecond }))),
      sellers: along([10_000, 10_000_000].map((sellers) => ({ sellers }))),
      pages: along([1, 2, 5, 10, 20].map((pages) => ({ pages, perSecond: 50 }))),
      shards: along([1, 2, 4, 8].map((shards) => ({ shards }))),
      clients: along([1, 5, 10, 20].map((clients) => ({ clients }))),
    },
    builds: [10_000, 30_000, 100_000, 300_000, 1_000_000].map((sellers) => ({
      place: { sellers, projectors: 1 },
      runs: [
        {
          ...{ ...AT, postgresCpuSeconds: 1, projectorPeakMb: 100, kafkaMb: 300, viewBytes: 1 },
          seconds: buildingCost(TRUTH.build, sellers),
          projectorCpuSeconds: buildingCost(TRUTH.buildCpu, sellers),
        },
      ],
    })),
    pages: [25, 50, 100, 200, 400, 800, 1_000].map((perSecond) => ({
      place: { perSecond },
      runs: [
        {
          ...{ ...AT, okShare: 1, latencyMs: { p50: 1, p95: 2, p99: 3, p999: 4, max: 5 } },
          cores: servingCores(TRUTH.page, perSecond),
          postgresCores: servingCores(TRUTH.pageDatabase, perSecond),
        },
      ],
    })),
  };
}

test('a machine that follows the model is predicted at every point that was not fitted', () => {
  const results = measuredAs();
  const model = fitModel(results);
  expect(model.times).toEqual(TRUTH.times);
  const checks = checksOf(results, model);
  expect(new Set(checks.map(({ what }) => what)).size).toBe(9);
  for (const { predicted, measured } of checks)
    expect(Math.abs(relativeError(predicted, measured))).toBeLessThan(0.02);
});

test('what is checked took no part in the fit', () => {
  const heldOut = (place: Place) => place.perSecond === 200 || place.pages === 10 || place.clients === 10;
  const doubled = (_: Place, run: SteadyRun): SteadyRun => ({
    ...run,
    cpuSeconds: Object.fromEntries(
      Object.entries(run.cpuSeconds).map(([name, cpu]) => [name, 2 * cpu]),
    ) as SteadyRun['cpuSeconds'],
  });
  const results = measuredAs((place, run) => (heldOut(place) ? doubled(place, run) : run));
  expect(fitModel(results).cpu).toEqual(fitModel(measuredAs()).cpu);
  const checks = checksOf(results, fitModel(results));
  expect(checkTable(checks)).toContain('-50 % **missed**');
  expect(checkSummary(checks)).toMatch(/the worst is 5\d % off, 15 by more than 25 %/);
});

test('a point that others disturbed is no basis for the model', () => {
  const disturbed = measuredAs((place, run) =>
    place.shards === 8 ? { ...run, othersCores: 1, cpuSeconds: { ...run.cpuSeconds, relay: 1 } } : run,
  );
  expect(fitModel(disturbed).cpu.relay[1]).toBeCloseTo(TRUTH.cpu.relay[1]!);
});

test('a further run of a point is added to it, and its table has the spread of them', () => {
  const place = { ...BASE, pages: 2 };
  const slow = { ...steady(place), latencyMs: { p50: 8, p99: 12, samples: 100 } };
  const points = withRun(withRun(withRun([], place, steady(place)), place, slow), BASE, steady(BASE));
  expect(points.map((point) => point.runs.length)).toEqual([1, 2]);
  const [, , first, second, last] = axisTable('pages', points).split('\n');
  expect(first).toMatch(/^\| 1 \| 1 \| /);
  expect(second).toContain('| 6.00 (4.00–8.00) |');
  expect(last).toContain('| last ÷ first |  | 1.00 |');
});

test('a run that others disturbed is left out, but no point is left without a run', () => {
  const disturbed = (of: SteadyRun): SteadyRun => ({ ...of, othersCores: 0.6 });
  const run = steady(BASE);
  const results = measuredAs();
  const rate = [
    { place: BASE, runs: [run, disturbed(run)] },
    { place: { ...BASE, perSecond: 1 }, runs: [disturbed(run)] },
  ];
  const points = undisturbed({ ...results, axes: { rate } }).axes.rate!;
  expect(points.map(({ runs }) => runs)).toEqual([[run], [disturbed(run)]]);
});
