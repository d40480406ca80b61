/** What a run of republish leaves in the outbox, whatever statement of it was the last one: on real PostgreSQL. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type pg from 'pg';
import { userName } from '#contracts/database-users.ts';
import { decodeEvent } from '#contracts/event-codec.ts';
import { partitionOf } from '#contracts/partition.ts';
import { silentLog } from '#platform/log.ts';
import { connect as connectTo, type Queryable } from '#platform/postgres.ts';
import { makeUsers, namesOf } from '../../services/local-stack/database-users.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { migrateSource } from '../../services/migrate/databases.ts';
import { growPartitions } from '../../services/republish/growth.ts';
import { beginRun, finishRun } from '../../services/republish/run.ts';
import { readProgress } from '../../services/top-clients/adapters/postgres/partition-layout.ts';

const SELLERS = 60;
const OPTIONS = { sellersPerSecond: 1_000_000, mostWaiting: 1_000_000, sellersAtATime: 7 };
const LOST: [string, boolean][] = [
  ['is lost on its way', false],
  ['is done and not answered', true],
];
const TOPIC = { count: async () => 1_000, grow: null };

let folder: string;
let postgres: LocalPostgres;
let db: pg.Client;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'republish-'));
  postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  await postgres.createDatabase('source');
  await makeUsers(postgres, ['source']);
  await migrateSource(postgres.url('source'), silentLog, { users: namesOf('source') });
  db = await connect();
}, 60_000);

afterAll(async () => {
  await db?.end();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Of three sellers one was erased, and of ten one has never changed anything. */
beforeEach(async () => {
  await db.query(`truncate seller, seller_event, outbox, republish, partition_layout;
    insert into partition_layout (partitions) values (4);
    insert into seller (seller_id, version, clients, erased, updated_at)
      select id, case when id % 10 = 0 then 0 else 3 end, '[]', id % 3 = 0, date_trunc('milliseconds', now()) from generate_series(1, ${SELLERS}) id;
    insert into seller_event (seller_id, version, type, change, committed_at)
      select seller_id, version, 'seller-erased', '{"type":"seller-erased"}', now() from seller where version > 0`);
});

const connect = (user?: string): Promise<pg.Client> =>
  connectTo(
    {
      url: postgres.url('source', user),
      applicationName: 'test',
      statementTimeoutMs: 20_000,
      connectTimeoutMs: 5_000,
    },
    () => {},
  );

/**
 * A session that is gone after so many statements.
 * @param reached whether the one after them is done all the same, and only its answer is lost
 */
async function lostAfter(
  statements: number,
  reached: boolean,
): Promise<{ session: Queryable; end: () => Promise<void> }> {
  const client = await connect(userName('republish', 'source'));
  let left = statements;
  const query = async (...args: unknown[]) => {
    if (left-- <= 0) {
      if (reached) await (client.query as (...all: unknown[]) => Promise<unknown>)(...args);
      await client.end().catch(() => {});
      throw new Error('Connection terminated unexpectedly');
    }
    return (client.query as (...all: unknown[]) => Promise<unknown>)(...args);
  };
  return { session: { query } as never, end: () => client.end().catch(() => {}) };
}

/** Runs it on sessions that are lost after 1, 2, 3 … statements, until one of them lasts. @returns how many were lost */
async function untilDone(work: (session: Queryable) => Promise<unknown>, reached: boolean): Promise<number> {
  for (let statements = 0; ; statements++) {
    const { session, end } = await lostAfter(statements, reached);
    try {
      await work(session);
      return statements;
    } catch (err) {
      expect((err as Error).message).toContain('Connection terminated');
    } finally {
      await end();
    }
  }
}

interface Row {
  readonly seller_id: number;
  readonly type: string;
  readonly value: string | null;
  readonly partition: number | null;
}
const outbox = async () =>
  (await db.query<Row>('select seller_id::integer, type, value, partition from outbox order by id')).rows;
const ids = Array.from({ length: SELLERS }, (_, i) => i + 1);
const stateOf = (id: number) => [
  ...(id % 10 === 0 ? [] : [`${id} seller-repaired`]),
  ...(id % 3 === 0 && id % 10 !== 0 ? [`${id} seller-erased`] : []),
];
const said = ({ seller_id, type, partition }: Row) =>
  `${seller_id} ${type}${partition === null ? '' : ` ${partition}`}`;

test.each(LOST)('every seller is published once, in order, though any statement %s', async (_, reached) => {
  const lost = await untilDone(async (session) => {
    await beginRun(session, { request: 'all', first: 0, last: Number.MAX_SAFE_INTEGER });
    await finishRun(session, 'all', OPTIONS);
  }, reached);
  expect(lost).toBeGreaterThan(10);
  const rows = await outbox();
  expect(rows.map(said)).toEqual(ids.flatMap(stateOf));
  // As readers take them: a list, and behind that of an erased seller its tombstone.
  for (const { seller_id, type, value } of rows) {
    const { kind } = decodeEvent({ key: String(seller_id), value, type: `dev.topclients.seller.${type}.v1` });
    expect(kind).toBe(value === null ? 'tombstone' : 'event');
  }
  // A tombstone may remain alone, and says when the erasure was.
  const { rows: times } = await db.query(
    `select bool_and(committed_at = updated_at) as same, count(*) as some from outbox join seller using (seller_id)
    where type = 'seller-erased'`,
  );
  expect(times).toEqual([{ same: true, some: SELLERS / 3 - SELLERS / 30 }]);
});

test('a range is what it says, and a run of the same name is done', async () => {
  const run = async () => {
    await beginRun(db, { request: 'some', first: 11, last: 19 });
    return finishRun(db, 'some', OPTIONS);
  };
  expect(await run()).toBe(9);
  expect(await run()).toBe(9);
  expect((await outbox()).map(said)).toEqual(ids.slice(10, 19).flatMap(stateOf));
});

test.each(LOST)(
  'a growth publishes who moves, each with a marker behind, though any statement %s',
  async (_, reached) => {
    await untilDone(
      (session) => growPartitions(session, TOPIC, { ...OPTIONS, partitions: 7, settleMs: 0 }, silentLog),
      reached,
    );
    const moves = ids.filter((id) => partitionOf(String(id), 4) !== partitionOf(String(id), 7));
    expect(moves.length).toBeGreaterThan(20);
    expect((await outbox()).map(said)).toEqual(
      moves.flatMap((id) => [...stateOf(id), `${id} seller-moved ${partitionOf(String(id), 4)}`]),
    );
    const { rows } = await db.query('select partitions, moved_from from partition_layout');
    expect(rows).toEqual([{ partitions: 7, moved_from: null }]);
  },
);

test('a seller whose command is under way is waited for, and published as it is then', async () => {
  const seller = await connect();
  await seller.query('begin');
  await seller.query(`update seller set version = 4 where seller_id = 1`);
  await seller.query(`insert into seller_event (seller_id, version, type, change, committed_at)
    values (1, 4, 'clients-reordered', '{"type":"clients-reordered","clientIds":[]}', now())`);
  await beginRun(db, { request: 'one', first: 1, last: 1 });
  const running = finishRun(db, 'one', OPTIONS);
  const waiting = await connect();
  for (;;) {
    const { rows } = await waiting.query<{ waits: boolean }>(
      `select exists (select from pg_stat_activity where wait_event_type = 'Lock' and query like '%for update') as waits`,
    );
    if (rows[0]!.waits) break;
  }
  await seller.query('commit');
  await running;
  await Promise.all([seller.end(), waiting.end()]);
  const [row] = await outbox();
  expect(JSON.parse(row!.value!)).toMatchObject({ sellerId: 1, version: 4 });
});

test('it waits while the outbox is full', async () => {
  await db.query(`insert into outbox (bucket, seller_id, version, type, committed_at)
    select 0, 1, 1, 'client-added', now() from generate_series(1, 3)`);
  await beginRun(db, { request: 'all', first: 0, last: Number.MAX_SAFE_INTEGER });
  const stop = new AbortController();
  let paused = 0;
  const clock = {
    now: () => 0,
    monotonic: () => 0,
    pause: async () => {
      paused += 1;
      if (paused === 3) await db.query('delete from outbox');
    },
  };
  const done = await finishRun(db, 'all', {
    ...OPTIONS,
    mostWaiting: 2,
    clock,
    signal: stop.signal,
    sellersAtATime: 1_000,
  });
  expect(done).toBe(SELLERS);
  expect(paused).toBeGreaterThanOrEqual(3);
});

test('a run that was left unfinished is over when another publishes all of its sellers, and only then', async () => {
  const unfinished = async () =>
    (
      await db.query<{ request: string }>(
        'select request from republish where finished_at is null order by request',
      )
    ).rows.map(({ request }) => request);
  await beginRun(db, { request: 'left', first: 10, last: 20 });
  await beginRun(db, { request: 'part', first: 15, last: 40 });
  expect(await unfinished()).toEqual(['left', 'part']);
  await beginRun(db, { request: 'all', first: 0, last: 1_000 });
  expect(await unfinished()).toEqual(['all']);
  // Who starts it again finds it done, and takes nothing away from the one under way.
  await beginRun(db, { request: 'left', first: 10, last: 20 });
  expect(await finishRun(db, 'left', OPTIONS)).toBe(0);
  expect(await unfinished()).toEqual(['all']);
  expect(await outbox()).toEqual([]);
  // What is told while a growth is under way is the growth.
  await beginRun(db, { request: 'growth-2-4', first: 0, last: 1_000 }, 2);
  await db.query(`update republish set sellers = 77 where request = 'growth-2-4'`);
  expect(await readProgress(db)).toMatchObject({ sellers: 77 });
});
