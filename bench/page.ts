/** The gig page with the feature compared with the same page without it: requests a second, interleaved. */
import { join } from 'node:path';
import { insertGigs } from '#pages/gig/own-data.ts';
import { projectionsOf } from '#pages/projections.ts';
import type { Pipeline } from '../services/local-stack/pipeline.ts';
import { seller } from '../services/seed/sellers.ts';
import { historyOf } from '../services/seed/source.ts';
import { median } from './report.ts';
import { usageOf } from './usage.ts';
import { type Attack, attack } from './vegeta.ts';

const SELLERS = 20_000;
/** One of this many sellers is visited; related gigs belong to the others. */
const VISITED_OF = 10;
const CHUNK = 1_000;
const CONNECTIONS = 16;
/** Pairs of processes: one may use a tenth more CPU a request than another of its kind, for its whole life. */
const PAIRS_OF_PROCESSES = 3;
const TURN_SECONDS = 3;
/** Warm-up turns of each page: a process gets faster for about five seconds, while V8 compiles hot code. */
const TURNS_TO_WARM = 2;

export interface PageResult {
  readonly asynchronousPerSecond: number;
  readonly offPerSecond: number;
  /** Median over the pairs of turns. */
  readonly ratio: number;
  /** CPU of the page's process for one request; median over the pairs of turns. */
  readonly cpuRatio: number;
  /** Milliseconds, under that load. */
  readonly asynchronousP99: number;
  readonly offP99: number;
}

/**
 * Fills the gig page as the demo does, with gigs and lists of all its sellers, and returns the visits: one gig of every
 * tenth seller. The first sellers have clients far more often than the rest, and a third of all have them.
 */
export async function fillGigPage(pipeline: Pipeline): Promise<readonly string[]> {
  const projection = projectionsOf('gig').asynchronous;
  const now = new Date().toISOString();
  for (let first = 1; first <= SELLERS; first += CHUNK) {
    const ids = Array.from({ length: CHUNK }, (_, i) => first + i);
    await insertGigs(
      pipeline.view,
      ids.flatMap((id) => seller(id, SELLERS).gigs),
    );
    const newest = ids.flatMap((id) => historyOf(id, now).at(-1) ?? []);
    await projection.upsert(
      pipeline.view,
      newest.map((event) => projection.toRow(event)),
    );
  }
  await pipeline.view.query('vacuum analyze');
  // The first gig of a seller has the seller's number.
  return Array.from({ length: SELLERS / VISITED_OF }, (_, i) => `/gigs/${1 + i * VISITED_OF}`);
}

/**
 * Visits a page for some seconds.
 * @throws when an answer is not a page
 */
async function visitPage(url: string, seconds: number, visits: Visits): Promise<Attack> {
  const load = { workers: CONNECTIONS };
  const result = await attack(url, visits.paths, load, seconds, join(visits.folder, 'vegeta'));
  const { 200: _, ...others } = result.statuses;
  if (Object.keys(others).length > 0) {
    throw new Error(`${url}: answers other than 200, by status (0 is none): ${JSON.stringify(others)}`);
  }
  return result;
}

/** What is visited, and where the load generator may leave its files. */
export interface Visits {
  readonly paths: readonly string[];
  readonly folder: string;
}

export interface PageServer {
  readonly pid: number;
  readonly url: string;
}

/** The figures of one page in one turn. */
interface Turn {
  readonly perSecond: number;
  /** CPU of the page's process for one request. */
  readonly cpuMs: number;
  readonly p99Ms: number;
}

/**
 * Visits two pages in pairs of turns, after warm-up turns: other load on the machine falls on both. The pages take
 * turns at being first, because the second may find the machine warmer.
 */
export async function visitByTurns(
  pages: readonly [PageServer, PageServer],
  pairs: number,
  seconds: number,
  visits: Visits,
): Promise<ReadonlyArray<readonly [Turn, Turn]>> {
  const turn = async ({ pid, url }: PageServer): Promise<Turn> => {
    const before = usageOf(pid).cpuSeconds;
    const { requests, okPerSecond, latencyMs } = await visitPage(url, seconds, visits);
    return {
      perSecond: okPerSecond,
      cpuMs: ((usageOf(pid).cpuSeconds - before) * 1_000) / requests,
      p99Ms: latencyMs.p99,
    };
  };
  const [one, other] = pages;
  for (let warming = 0; warming < TURNS_TO_WARM; warming++) {
    await turn(one);
    await turn(other);
  }
  const turns: Array<readonly [Turn, Turn]> = [];
  for (let pair = 0; pair < pairs; pair++) {
    const first = pair % 2 === 0 ? await turn(one) : null;
    const second = await turn(other);
    const both = [first ?? (await turn(one)), second] as const;
    turns.push(both);
    process.stderr.write(`${pair + 1} of ${pairs}: ${(both[0].perSecond / second.perSecond).toFixed(3)}\n`);
  }
  return turns;
}

export async function measurePage(pipeline: Pipeline, seconds: number): Promise<PageResult> {
  const serve = async (delivery: 'asynchronous' | 'off', pair: number) => {
    const name = `page-${delivery}-${pair}`;
    const server = await pipeline.start({ role: 'page-server', name, page: 'gig', delivery });
    return { pid: server.pid, stop: () => server.stop(), url: server.url };
  };
  // All pages get the same gigs in the same order.
  const visits = { paths: await fillGigPage(pipeline), folder: pipeline.folder };
  const pairsOfTurns = Math.ceil(seconds / TURN_SECONDS / PAIRS_OF_PROCESSES);
  const turns: Array<readonly [Turn, Turn]> = [];
  for (let pair = 1; pair <= PAIRS_OF_PROCESSES; pair++) {
    const [asynchronous, off] = [await serve('asynchronous', pair), await serve('off', pair)];
    try {
      turns.push(...(await visitByTurns([asynchronous, off], pairsOfTurns, TURN_SECONDS, visits)));
    } finally {
      await asynchronous.stop();
      await off.stop();
    }
  }
  const perSecond = (at: 0 | 1) => turns.reduce((sum, pair) => sum + pair[at].perSecond, 0) / turns.length;
  const p99 = (at: 0 | 1) => Math.max(...turns.map((pair) => pair[at].p99Ms));
  return {
    asynchronousPerSecond: perSecond(0),
    offPerSecond: perSecond(1),
    ratio: median(turns.map(([on, without]) => on.perSecond / without.perSecond)),
    cpuRatio: median(turns.map(([on, without]) => on.cpuMs / without.cpuMs)),
    asynchronousP99: p99(0),
    offP99: p99(1),
  };
}
