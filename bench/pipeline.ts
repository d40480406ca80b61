/**
 * The measured pipeline: `make bench-pipeline`, or `node bench/pipeline.ts [--runs 3] [--quick] [--only latency,page]`.
 * Starts its own PostgreSQL and Kafka, and every role as a separate process, as in production. Three runs of what is a figure
 * of this machine, five of what is a ratio with a target, or as many as `--runs` says. `--quick` is a quick look (shorter,
 * one run); its figures are no result.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { takeLock } from '../services/local-stack/folder-lock.ts';
import { type Pipeline, startPipeline } from '../services/local-stack/pipeline.ts';
import { measureBacklog } from './backlog.ts';
import { type Calibration, calibrate, calibrationFigures, calibrationLine } from './calibration.ts';
import { measureDeadRows, SLICES } from './dead-rows.ts';
import { measureLatency } from './latency.ts';
import { environment, serverVersions } from './machine.ts';
import type { PipelineRun } from './measured.ts';
import { MEASURED_PAGES, measurePages } from './page.ts';
import { measureRatios } from './ratios.ts';
import { measureRecovery } from './recovery.ts';
import { type Figure, table } from './report.ts';
import { emptyEverything } from './reset.ts';
import { measureSearch } from './search.ts';

const { values: flags } = parseArgs({
  options: {
    runs: { type: 'string' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
  },
});
const runs = Number(flags.runs ?? (flags.quick ? 1 : 3));
/** Of what has a ratio to reach. */
const ratioRuns = Number(flags.runs ?? (flags.quick ? 1 : 5));
const events = flags.quick ? 50_000 : 200_000;
const deadRows = flags.quick ? 200_000 : 1_000_000;
/** The demo's value. A broker allows no less than 6,000 by default. */
const SESSION_TIMEOUT_MS = 2_000;

async function inRuns<R>(wanted: number, measure: () => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  while (results.length < wanted) results.push(await measure());
  return results;
}

/** In this order. Each gives a value for a run, or one with a value for each of its own turns. */
const MEASUREMENTS = {
  latency: (pipeline: Pipeline) => measureLatency(pipeline, flags.quick ? 9 : 15, runs),
  recovery: (pipeline: Pipeline) => measureRecovery(pipeline, SESSION_TIMEOUT_MS, runs),
  dead: (pipeline: Pipeline) =>
    inRuns(1, () => measureDeadRows(pipeline, deadRows, 3, Math.ceil(ratioRuns / SLICES))),
  backlog: (pipeline: Pipeline) => inRuns(runs, () => measureBacklog(pipeline, events)),
  ratios: (pipeline: Pipeline) => inRuns(ratioRuns, () => measureRatios(pipeline, events)),
  page: (pipeline: Pipeline) => inRuns(1, () => measurePages(pipeline, flags.quick ? 9 : 18)),
  search: (pipeline: Pipeline) => inRuns(1, () => measureSearch(pipeline, flags.quick ? 10 : 25)),
};
type Name = keyof typeof MEASUREMENTS;
const VIEWS = [{ delivery: 'asynchronous' }] as const;
type Results = { [N in Name]?: Awaited<ReturnType<(typeof MEASUREMENTS)[N]>> };

const only = flags.only?.split(',') ?? Object.keys(MEASUREMENTS);
const unknown = only.find((name) => !Object.hasOwn(MEASUREMENTS, name));
if (unknown !== undefined || !(runs >= 1)) {
  process.stderr.write(
    `--only takes ${Object.keys(MEASUREMENTS).join(', ')}, separated by commas; --runs a number from 1\n`,
  );
  process.exit(2);
}

// Two benches at once would disturb each other.
const release = await takeLock(join(tmpdir(), 'top-clients-bench.lock'));

/** In seconds, by what was done. */
const took: Record<string, number> = {};
async function timed<R>(what: string, work: () => Promise<R>): Promise<R> {
  const startedAt = performance.now();
  try {
    return await work();
  } finally {
    took[what] = (took[what] ?? 0) + (performance.now() - startedAt) / 1_000;
  }
}

const load = () => readFileSync('/proc/loadavg', 'utf8').split(' ').slice(0, 2).join(' ');
const results: Results = {};
const loads: string[] = [];
// One set of servers: they take a while to start, and Kafka half a minute to be warm.
const pipeline = await timed('servers', () => startPipeline({ pages: { user: VIEWS, search: VIEWS } }));
let calibration: Calibration;
try {
  calibration = await timed('calibration', () => calibrate(pipeline));
  process.stderr.write(`${calibrationLine(calibration)}\n`);
  for (const name of Object.keys(MEASUREMENTS) as Name[]) {
    if (!only.includes(name)) continue;
    loads.push(load());
    process.stderr.write(`${name} (load ${loads.at(-1)})\n`);
    results[name] = (await timed(name, async () => {
      // What was measured before leaves nothing behind.
      if (loads.length > 1) await emptyEverything(pipeline);
      return MEASUREMENTS[name](pipeline);
    })) as never;
    process.stderr.write(`${took[name]!.toFixed(0)} s: ${JSON.stringify(results[name])}\n`);
  }
} finally {
  await timed('servers', pipeline.stop);
}

const figure = <N extends Name>(
  of: N,
  name: string,
  unit: string,
  value: (result: Awaited<ReturnType<(typeof MEASUREMENTS)[N]>>[number]) => number | readonly number[],
  target: Figure['target'] = null,
  debezium?: string,
): Figure[] => {
  const all = results[of] as Array<Awaited<ReturnType<(typeof MEASUREMENTS)[N]>>[number]> | undefined;
  return all ? [{ name, unit, target, values: all.flatMap(value), ...(debezium ? { debezium } : {}) }] : [];
};
const figures = [
  ...calibrationFigures([calibration]),
  ...figure('latency', 'commit → visible, p50', 'ms', (r) => r.p50, { most: 5 }, '8.2–8.6'),
  ...figure('latency', 'commit → visible, p99', 'ms', (r) => r.p99, { most: 12 }, '16–17'),
  ...figure('latency', 'commit → visible, longest', 'ms', (r) => r.max),
  ...figure(
    'latency',
    'CPU of relay and projector, per 100,000 events',
    's',
    (r) => r.cpu.relay + r.cpu.projector,
    { most: 40 },
    '40',
  ),
  ...figure('latency', 'CPU of Kafka, per 100,000 events', 's', (r) => r.cpu.kafka),
  ...figure('latency', 'CPU of PostgreSQL, writers included, per 100,000 events', 's', (r) => r.cpu.postgres),
  ...figure(
    'latency',
    'memory of relay and projector, peak',
    'MB',
    (r) => r.residentMb.relay + r.residentMb.projector,
    { most: 575 },
    '575–950',
  ),
  ...figure('latency', 'memory of Kafka, peak', 'MB', (r) => r.residentMb.kafka),
  ...figure(
    'backlog',
    `backlog of ${events.toLocaleString('en-US')} through to the view`,
    's',
    (r) => r.throughSeconds,
    { most: 11.2 },
    '11.2–12.4',
  ),
  ...figure('backlog', 'relay alone', 'events/s', (r) => r.relayPerSecond, { least: 37_000 }, '37,000'),
  ...figure(
    'backlog',
    'projector alone, its start included',
    'events/s',
    (r) => r.projectorPerSecond,
    { least: 29_000 },
    '29,000',
  ),
  ...figure('ratios', 'relay', 'events/s', (r) => r.relayPerSecond),
  ...figure('ratios', 'bare kafkajs producer, same batches', 'events/s', (r) => r.producerPerSecond),
  ...figure('ratios', 'relay ÷ bare producer', '', (r) => r.relayRatio, { least: 0.7 }),
  ...figure('ratios', 'projector', 'events/s', (r) => r.projectorPerSecond),
  ...figure('ratios', 'same upsert without Kafka', 'rows/s', (r) => r.upsertPerSecond),
  ...figure('ratios', 'projector ÷ bare upsert', '', (r) => r.projectorRatio, { least: 0.7 }),
  ...figure(
    'ratios',
    `view of ${events.toLocaleString('en-US')} sellers from the topic, from the start of the process`,
    's',
    (r) => r.rebuildSeconds,
    { most: 6 },
  ),
  ...figure(
    'recovery',
    'caught up after kill -9 of the relay',
    's',
    (r) => r.relaySeconds,
    { most: 7.4 },
    '7.4',
  ),
  ...figure(
    'recovery',
    'caught up after kill -9 of the projector',
    's',
    (r) => r.projectorSeconds,
    { most: 7.4 },
    '7.4',
  ),
  ...figure('dead', 'commit → visible, p50, no dead rows in the outbox', 'ms', (r) => r.without),
  ...figure(
    'dead',
    `the same with ${deadRows.toLocaleString('en-US')} dead rows under an old snapshot`,
    'ms',
    (r) => r.withThem,
  ),
  ...figure(
    'dead',
    `commit → visible, p50, with ${deadRows.toLocaleString('en-US')} dead rows ÷ without`,
    '',
    (r) => r.ratio,
    { most: 2 },
  ),
  ...figure('dead', 'a look at the outbox, no dead rows', 'ms', (r) => r.lookWithout),
  ...figure('dead', 'a look at the outbox with them', 'ms', (r) => r.look),
  ...figure('dead', 'a look at the outbox, with dead rows ÷ without', '', (r) => r.lookRatio),
  ...figure('dead', 'the first look of a new leader, with them', 'ms', (r) => r.lookFromStart),
  ...MEASURED_PAGES.flatMap((page) => [
    ...figure('page', `${page} page, asynchronous`, 'requests/s', (r) => r[page].asynchronousPerSecond),
    ...figure('page', `${page} page, feature off`, 'requests/s', (r) => r[page].offPerSecond),
    ...figure('page', `${page} page, asynchronous ÷ off`, '', (r) => r[page].ratio, { least: 0.97 }),
    ...figure(
      'page',
      `${page} page, CPU of the page a request, asynchronous ÷ off`,
      '',
      (r) => r[page].cpuRatio,
    ),
  ]),
  ...figure('search', 'search of 1,000,000 listings, 50 renders/s, p50', 'ms', (r) => r.p50),
  ...figure('search', 'search of 1,000,000 listings, 50 renders/s, p99', 'ms', (r) => r.p99, { most: 15 }),
];
const { at, commit, cpu, cores, memoryGb, versions } = environment('', serverVersions());
const busiestLoad = Math.max(...loads.map((one) => Number(one.split(' ')[0])));
const whole: PipelineRun = {
  at,
  commit,
  cpu,
  cores,
  memoryGb,
  versions,
  runs,
  ratioRuns,
  busiestLoad,
  figures,
};
const minutes = Object.values(took).reduce((sum, one) => sum + one, 0) / 60;
const parts = Object.entries(took).map(([what, seconds]) => `${what} ${seconds.toFixed(0)} s`);
process.stderr.write(`\n${minutes.toFixed(1)} minutes: ${parts.join(', ')}\n`);
process.stdout.write(
  `\n${cpu}, ${cores} cores; load before a measurement at most ${busiestLoad}\n\n${table(figures)}\n`,
);
// A quick or partial run is no result: `make bench-report` keeps only what is in results.json.
const isWhole = !flags.quick && flags.only === undefined;
const folder = join(import.meta.dirname, 'results', 'pipeline');
mkdirSync(folder, { recursive: true });
const write = (name: string, value: unknown) =>
  writeFileSync(join(folder, name), `${JSON.stringify(value, null, 2)}\n`);
write(flags.quick ? 'quick.json' : 'raw.json', { machine: cpu, calibration, loads, took, results });
if (isWhole) write('results.json', whole);
await release();
