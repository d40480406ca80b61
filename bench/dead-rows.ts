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
  /** Commit to visible, median in ms: in turns without dead rows, and with. */
  readonly without: number;
  readonly withThem: number;
  readonly ratio: number;
  /** One look at the outbox from the floor on, median in ms: without dead rows, and with. */
  readonly lookWithout: number;
  readonly look: number;
  readonly lookRatio: number;
  /** A look from the first row on, as every look was before the floor existed, and as a new leader's first look is. */
  readonly lookFromStart: number;
}

const PER_SECOND = 500;
const SELLERS = 5_000;
const WARM_UP_SECONDS = 15;
const TURNS = 3;
const LOOKS = 200;
/** One of this many writes is watched. */
const WATCHED = 5;
const ALL = { index: 0, of: 1 };
const NOTHING = { remove: [], except: [], held: [], limit: 1_000 };

export async function measureDeadRows(
  pipeline: Pipeline,
  deadRows: number,
  seconds: number,
): Promise<DeadRowsResult> {
  await seedSellers(pipeline.source, SELLERS);
  await pipeline.relay();
  await pipeline.projector();
  const load = await openLoad(pipeline.postgres.url('source'), SELLERS);
  const turns = { without: [] as number[], withThem: [] as number[] };
  const looks = { without: [] as number[], withThem: [] as number[], fromStart: [] as number[] };
  try {
    await load.write(PER_SECOND, WARM_UP_SECONDS);
    for (let turn = 0; turn < TURNS; turn++) {
      turns.without.push(...(await latencies(pipeline, load, seconds)));
      looks.without.push(...(await timeLooks(pipeline)).fromFloor);
      const analyst = await pipeline.source.connect();
      try {
        await analyst.query('begin isolation level repeatable read; select 1');
        await makeDead(pipeline, deadRows);
        turns.withThem.push(...(await latencies(pipeline, load, seconds)));
        const { fromFloor, fromStart } = await timeLooks(pipeline);
        looks.withThem.push(...fromFloor);
        looks.fromStart.push(...fromStart);
      } finally {
        await analyst.query('rollback');
        analyst.release();
      }
      await vacuumOutbox(pipeline.source);
    }
  } finally {
    await load.close();
  }
  const [without, withThem] = [median(turns.without), median(turns.withThem)];
  const [lookWithout, look] = [median(looks.without), median(looks.withThem)];
  return {
    without,
    withThem,
    ratio: withThem / without,
    lookWithout,
    look,
    lookRatio: look / lookWithout,
    lookFromStart: median(looks.fromStart),
  };
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
