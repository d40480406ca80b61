/** The model of the measured points, and its errors on those that it was not fitted to. Pure. */
import { median } from '../report.ts';
import { fitOver, relativeError, type Sample } from './least-squares.ts';
import {
  type Building,
  buildingCost,
  buildingTerms,
  coresOf,
  type Model,
  projectorRounds,
  type RoundTimes,
  relayRounds,
  type Serving,
  servingCores,
  servingTerms,
  termsOf,
} from './model.ts';
import {
  type Axis,
  type BuildRun,
  isQuiet,
  type PageRun,
  PROCESSES,
  type Process,
  type ScaleResults,
  type SteadyPoint,
  valueAt,
} from './results.ts';

/** Points that take no part in the fit. Beyond the last that does: whether the model may be trusted further out. */
const HELD_OUT: Readonly<Record<Axis | 'build' | 'page', readonly number[]>> = {
  rate: [50, 200, 1_000],
  sellers: [100_000, 1_000_000, 10_000_000],
  pages: [2, 10],
  shards: [4],
  clients: [10],
  build: [30_000, 1_000_000],
  page: [50, 200, 1_000],
};

/** 0.25 ms to 16 ms. */
const ROUND_SECONDS = Array.from({ length: 64 }, (_, at) => (at + 1) / 4_000);
/** Up to 4 ms. */
const AWAKE_SECONDS = Array.from({ length: 41 }, (_, at) => at / 10_000);
const WARM_AFTER = [5_000, 10_000, 20_000, 40_000, 80_000];

export const coresAt = ({ runs }: SteadyPoint, process: Process): number =>
  median(runs.map((run) => run.cpuSeconds[process] / run.seconds));

interface OfAxis {
  readonly axis: Axis;
  readonly point: SteadyPoint;
}
const steadyPoints = ({ axes }: ScaleResults): OfAxis[] =>
  (Object.entries(axes) as [Axis, readonly SteadyPoint[]][]).flatMap(([axis, points]) =>
    points.map((point) => ({ axis, point })),
  );
const isHeldOut = ({ axis, point }: OfAxis) => HELD_OUT[axis].includes(valueAt(axis, point.place));

const CPU_RESOLUTION = 0.001;

function fitProcess(process: Process, points: readonly SteadyPoint[], times: RoundTimes) {
  return fitOver(AWAKE_SECONDS, (awake) =>
    points.map((point) => ({
      terms: termsOf(process, point.place, times, awake),
      value: Math.max(CPU_RESOLUTION, coresAt(point, process)),
    })),
  );
}

/** How long a round lasts, by the rounds that were counted. */
function fitTimes(points: readonly SteadyPoint[]): RoundTimes {
  const best = (
    counted: 'relay' | 'projectors',
    predicted: (point: SteadyPoint, seconds: number) => number,
  ) => {
    const errorAt = (seconds: number) =>
      points.reduce((sum, point) => {
        const measured = median(point.runs.map((run) => run.rounds[counted] / run.seconds));
        return sum + relativeError(predicted(point, seconds), measured) ** 2;
      }, 0);
    return ROUND_SECONDS.reduce((one, other) => (errorAt(other) < errorAt(one) ? other : one));
  };
  const relay = best('relay', ({ place }, one) => relayRounds(place, { relay: one, projector: 0 }));
  return {
    relay,
    projector: best('projectors', ({ place }, projector) => projectorRounds(place, { relay, projector })),
  };
}

const medianOf = <Run>(runs: readonly Run[], of: (run: Run) => number) => median(runs.map(of));

function fitBuilding(results: ScaleResults, of: (run: BuildRun) => number): Building {
  const points = builtByOne(results).filter(({ place }) => !HELD_OUT.build.includes(place.sellers));
  const { candidate, coefficients } = fitOver(WARM_AFTER, (warmAfter) =>
    points.map(
      ({ place, runs }): Sample => ({
        terms: buildingTerms(place.sellers, warmAfter),
        value: medianOf(runs, of),
      }),
    ),
  );
  const [start, perSeller, warming] = coefficients as [number, number, number];
  return { start, perSeller, warming, warmAfter: candidate };
}

function fitServing({ pages }: ScaleResults, of: (run: PageRun) => number): Serving {
  const points = pages.filter(({ place }) => !HELD_OUT.page.includes(place.perSecond));
  const { candidate, coefficients } = fitOver(ROUND_SECONDS, (roundSeconds) =>
    points.map(
      ({ place, runs }): Sample => ({
        terms: servingTerms(place.perSecond, roundSeconds),
        value: Math.max(CPU_RESOLUTION, medianOf(runs, of)),
      }),
    ),
  );
  return { roundSeconds: candidate, coefficients };
}

export const builtByOne = ({ builds }: ScaleResults) => builds.filter(({ place }) => place.projectors === 1);

/** @throws Error when a part of the results is missing */
export function fitModel(results: ScaleResults): Model {
  const points = steadyPoints(results)
    .filter((one) => !isHeldOut(one) && one.point.runs.every(isQuiet))
    .map(({ point }) => point);
  const times = fitTimes(points);
  const fits = PROCESSES.map((process) => [process, fitProcess(process, points, times)] as const);
  const ofEach = <T>(of: (fit: ReturnType<typeof fitProcess>) => T) =>
    Object.fromEntries(fits.map(([process, fit]) => [process, of(fit)])) as Record<Process, T>;
  return {
    times,
    awake: ofEach(({ candidate }) => candidate),
    cpu: ofEach(({ coefficients }) => coefficients),
    page: fitServing(results, (run) => run.cores),
    pageDatabase: fitServing(results, (run) => run.postgresCores),
    // A render holds a connection for one statement, which is less than the whole render.
    connectionPerRender:
      Math.min(...results.pages.map(({ runs }) => medianOf(runs, (run) => run.latencyMs.p50))) / 1_000,
    build: fitBuilding(results, (run) => run.seconds),
    buildCpu: fitBuilding(results, (run) => run.projectorCpuSeconds),
  };
}

/** A prediction beside the measured value, which was not fitted. */
export interface Check {
  readonly point: string;
  readonly what: string;
  readonly unit: string;
  /** Whether no other program was at work when it was measured. */
  readonly quiet: boolean;
  readonly predicted: number;
  readonly measured: number;
}

const NAMES: Readonly<Record<Process, string>> = {
  relay: 'relay',
  projectors: 'projectors',
  kafka: 'Kafka',
  source: 'PostgreSQL of the source',
  pages: 'PostgreSQL of the pages',
};
const count = (value: number) => value.toLocaleString('en-US');
const POINT_OF: Readonly<Record<Axis, (value: number) => string>> = {
  rate: (value) => `${count(value)} events/s`,
  sellers: (value) => `${count(value)} sellers`,
  pages: (value) => `${value} pages`,
  shards: (value) => `${value} shards`,
  clients: (value) => `${value} clients a list`,
};

export function checksOf(results: ScaleResults, model: Model): Check[] {
  const steady = steadyPoints(results)
    .filter(isHeldOut)
    .flatMap(({ axis, point }) =>
      PROCESSES.map((process) => ({
        point: POINT_OF[axis](valueAt(axis, point.place)),
        what: NAMES[process],
        unit: 'cores',
        quiet: point.runs.every(isQuiet),
        predicted: coresOf(process, point.place, model),
        measured: coresAt(point, process),
      })),
    );
  const builds = builtByOne(results)
    .filter(({ place }) => HELD_OUT.build.includes(place.sellers))
    .flatMap(({ place: { sellers }, runs }) => {
      const [point, quiet] = [`a view of ${count(sellers)} sellers`, runs.every(isQuiet)];
      return [
        {
          ...{ point, quiet, what: 'one projector builds it', unit: 's' },
          predicted: buildingCost(model.build, sellers),
          measured: medianOf(runs, (run) => run.seconds),
        },
        {
          ...{ point, quiet, what: 'CPU of that projector', unit: 's' },
          predicted: buildingCost(model.buildCpu, sellers),
          measured: medianOf(runs, (run) => run.projectorCpuSeconds),
        },
      ];
    });
  const pages = results.pages
    .filter(({ place }) => HELD_OUT.page.includes(place.perSecond))
    .flatMap(({ place: { perSecond }, runs }) => {
      const [point, quiet] = [`${count(perSecond)} renders/s`, runs.every(isQuiet)];
      return [
        {
          ...{ point, quiet, what: 'page server', unit: 'cores' },
          predicted: servingCores(model.page, perSecond),
          measured: medianOf(runs, (run) => run.cores),
        },
        {
          ...{ point, quiet, what: 'PostgreSQL of the page', unit: 'cores' },
          predicted: servingCores(model.pageDatabase, perSecond),
          measured: medianOf(runs, (run) => run.postgresCores),
        },
      ];
    });
  return [...steady, ...builds, ...pages];
}
