/** The tables of docs/scale.md. Pure. */
import { calibrationFigures } from '../calibration.ts';
import { median, show } from '../report.ts';
import { builtByOne, type Check } from './fit-model.ts';
import { relativeError } from './least-squares.ts';
import { type Capacity, capacityFor, type Model, servingCores, TERMS } from './model.ts';
import {
  type Axis,
  type Place,
  PROCESSES,
  type Process,
  type ScaleResults,
  type SteadyPoint,
  type SteadyRun,
  valueAt,
} from './results.ts';

export const AXIS_IN_WORDS: Readonly<Record<Axis, string>> = {
  rate: 'Events a second',
  sellers: 'Sellers',
  pages: 'Page databases on one topic',
  shards: 'Shards of the outbox',
  clients: 'Clients in a list',
};
export const PROCESS_IN_WORDS: Readonly<Record<Process, string>> = {
  relay: 'relay',
  projectors: 'projector',
  kafka: 'Kafka',
  source: 'source DB',
  pages: 'page DB',
};

const count = (value: number) => value.toLocaleString('en-US');
export const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** Median, and the least and most where there are several. */
function spread(values: readonly number[]): string {
  const middle = show(median(values));
  return values.length === 1
    ? middle
    : `${middle} (${show(Math.min(...values))}–${show(Math.max(...values))})`;
}

/** CPU seconds per 100,000 events; of projector and page's database, per 100,000 events and page. */
export const costOf = (process: Process, { cpuSeconds, events }: SteadyRun, { pages }: Place): number =>
  ((cpuSeconds[process] / events) * 100_000) / (process === 'projectors' || process === 'pages' ? pages : 1);

/** CPU per event, latency and events a round along an axis; last, how much the last point is of the first. */
export function axisTable(axis: Axis, points: readonly SteadyPoint[]): string {
  const columns: readonly [string, (run: SteadyRun, place: Place) => number][] = [
    ...PROCESSES.map((process): [string, (run: SteadyRun, place: Place) => number] => [
      PROCESS_IN_WORDS[process],
      (run, place) => costOf(process, run, place),
    ]),
    ['p50, ms', (run) => run.latencyMs.p50],
    ['p99, ms', (run) => run.latencyMs.p99],
    ['events a round of the relay', (run) => run.events / run.rounds.relay],
    ['of a projector', (run, { pages }) => (run.events * pages) / run.rounds.projectors],
  ];
  const [first, last] = [points[0]!, points.at(-1)!];
  const middle = ({ runs, place }: SteadyPoint, of: (run: SteadyRun, place: Place) => number) =>
    median(runs.map((run) => of(run, place)));
  return table(
    [AXIS_IN_WORDS[axis].toLowerCase(), 'runs', ...columns.map(([name]) => name)],
    [
      ...points.map(({ place, runs }) => [
        count(valueAt(axis, place)),
        runs.length,
        ...columns.map(([, of]) => spread(runs.map((run) => of(run, place)))),
      ]),
      ['last ÷ first', '', ...columns.map(([, of]) => show(middle(last, of) / middle(first, of)))],
    ],
  );
}

export function buildTable(results: ScaleResults): string {
  return table(
    [
      'sellers',
      'runs',
      'by one projector, s',
      'events/s',
      'by two, s',
      'CPU s of one projector',
      'of PostgreSQL',
      'projector peak MB',
      'Kafka MB',
      'view, bytes a seller',
    ],
    builtByOne(results).map(({ place: { sellers }, runs }) => {
      const two = results.builds.find(
        ({ place }) => place.sellers === sellers && place.projectors === 2,
      )!.runs;
      const seconds = runs.map((run) => run.seconds);
      return [
        count(sellers),
        runs.length,
        spread(seconds),
        count(Math.round(sellers / median(seconds))),
        spread(two.map((run) => run.seconds)),
        spread(runs.map((run) => run.projectorCpuSeconds)),
        spread(runs.map((run) => run.postgresCpuSeconds)),
        Math.max(...runs.map((run) => run.projectorPeakMb)).toFixed(0),
        Math.max(...runs.map((run) => run.kafkaMb)).toFixed(0),
        count(Math.round(runs[0]!.viewBytes / sellers)),
      ];
    }),
  );
}

export const pageTable = ({ pages }: ScaleResults): string =>
  table(
    ['renders/s', 'runs', 'page server, µs a render', 'PostgreSQL, µs a render', 'p50, ms', 'p99, ms'],
    pages.map(({ place: { perSecond }, runs }) => [
      count(perSecond),
      runs.length,
      spread(runs.map((run) => (run.cores / perSecond) * 1e6)),
      spread(runs.map((run) => (run.postgresCores / perSecond) * 1e6)),
      spread(runs.map((run) => run.latencyMs.p50)),
      spread(runs.map((run) => run.latencyMs.p99)),
    ]),
  );

export const calibrationTable = ({ calibrations }: ScaleResults): string =>
  table(
    ['the machine', 'unit', 'min', 'median', 'max'],
    calibrationFigures(calibrations).map(({ name, unit, values }) => [
      name.replace('the machine: ', ''),
      unit,
      show(Math.min(...values)),
      show(median(values)),
      show(Math.max(...values)),
    ]),
  );

export function checkTable(checks: readonly Check[]): string {
  return table(
    ['not fitted', 'of', 'unit', 'predicted', 'measured', 'error'],
    checks.map(({ point, what, unit, quiet, predicted, measured }) => {
      const error = relativeError(predicted, measured);
      return [
        quiet ? point : `${point} †`,
        what,
        unit,
        predicted.toFixed(3),
        measured.toFixed(3),
        `${(error * 100).toFixed(0)} %${Math.abs(error) > MOST_WRONG ? ' **missed**' : ''}`,
      ];
    }),
  );
}
/** How wrong the model may be at points that it was not fitted to. */
const MOST_WRONG = 0.25;

/** One sentence: how far off the model is. */
export function checkSummary(checks: readonly Check[]): string {
  const errors = checks.map(({ predicted, measured }) => Math.abs(relativeError(predicted, measured)));
  const missed = errors.filter((one) => one > MOST_WRONG).length;
  const percent = (share: number) => `${(share * 100).toFixed(0)} %`;
  return `${checks.length} figures at points that took no part in the fit: half are within ${percent(median(errors))}, the worst is ${percent(Math.max(...errors))} off, ${missed} by more than ${percent(MOST_WRONG)}.`;
}

const micros = (seconds: number) => {
  const value = seconds * 1e6;
  return value === 0 ? '0' : value < 10 ? value.toFixed(1) : value.toFixed(0);
};
/** Between these rates a further render is priced: those of a page that is visited all the time, but not much. */
const FROM = 50;
const TO = 100;
const perRender = ({ page }: Model): number =>
  (servingCores(page, TO) - servingCores(page, FROM)) / (TO - FROM);

export function coefficientTable(model: Model): string {
  const { page, pageDatabase, build, buildCpu, times, awake } = model;
  const serving = ['for a second', 'a round of the event loop', 'a render'];
  return table(
    ['coefficient', 'unit', 'value'],
    [
      ...PROCESSES.flatMap((process) =>
        ['a wake-up', ...TERMS[process].map(({ name }) => name)].map((name, at) => [
          `${PROCESS_IN_WORDS[process]}: ${name}`,
          'µs of CPU',
          micros(model.cpu[process][at]!),
        ]),
      ),
      ...PROCESSES.map((process) => [
        `${PROCESS_IN_WORDS[process]}: awake for`,
        'µs',
        micros(awake[process]),
      ]),
      ['a round of the relay with one event', 'µs', micros(times.relay)],
      ['a round of a projector', 'µs', micros(times.projector)],
      ...serving.map((name, at) => [`page server: ${name}`, 'µs of CPU', micros(page.coefficients[at]!)]),
      ...serving.map((name, at) => [
        `its database: ${name}`,
        'µs of CPU',
        micros(pageDatabase.coefficients[at]!),
      ]),
      [`CPU of a page server per render, from ${FROM} to ${TO}/s`, 'µs', micros(perRender(model))],
      ['a render holds a connection', 'µs', micros(model.connectionPerRender)],
      ['a projector begins to write', 's', build.start.toFixed(2)],
      ['building a view, per seller', 'µs', micros(build.perSeller)],
      ['CPU of a projector that builds, per seller', 'µs', micros(buildCpu.perSeller)],
      ['what its compilation adds, in all', 's', build.warming.toFixed(2)],
    ],
  );
}

const DEMANDS = [
  { visitsPerDay: 1_000_000, writesPerDay: 10_000, sellers: 100_000 },
  { visitsPerDay: 10_000_000, writesPerDay: 100_000, sellers: 1_000_000 },
  { visitsPerDay: 50_000_000, writesPerDay: 1_000_000, sellers: 5_000_000 },
  { visitsPerDay: 500_000_000, writesPerDay: 50_000_000, sellers: 20_000_000 },
];
const ASSUMED = { peak: 3, buildSeconds: 300, clients: 3 };

/** The model's answer for some sizes of marketplace, for one page. */
export function demandTable(model: Model): string {
  return table(
    [
      'visits a day',
      'writes a day',
      'sellers',
      'page servers',
      'relay shards',
      'projectors',
      'partitions',
      'connections',
      'Kafka, cores',
      'source DB, cores',
      'page DB, cores',
    ],
    DEMANDS.map((demand) => {
      const need: Capacity = capacityFor({ ...demand, ...ASSUMED }, model);
      return [
        count(demand.visitsPerDay),
        count(demand.writesPerDay),
        count(demand.sellers),
        need.pageReplicas,
        need.relayShards,
        need.projectorReplicas,
        need.partitions,
        need.pageConnections,
        need.kafkaCores.toFixed(2),
        need.sourceDatabaseCores.toFixed(2),
        need.pageDatabaseCores.toFixed(2),
      ];
    }),
  );
}
