/**
 * Each page with the feature compared with the same page without it: requests a second, interleaved. Once a bench and
 * not once a run, for the slices are of several processes.
 */
import { join } from 'node:path';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { type Pipeline, VIEW } from '../services/local-stack/pipeline.ts';
import { fillPage, type MeasuredPage, visitsTo } from './page-data.ts';
import { usageOf } from './usage.ts';
import { type Attack, attack } from './vegeta.ts';

const CONNECTIONS = 16;
/** Pairs of processes: one may use a tenth more CPU a request than another of its kind, for its whole life. */
const PAIRS_OF_PROCESSES = 3;
const TURN_SECONDS = 1.5;
/**
 * Warm-up turns of each page: a process gets faster for about five seconds, while V8 compiles hot code. In turns, so that none
 * rests for longer than the other.
 */
const TURNS_TO_WARM = 3;
export const MEASURED_PAGES = ['gig', 'user', 'search'] as const satisfies readonly MeasuredPage[];

/** A value for each slice, which is a turn of the page with the feature and a turn without. */
export interface PageSlices {
  readonly asynchronousPerSecond: readonly number[];
  readonly offPerSecond: readonly number[];
  readonly ratio: readonly number[];
  /** CPU of the page's process for one request. */
  readonly cpuRatio: readonly number[];
}
export type PageResult = Readonly<Record<MeasuredPage, PageSlices>>;

/** The database of a page, with its asynchronous view first in the search path. End it. */
export const pageDatabase = (pipeline: Pipeline, page: MeasuredPage): Pool =>
  openPool(
    {
      url: pipeline.pagesPostgres.url(page),
      applicationName: 'bench',
      statementTimeoutMs: 300_000,
      connectTimeoutMs: 5_000,
      maximum: 2,
      searchPath: [VIEW, 'public'],
    },
    silentLog,
  );

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
 * Visits two pages in pairs of turns, once they are warm: other load on the machine falls on both. The pages take
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

async function measureOne(pipeline: Pipeline, page: MeasuredPage, seconds: number): Promise<PageSlices> {
  const db = pageDatabase(pipeline, page);
  try {
    await fillPage(page, db);
  } finally {
    await db.end();
  }
  const serve = async (delivery: 'asynchronous' | 'off', pair: number) => {
    const name = `${page}-${delivery}-${pair}`;
    const server = await pipeline.start({ role: 'page-server', name, page, delivery });
    return { pid: server.pid, stop: () => server.stop(), url: server.url };
  };
  const visits = { paths: visitsTo(page), folder: pipeline.folder };
  const pairsOfTurns = Math.ceil(seconds / (2 * TURN_SECONDS) / PAIRS_OF_PROCESSES);
  const turns: Array<readonly [Turn, Turn]> = [];
  for (let pair = 1; pair <= PAIRS_OF_PROCESSES; pair++) {
    const [asynchronous, off] = await Promise.all([serve('asynchronous', pair), serve('off', pair)]);
    try {
      turns.push(...(await visitByTurns([asynchronous, off], pairsOfTurns, TURN_SECONDS, visits)));
    } finally {
      await Promise.all([asynchronous.stop(), off.stop()]);
    }
  }
  return {
    asynchronousPerSecond: turns.map(([on]) => on.perSecond),
    offPerSecond: turns.map(([, without]) => without.perSecond),
    ratio: turns.map(([on, without]) => on.perSecond / without.perSecond),
    cpuRatio: turns.map(([on, without]) => on.cpuMs / without.cpuMs),
  };
}

/** @param seconds of each page, in all its slices together */
export async function measurePages(pipeline: Pipeline, seconds: number): Promise<PageResult> {
  const gig = await measureOne(pipeline, 'gig', seconds);
  const user = await measureOne(pipeline, 'user', seconds);
  const search = await measureOne(pipeline, 'search', seconds);
  return { gig, user, search };
}
