/**
 * The load generator: vegeta, a separate program. Requests leave on schedule whatever the answers do (it starts another
 * worker when all of them wait). So a stalled server cannot hide its stall: there is no coordinated omission.
 */
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runToEnd } from '../services/local-stack/process.ts';

const MODULE = fileURLToPath(new URL('./loadgen/', import.meta.url));
const CACHE = fileURLToPath(new URL('../.cache/', import.meta.url));
/** A page answers within its own deadline of 1 s, so an answer that takes longer than this never comes. */
const TIMEOUT = '5s';

export interface Latencies {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface Attack {
  /** Requests a second asked for; null: as many as the server could serve. */
  readonly rate: number | null;
  readonly requests: number;
  /** Answers of status 200 a second, over the time until the last one. */
  readonly okPerSecond: number;
  /** Answers by status; 0: there was no answer. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Milliseconds, from the moment a request left to the last byte of its answer. */
  readonly latencyMs: Latencies;
  /**
   * The longest that vegeta itself was behind its schedule, in ms, by which its figures may be wrong. Null without a
   * schedule.
   */
  readonly latestStartMs: number | null;
}

/** The path of the program, in the version that go.mod names; a missing version is built. */
async function program(): Promise<string> {
  const version = /vegeta\/v12 v(\S+)/.exec(await readFile(join(MODULE, 'go.mod'), 'utf8'))![1]!;
  const built = join(CACHE, `vegeta-${version}`);
  if (!existsSync(built)) {
    await mkdir(CACHE, { recursive: true });
    const go = ['/usr/local/go/bin/go'].find((path) => existsSync(path)) ?? 'go';
    await runToEnd(go, ['build', '-o', built, 'github.com/tsenart/vegeta/v12'], { cwd: MODULE });
  }
  return built;
}

/** Builds the generator if it is missing (a minute; needs Go and the network). @returns its version */
export async function prepareVegeta(): Promise<string> {
  return (await program()).split('vegeta-')[1]!;
}

/**
 * Sends requests to the paths in turn, and starts again after the last.
 * @param load either this many requests a second whatever happens, or as many as `workers` get answered one after the
 * other
 * @param folder for the targets and the raw results
 */
export async function attack(
  base: string,
  paths: readonly string[],
  load: { readonly rate: number } | { readonly workers: number },
  seconds: number,
  folder: string,
): Promise<Attack> {
  const vegeta = await program();
  await mkdir(folder, { recursive: true });
  const [targets, raw] = [join(folder, 'targets.txt'), join(folder, 'raw.bin')];
  await writeFile(targets, `${paths.map((path) => `GET ${base}${path}`).join('\n')}\n`);
  const pace =
    'rate' in load
      ? ['-rate', `${load.rate}/1s`]
      : ['-rate', '0', '-workers', `${load.workers}`, '-max-workers', `${load.workers}`];
  await runToEnd(vegeta, [
    'attack',
    ...['-targets', targets, '-duration', `${seconds}s`, '-timeout', TIMEOUT, '-output', raw],
    // Bodies are read and dropped. Redirects are not followed, because a second page would be measured too.
    ...['-max-body', '0', '-redirects', '-1', '-max-connections', '1000'],
    ...pace,
  ]);
  const rate = 'rate' in load ? load.rate : null;
  const [report, plot, csv] = await Promise.all([
    runToEnd(vegeta, ['report', '-type', 'json', raw]),
    runToEnd(vegeta, ['report', '-type', 'hdrplot', raw]),
    // Without a schedule nothing is behind it, and every request would be written out.
    rate === null ? '' : runToEnd(vegeta, ['encode', '-to', 'csv', raw]),
  ]);
  return { ...readReport(report, plot, rate), latestStartMs: rate === null ? null : latestStart(csv, rate) };
}

const MS = 1e6;

/** Joins vegeta's two reports, because the first has no p99.9. Exported for its spec. */
export function readReport(
  json: string,
  hdrplot: string,
  rate: number | null,
): Omit<Attack, 'latestStartMs'> {
  const report = JSON.parse(json) as {
    requests: number;
    throughput: number;
    latencies: { '50th': number; '95th': number; '99th': number; max: number };
    status_codes: Record<string, number>;
  };
  const { latencies } = report;
  return {
    rate,
    requests: report.requests,
    okPerSecond: report.throughput,
    statuses: report.status_codes,
    latencyMs: {
      p50: latencies['50th'] / MS,
      p95: latencies['95th'] / MS,
      p99: latencies['99th'] / MS,
      p999: quantileOf(hdrplot, 0.999),
      max: latencies.max / MS,
    },
  };
}

/** The value of the first line at or above a quantile: `Value(ms) Percentile TotalCount 1/(1-Percentile)`. */
function quantileOf(hdrplot: string, quantile: number): number {
  for (const line of hdrplot.split('\n')) {
    const [value, at] = line.trim().split(/\s+/).map(Number);
    if (value !== undefined && at !== undefined && at >= quantile) return value;
  }
  throw new Error(`vegeta's report has no line for the quantile ${quantile}:\n${hdrplot.slice(0, 500)}`);
}

/**
 * How far the generator fell behind its own schedule at most, in ms. Columns: time in ns, status, latency, bytes out
 * and in, error, body, name, sequence number, …
 */
export function latestStart(csv: string, rate: number): number {
  let first: { at: bigint } | null = null;
  let latest = 0;
  const rows = csv
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(','))
    .map((cells) => ({ at: BigInt(cells[0]!), sequence: Number(cells[8]) }))
    .sort((a, b) => a.sequence - b.sequence);
  for (const { at, sequence } of rows) {
    first ??= { at };
    latest = Math.max(latest, Number(at - first.at) / MS - (sequence * 1_000) / rate);
  }
  return latest;
}
