/**
 * The cost of outbox rows that were sent and deleted while a transaction holds an older snapshot (a dump, an analyst's
 * session), so that vacuum cannot remove them. The relay and the projector are separate processes; turns with and
 * without dead rows alternate. Not measured: what the same snapshot does to other tables.
 */

import { silentLog } from '#platform/log.ts';
import { connect } from '#platform/postgres.ts';
import type { Pipeline } from '../services/local-stack/pipeline.ts';
import { addDeadRows, vacuumOutbox } from '../services/top-clients/adapters/postgres/bulk-writes.ts';
import {
  ackAndFetchRows,
  openOutbox,
  prepareSession,
} from '../services/top-clients/adapters/postgres/outbox.ts';
import { type Load, openLoad, seedSellers } from './load.ts';
import { observeView } from './observer.ts';
import { median } from './report.ts';

export interface DeadRowsResult {
  /** Commit to visible, median in ms: in slices without dead rows, and with. A value for each slice. */
  readonly without: readonly number[];
  readonly withThem: readonly number[];
  readonly ratio: readonly number[];
  /** One look at the outbox from the floor on, median in ms: without dead rows, and with. A value for each turn. */
  readonly lookWithout: readonly number[];
  readonly look: readonly number[];
  readonly lookRatio: readonly number[];
  /** A look from the first row on, as every look was before the floor existed, and as a new leader's first look is. */
  readonly lookFromStart: readonly number[];
}

const PER_SECOND = 500;
const SELLERS = 5_000;
const WARM_UP_SECONDS = 6;
/** Of each half of a turn: a million dead rows take longer to make than to measure. */
export const SLICES = 3;
/**
 * A relay that was idle learns where its looks may begin once rows come again: it goes over all dead rows until then. They are
 * made here while nothing else happens; in earnest it is what the relay sends that dies.
 */
const SETTLING_SECONDS = 3;
const LOOKS = 200;
/** One of this many writes is watched. */
const WATCHED = 5;
const ALL = { index: 0, of: 1 };
const NOTHING = { remove: [], except: [], held: [], limit: 1_000 };

/** @param seconds of each slice */
export async function measureDeadRows(
  pipeline: Pipeline,
  deadRows: number,
  seconds: number,
  turns: number,
): Promise<DeadRowsResult> {
  await seedSellers(pipeline.source, SELLERS);
  const relay = await pipeline.relay();
  const projector = await pipeline.projector();
  const load = await openLoad(pipeline.postgres.url('source'), SELLERS);
  const all: Turn[] = [];
  try {
    await load.write(PER_SECOND, WARM_UP_SECONDS);
    for (let turn = 0; turn < turns; turn++) all.push(await takeTurn(pipeline, load, deadRows, seconds));
  } finally {
    await load.close();
    await projector.stop();
    await relay.stop();
  }
  return {
    without: all.flatMap((one) => one.without),
    withThem: all.flatMap((one) => one.withThem),
    ratio: all.flatMap((one) => one.withThem.map((ms, slice) => ms / one.without[slice]!)),
    lookWithout: all.map((one) => one.lookWithout),
    look: all.map((one) => one.look),
    lookRatio: all.map((one) => one.look / one.lookWithout),
    lookFromStart: all.map((one) => one.lookFromStart),
  };
}

interface Turn {
  readonly without: readonly number[];
  readonly withThem: readonly number[];
  readonly lookWithout: number;
  readonly look: number;
  readonly lookFromStart: number;
}

async function takeTurn(pipeline: Pipeline, load: Load, deadRows: number, seconds: number): Promise<Turn> {
  const without = await inSlices(pipeline, load, seconds);
  const lookWithout = median((await timeLooks(pipeline)).fromFloor);
  const analyst = await pipeline.source.connect();
  try {
    await analyst.query('begin isolation level repeatable read; select 1');
    await makeDead(pipeline, deadRows);
    await load.write(PER_SECOND, SETTLING_SECONDS);
    const withThem = await inSlices(pipeline, load, seconds);
    const { fromFloor, fromStart } = await timeLooks(pipeline);
    return { without, withThem, lookWithout, look: median(fromFloor), lookFromStart: median(fromStart) };
  } finally {
    await analyst.query('rollback');
    analyst.release();
    await vacuumOutbox(pipeline.source);
  }
}

async function inSlices(pipeline: Pipeline, load: Load, seconds: number): Promise<number[]> {
  const medians: number[] = [];
  while (medians.length < SLICES) medians.push(median(await latencies(pipeline, load, seconds)));
  return medians;
}

async function latencies(pipeline: Pipeline, load: Load, seconds: number): Promise<number[]> {
  const observer = await observeView(pipeline);
  let count = 0;
  await load.write(PER_SECOND, seconds, (one) => {
    if (count++ % WATCHED === 0) observer.expect(one);
  });
  return (await observer.finish()).map(({ at, visibleAt }) => visibleAt - at);
}

async function makeDead(pipeline: Pipeline, rows: number): Promise<void> {
  const atATime = 100_000;
  for (let left = rows; left > 0; left -= atATime) {
    const client = await pipeline.source.connect();
    try {
      await addDeadRows(client, Math.min(left, atATime));
    } finally {
      client.release();
    }
  }
  await pipeline.source.query('checkpoint');
}

/** Measured in a relay's kind of session, beside the relay that sends. */
async function timeLooks(pipeline: Pipeline) {
  const db = await connect(
    {
      url: pipeline.postgres.url('source'),
      applicationName: 'bench-looks',
      statementTimeoutMs: 60_000,
      connectTimeoutMs: 5_000,
      pipeline: true,
    },
    () => {},
  );
  try {
    await prepareSession(db);
    const time = async (look: () => Promise<unknown>) => {
      const startedAt = performance.now();
      await look();
      return performance.now() - startedAt;
    };
    const fromStart: number[] = [];
    for (let i = 0; i < 3; i++) fromStart.push(await time(() => ackAndFetchRows(db, ALL, NOTHING, 0)));
    const outbox = openOutbox(db, ALL, silentLog);
    const fromFloor: number[] = [];
    for (let i = 0; i < LOOKS + 20; i++) {
      const tookMs = await time(() => outbox.ackAndFetch(NOTHING));
      if (i >= 20) fromFloor.push(tookMs);
    }
    return { fromStart, fromFloor };
  } finally {
    await db.end();
  }
}
