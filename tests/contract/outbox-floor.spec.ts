/** What the relay may leave out of its looks at the outbox, and what it must not, on a real PostgreSQL. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import type { Clock } from '#platform/clock.ts';
import { silentLog } from '#platform/log.ts';
import { connect, PARSERS } from '#platform/postgres.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { migrateSource } from '../../services/migrate/databases.ts';
import { postgresSource } from '../../services/top-clients/adapters/postgres/audit-source.ts';
import {
  countWaiting,
  type LedOutbox,
  lookBelow,
  type OutboxRow,
  openOutbox,
  prepareSession,
} from '../../services/top-clients/adapters/postgres/outbox.ts';

const ALL = { index: 0, of: 1 };
const LIMIT = 1_000;
let folder: string;
let postgres: LocalPostgres;
let db: pg.Client;
let admin: pg.Client;
let outbox: LedOutbox;
const opened: pg.Client[] = [];

/** Each proof is due at once. */
let time = 0;
const hasty: Clock = { now: () => time, monotonic: () => (time += 10_000), pause: async () => {} };

const session = async () => {
  const client = new pg.Client({ connectionString: postgres.url('source'), types: PARSERS });
  await client.connect();
  opened.push(client);
  return client;
};
const relayOf = (shard = ALL) => openOutbox(db, shard, silentLog, hasty);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'outbox-floor-'));
  postgres = await startPostgres({
    dataDir: folder,
    settings: { max_prepared_transactions: 20, autovacuum: 'off' },
  });
  await postgres.createDatabase('source');
  await migrateSource(postgres.url('source'), silentLog);
  db = await connect(
    {
      url: postgres.url('source'),
      applicationName: 'relay',
      statementTimeoutMs: 10_000,
      connectTimeoutMs: 3_000,
      pipeline: true,
    },
    () => {},
  );
  await prepareSession(db);
  admin = await session();
  opened.splice(0);
});
afterAll(async () => {
  await db?.end();
  await admin?.end();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  await admin.query('truncate outbox');
  outbox = relayOf();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((client) => client.end().catch(() => {})));
  const { rows } = await admin.query<{ gid: string }>('select gid from pg_prepared_xacts');
  for (const { gid } of rows) await admin.query(`rollback prepared '${gid}'`);
});

const insert = (client: pg.Client, sellerId: number, count = 1, bucket = sellerId % 1_024) =>
  client.query(
    `insert into outbox (bucket, seller_id, version, type, value, committed_at)
    select $1, $2, n, 'client-updated', '{}', now() from generate_series(1, $3::integer) n`,
    [bucket, sellerId, count],
  );
const exchange = (remove: readonly number[] = [], held: readonly number[] = [], of = outbox) =>
  of.ackAndFetch({ remove, except: [], held, limit: LIMIT });
const idsOf = (rows: readonly OutboxRow[]) => rows.map(({ id }) => id);
const lastId = async () => {
  const { rows } = await admin.query<{ last: number }>('select last_value as last from outbox_id_seq');
  return Number(rows[0]!.last);
};
/** Takes and removes what there is until the floor is past every id, or `times` looks have not brought it there. */
const drain = async (held: readonly number[] = [], times = 6) => {
  const taken: OutboxRow[] = [];
  let rows = await exchange([], held);
  for (let i = 0; i < times; i++) {
    taken.push(...rows);
    rows = await exchange(idsOf(rows), held);
  }
  return taken;
};

test('the floor passes what was removed, and not what waits', async () => {
  await insert(admin, 1, 3);
  const rows = await exchange();
  await exchange();
  const again = await exchange();
  expect(again).toEqual(rows.map((one) => ({ ...one, waitedMs: expect.any(Number) })));
  for (const [at, { waitedMs }] of again.entries()) expect(waitedMs).toBeGreaterThan(rows[at]!.waitedMs);
  expect(outbox.below().floor).toBe(rows[0]!.id);
  await drain();
  expect(outbox.below().floor).toBe((await lastId()) + 1);
});

test('a transaction that writes other tables for hours holds nothing up', async () => {
  const busy = await session();
  await busy.query('begin; insert into seller (seller_id, updated_at) values (-7, now())');
  const reading = await session();
  await reading.query('begin isolation level repeatable read; select count(*) from outbox');
  await insert(admin, 1, 3);
  await drain();
  expect(outbox.below().floor).toBe((await lastId()) + 1);
});

test.each(['stays open', 'is prepared'])(
  'a transaction that has drawn an id and %s is waited for, and its row is found',
  async (how) => {
    await insert(admin, 1);
    await drain();
    const late = await session();
    await late.query('begin');
    await insert(late, 2);
    if (how === 'is prepared') await late.query("prepare transaction 'late'");
    await insert(admin, 3, 5);
    await drain();
    const { floor } = outbox.below();
    expect(floor).toBeLessThanOrEqual((await lastId()) - 5);
    if (how === 'is prepared') await admin.query("commit prepared 'late'");
    else await late.query('commit');
    expect((await drain()).map(({ sellerId }) => sellerId)).toEqual([2]);
    expect(outbox.below().floor).toBe((await lastId()) + 1);
  },
);

test('a transaction that is prepared between two looks is still waited for', async () => {
  await drain();
  const late = await session();
  await late.query('begin');
  await insert(late, 2);
  await insert(admin, 3);
  // Seen in its session here, and as a prepared one there.
  await drain();
  await late.query("prepare transaction 'between'");
  await drain();
  await insert(admin, 3);
  await drain();
  await admin.query("commit prepared 'between'");
  expect((await drain()).map(({ sellerId }) => sellerId)).toEqual([2]);
});

test('dead rows that nobody can clean away are not gone over again', async () => {
  const old = await session();
  await old.query('begin isolation level repeatable read; select 1');
  await insert(admin, 1, 20_000);
  await drain([], 25);
  await insert(admin, 2);
  const blocks = async (from: number) => {
    const { rows } = await db.query<{ 'QUERY PLAN': string }>(
      `explain (analyze, buffers, timing off) select id from outbox where id >= ${from} and bucket % 1 = 0 order by id limit 1`,
    );
    const [, hit] = /shared hit=(\d+)/.exec(rows.map((row) => row['QUERY PLAN']).join('\n'))!;
    return Number(hit);
  };
  expect(await blocks(0)).toBeGreaterThan(150);
  expect(await blocks(outbox.below().floor)).toBeLessThan(20);
  expect((await drain()).map(({ sellerId }) => sellerId)).toEqual([2]);
});

test('a seller who is held does not hold the floor, and is found again from the held row on', async () => {
  await insert(admin, 1);
  await insert(admin, 2);
  const [mine] = await exchange();
  await insert(admin, 1);
  expect((await drain([1])).map(({ sellerId }) => sellerId)).toEqual([2]);
  expect(outbox.below()).toEqual({ floor: (await lastId()) + 1, held: [1] });
  expect(await countWaiting(admin, ALL, outbox.below())).toEqual({ rows: 0, oldest: null });
  expect(await lookBelow(admin, ALL, outbox.below())).toMatchObject({ held: 2, missed: 0 });
  expect(await outbox.find(mine!.id)).toEqual({ ...mine!, waitedMs: expect.any(Number) });
  outbox.release(mine!);
  expect((await exchange()).map(({ sellerId }) => sellerId)).toEqual([1, 1]);
  await admin.query('delete from outbox where id = $1', [mine!.id]);
  expect(await outbox.find(mine!.id)).toBeNull();
});

test('each shard has its own floor, and the rows of another do not hold it', async () => {
  const [first, second] = [relayOf({ index: 0, of: 2 }), relayOf({ index: 1, of: 2 })];
  await insert(admin, 2, 1, 2);
  await insert(admin, 3, 3, 3);
  const mine = idsOf(await exchange([], [], second));
  expect(mine).toHaveLength(3);
  for (let i = 0; i < 6; i++) await exchange(i === 0 ? mine : [], [], second);
  for (let i = 0; i < 6; i++) expect(await exchange([], [], first)).toHaveLength(1);
  expect(second.below().floor).toBe((await lastId()) + 1);
  expect(first.below().floor).toBe((await lastId()) - 3);
});

test('a row that was written by hand below the floor is noticed, and sent after that', async () => {
  await insert(admin, 1, 5);
  await drain();
  await admin.query(
    `insert into outbox (id, bucket, seller_id, version, type, value, committed_at) overriding system value
    values ($1, 1, 9, 1, 'client-updated', '{}', now())`,
    [(await lastId()) - 2],
  );
  expect(await exchange()).toEqual([]);
  expect(await lookBelow(admin, ALL, outbox.below())).toMatchObject({ held: 0, missed: 1 });
  outbox.distrust();
  expect((await drain()).map(({ sellerId }) => sellerId)).toEqual([9]);
  expect(outbox.below().floor).toBe((await lastId()) + 1);
  expect(await lookBelow(admin, ALL, outbox.below())).toMatchObject({ missed: 0 });
});

test('ids that come from a cache, or that were set back, take the floor away', async () => {
  await insert(admin, 1, 5);
  await drain();
  expect(outbox.below().floor).toBeGreaterThan(1);
  await admin.query('alter table outbox alter column id set cache 10');
  try {
    await drain();
    expect(outbox.below().floor).toBeLessThanOrEqual(1);
  } finally {
    await admin.query('alter table outbox alter column id set cache 1');
  }
  await drain();
  expect(outbox.below().floor).toBeGreaterThan(1);
  await admin.query('alter table outbox alter column id restart with 1');
  await insert(admin, 7);
  expect((await drain()).map(({ sellerId }) => sellerId)).toEqual([7]);
});

test('the comparison of views learns whether all was sent without going over dead rows', async () => {
  const source = postgresSource(admin, silentLog);
  await insert(admin, 1, 3);
  const mark = await source.newestUnsent();
  expect(mark).toBe(await lastId());
  expect(await source.isSentUpTo(mark!)).toBe(false);
  await drain();
  const late = await session();
  await late.query('begin');
  await insert(late, 2);
  expect(await source.isSentUpTo(mark!)).toBe(true);
  await insert(admin, 3);
  await late.query('commit');
  expect(await source.isSentUpTo(mark!)).toBe(true);
  expect(await source.isSentUpTo((await source.newestUnsent())!)).toBe(false);
});

// A seller's transactions wait for one another, as at the source; between sellers anything goes.
const step = fc.record({
  do: fc.constantFrom('write', 'write', 'commit', 'prepare', 'commit prepared', 'roll back', 'look', 'look'),
  who: fc.nat({ max: 4 }),
  rows: fc.integer({ min: 1, max: 3 }),
});

test('whoever commits late, in whatever order, prepared or not: nothing is lost, and each seller is in order', async () => {
  const clients = await Promise.all(Array.from({ length: 5 }, session));
  let [runs, advanced] = [0, 0];
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
      runs += 1;
      await admin.query('truncate outbox');
      outbox = relayOf();
      const open = new Map<number, { gid: string; rows: number; isPrepared: boolean }>();
      const committed = new Map<number, number>();
      const sent = new Map<number, number[]>();
      let remove: number[] = [];
      const look = async () => {
        const rows = await exchange(remove);
        remove = idsOf(rows);
        for (const { sellerId, version } of rows) {
          sent.set(sellerId, [...(sent.get(sellerId) ?? []), version]);
        }
        if (outbox.below().floor > 1 && open.size > 0) advanced += 1;
      };
      let prepared = 0;
      const end = async (who: number, commit: boolean) => {
        const { gid, rows, isPrepared } = open.get(who)!;
        const word = commit ? 'commit' : 'rollback';
        await (isPrepared ? admin.query(`${word} prepared '${gid}'`) : clients[who]!.query(word));
        if (commit) committed.set(who, (committed.get(who) ?? 0) + rows);
        open.delete(who);
      };
      for (const { do: what, who, rows } of steps) {
        const mine = open.get(who);
        if (what === 'look') await look();
        else if (what === 'write' && !mine?.isPrepared) {
          if (!mine) await clients[who]!.query('begin');
          const before = (committed.get(who) ?? 0) + (mine?.rows ?? 0);
          await clients[who]!.query(
            `insert into outbox (bucket, seller_id, version, type, value, committed_at)
            select 1, $1, $2 + n, 'client-updated', '{}', now() from generate_series(1, $3::integer) n`,
            [who, before, rows],
          );
          open.set(who, { gid: '', isPrepared: false, rows: (mine?.rows ?? 0) + rows });
        } else if (what === 'prepare' && mine && !mine.isPrepared) {
          const gid = `run-${runs}-${++prepared}`;
          await clients[who]!.query(`prepare transaction '${gid}'`);
          open.set(who, { ...mine, gid, isPrepared: true });
        } else if (mine && (what === 'commit' || what === 'commit prepared')) {
          if (mine.isPrepared === (what === 'commit prepared')) await end(who, true);
        } else if (what === 'roll back' && mine) await end(who, false);
      }
      for (const who of [...open.keys()]) await end(who, true);
      await look();
      while (remove.length > 0) await look();
      for (const [who, versions] of committed) {
        expect(sent.get(who)).toEqual(Array.from({ length: versions }, (_, i) => i + 1));
      }
    }),
    { numRuns: 60 },
  );
  // Or nothing was tried.
  expect(advanced).toBeGreaterThan(60);
}, 120_000);
