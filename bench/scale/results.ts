/** The results of `make bench-scale`, and the tables of the document. Pure. */

import type { Environment } from '../machine.ts';
import type { Latencies } from '../vegeta.ts';
import { type Capacity, type Coefficients, capacityFor, fitLine, predict, relativeError } from './model.ts';

export interface Build {
  readonly projectors: number;
  /** From the start of the processes to the last row. */
  readonly seconds: number;
  readonly projectorCpuSeconds: number;
  readonly postgresCpuSeconds: number;
  /** Of the largest projector. */
  readonly projectorPeakMb: number;
  readonly othersCores: number;
}
export interface PagePoint {
  readonly rate: number;
  readonly latencyMs: Latencies;
  /** Of the page server. */
  readonly cores: number;
  readonly okShare: number;
  readonly residentMb: number;
  readonly othersCores: number;
}
export interface SizeResult {
  readonly sellers: number;
  readonly producedPerSecond: number;
  readonly builds: readonly Build[];
  readonly viewBytes: number;
  readonly pages: readonly PagePoint[];
  readonly kafkaMb: number;
  readonly relayCpuPerEvent: number;
}
export interface ScaleResults {
  readonly environment: Environment;
  readonly quick: boolean;
  readonly sizes: readonly SizeResult[];
}

/** A prediction beside the measured value, which was not fitted. */
export interface Check {
  readonly what: string;
  readonly unit: string;
  readonly predicted: number;
  readonly measured: number;
}

const builtBy = (size: SizeResult, projectors: number) =>
  size.builds.find((build) => build.projectors === projectors)!;

/** Fitted to all sizes but the last; at the last but one size, to all rates but the highest. */
export function fitModel({ sizes }: ScaleResults): { coefficients: Coefficients; checks: Check[] } {
  const [fitted, last] = [sizes.slice(0, -1), sizes.at(-1)!];
  const build = fitLine(fitted.map((size) => ({ x: size.sellers, y: builtBy(size, 1).seconds })));
  const applied = fitLine(
    fitted.map((size) => ({ x: size.sellers, y: builtBy(size, 1).projectorCpuSeconds })),
  );
  const pages = fitted.flatMap((size) => size.pages.slice(0, -1));
  const cores = fitLine(pages.map((point) => ({ x: point.rate, y: point.cores })));
  const highest = last.pages.at(-1)!;
  return {
    coefficients: {
      cpuPerRender: cores.perUnit,
      // A render holds a connection for one statement, which is less than the whole render.
      connectionPerRender: Math.min(...pages.map((point) => point.latencyMs.p50)) / 1_000,
      cpuPerRelayed: Math.min(...fitted.map((size) => size.relayCpuPerEvent)),
      cpuPerApplied: applied.perUnit,
      build,
    },
    checks: [
      {
        what: `building ${count(last.sellers)} sellers with one projector`,
        unit: 's',
        predicted: predict(build, last.sellers),
        measured: builtBy(last, 1).seconds,
      },
      {
        what: `CPU of that projector`,
        unit: 's',
        predicted: predict(applied, last.sellers),
        measured: builtBy(last, 1).projectorCpuSeconds,
      },
      {
        what: `page server at ${highest.rate} renders/s with ${count(last.sellers)} sellers`,
        unit: 'cores',
        predicted: predict(cores, highest.rate),
        measured: highest.cores,
      },
    ],
  };
}

const count = (value: number) => value.toLocaleString('en-US');
const table = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

export function measuredTable({ sizes }: ScaleResults): string {
  const names = [
    'sellers',
    'messages/s into Kafka',
    'built by one projector, s',
    'events/s',
    'by two, s',
    'events/s',
    'CPU s of one projector',
    'of PostgreSQL',
    'projector peak MB',
    'Kafka MB',
    'view, bytes a seller',
    ...sizes[0]!.pages.flatMap(({ rate }) => [`page p50 ms at ${rate}/s`, 'p99 ms']),
    'others on the machine, cores at most',
  ];
  return table(
    names,
    sizes.map((size) => {
      const [one, two] = [builtBy(size, 1), builtBy(size, 2)];
      return [
        count(size.sellers),
        count(Math.round(size.producedPerSecond)),
        one.seconds.toFixed(1),
        count(Math.round(size.sellers / one.seconds)),
        two.seconds.toFixed(1),
        count(Math.round(size.sellers / two.seconds)),
        one.projectorCpuSeconds.toFixed(1),
        one.postgresCpuSeconds.toFixed(1),
        one.projectorPeakMb.toFixed(0),
        size.kafkaMb.toFixed(0),
        count(Math.round(size.viewBytes / size.sellers)),
        ...size.pages.flatMap(({ latencyMs }) => [latencyMs.p50.toFixed(1), latencyMs.p99.toFixed(1)]),
        Math.max(...[...size.builds, ...size.pages].map((each) => each.othersCores)).toFixed(2),
      ];
    }),
  );
}

export function checkTable(results: ScaleResults): string {
  return table(
    ['not fitted', 'unit', 'predicted', 'measured', 'error'],
    fitModel(results).checks.map(({ what, unit, predicted, measured }) => [
      what,
      unit,
      predicted.toFixed(2),
      measured.toFixed(2),
      `${(relativeError(predicted, measured) * 100).toFixed(0)} %`,
    ]),
  );
}

export function coefficientTable(results: ScaleResults): string {
  const { coefficients: of } = fitModel(results);
  const micro = (seconds: number) => (seconds * 1e6).toFixed(0);
  return table(
    ['coefficient', 'unit', 'value'],
    [
      ['CPU of a page server per render', 'µs', micro(of.cpuPerRender)],
      ['a render holds a connection', 'µs', micro(of.connectionPerRender)],
      ['CPU of the relay per event', 'µs', micro(of.cpuPerRelayed)],
      ['CPU of a projector per event', 'µs', micro(of.cpuPerApplied)],
      ['start of a projector', 's', of.build.fixed.toFixed(2)],
      ['building a view, per seller', 'µs', micro(of.build.perUnit)],
    ],
  );
}

const DEMANDS = [
  { visitsPerDay: 1_000_000, writesPerDay: 10_000, sellers: 100_000 },
  { visitsPerDay: 10_000_000, writesPerDay: 100_000, sellers: 1_000_000 },
  { visitsPerDay: 50_000_000, writesPerDay: 1_000_000, sellers: 5_000_000 },
  { visitsPerDay: 500_000_000, writesPerDay: 50_000_000, sellers: 20_000_000 },
];
const PEAK = 3;
const BUILD_SECONDS = 300;

/** The model's answer for some sizes of marketplace, for one page. */
export function demandTable(results: ScaleResults): string {
  const { coefficients } = fitModel(results);
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
    ],
    DEMANDS.map((demand) => {
      const need: Capacity = capacityFor(
        { ...demand, peak: PEAK, buildSeconds: BUILD_SECONDS },
        coefficients,
      );
      return [
        count(demand.visitsPerDay),
        count(demand.writesPerDay),
        count(demand.sellers),
        need.pageReplicas,
        need.relayShards,
        need.projectorReplicas,
        need.partitions,
        need.pageConnections,
      ];
    }),
  );
}
