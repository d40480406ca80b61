/** A server whose queue of notifications is full: writes go on, and pages are right all the same. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import type { SellerEvent } from '#contracts/events.ts';
import { PAGES } from '#pages/index.ts';
import type { PageDatabase } from '#pages/page.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { insertUserProfiles } from '#pages/user/own-data.ts';
import { silentLog } from '#platform/log.ts';
import { openPool } from '#platform/postgres.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { until } from '../../services/local-stack/until.ts';
import { migratePage } from '../../services/migrate/databases.ts';
import {
  ChangeNotifications,
  followChangeNotifications,
} from '../../services/page-kit/cache-invalidation.ts';
import { ANY_VERSION } from '../../services/page-kit/min-version.ts';
import { openViewStore } from '../../services/projector/view-store.ts';
import { seller } from '../../services/seed/sellers.ts';

const VIEW = { delivery: 'asynchronous', version: 1 } as const;
const SCHEMA = viewSchema('asynchronous', 1);
const { open } = PAGES.user;
const projection = projectionsOf('user').asynchronous;
let folder: string;
let postgres: LocalPostgres;
let pool: pg.Pool;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'notify-queue-'));
  // The smallest queue: 64 pages of 8 KB.
  postgres = await startPostgres({ dataDir: folder, settings: { max_notify_queue_pages: 64 } });
  await postgres.createDatabase('user');
  await migratePage('user', postgres.url('user'), VIEW, silentLog);
  pool = openPool({ ...access(), maximum: 3 }, silentLog);
  await insertUserProfiles(pool, [seller(1, 1).profile]);
});
afterAll(async () => {
  await pool.end();
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
});

const access = () => ({
  url: postgres.url('user'),
  applicationName: 'notify-queue',
  statementTimeoutMs: 5_000,
  connectTimeoutMs: 5_000,
  searchPath: [SCHEMA, 'public'],
});
const event = (version: number): SellerEvent => ({
  sellerId: 1,
  version,
  committedAt: '2026-11-23T10:00:00.000Z',
  change: { type: 'seller-erased' },
  clients: [],
});
const write = (version: number) => projection.upsert(pool, [projection.toRow(event(version))]);
const used = async () =>
  (await pool.query<{ used: number }>('select pg_notification_queue_usage() as used')).rows[0]!.used;

/** A session of somebody who listens and forgot to end a transaction: the queue keeps all that comes after. */
async function forgetTransaction(): Promise<() => Promise<void>> {
  await postgres.createDatabase('somebody');
  const idle = new pg.Client(postgres.url('somebody'));
  idle.on('error', () => {});
  await idle.connect();
  await idle.query('listen anything');
  await idle.query('begin');
  await idle.query('select 1');
  return () => idle.end();
}
/** @returns what PostgreSQL says to the first notification that finds no room, or null once the queue holds that much */
async function fill(share: number): Promise<{ code?: string } | null> {
  for (let i = 0; i < 200; i++) {
    if ((await used()) >= share) return null;
    const refused = await pool
      .query('select pg_notify($1, $2)', ['anything', `${i} ${'.'.repeat(7_000)}`])
      .then(
        () => null,
        (err) => err,
      );
    if (refused) return refused;
  }
  throw new Error('the queue does not fill');
}

test('a view that told of everything is made to hold back, and that may be repeated', async () => {
  await pool.query(`delete from public.schema_migration where name like '004-%'`);
  for (const applied of [['004-notify-never-stops-a-write.sql'], []]) {
    expect(await migratePage('user', postgres.url('user'), VIEW, silentLog)).toEqual(applied);
  }
});

test('who sets top_clients.notify to off tells nothing', async () => {
  const [writer, listener] = [await pool.connect(), await pool.connect()];
  const told: unknown[] = [];
  try {
    listener.on('notification', ({ payload }) => told.push(payload));
    await listener.query('listen top_clients');
    await writer.query(`set top_clients.notify = 'off'`);
    await writer.query(`insert into top_clients values (8, 1, now(), '[]')`);
    await writer.query('truncate top_clients');
    await writer.query(`set top_clients.notify = 'on'`);
    await writer.query(`insert into top_clients values (9, 1, now(), '[]')`);
    await until('the last one is told', () => told.length > 0);
    expect(told).toEqual(['9']);
  } finally {
    for (const one of [writer, listener]) one.release(true);
  }
});

test('a full queue stops no write and no repair, pages show the view, and are told again once it is empty', async () => {
  const changes = new ChangeNotifications();
  const said: string[] = [];
  const shares: number[] = [];
  let isTold = false;
  const stop = new AbortController();
  const warn = (_: unknown, text: string) => said.push(text);
  const following = followChangeNotifications(
    access(),
    changes,
    {
      connected: (is) => {
        isTold = is;
      },
      queueUsed: (share) => shares.push(share),
    },
    stop.signal,
    Object.assign(Object.create(silentLog), { warn }),
  );
  const database: PageDatabase = {
    query: async <Row>(statement: { name: string; text: string; values: unknown[] }) =>
      (await pool.query(statement)).rows as Row[],
  };
  const reads = open(changes);
  const shown = async () =>
    (await reads.withLists(database, 1 as never, ANY_VERSION))?.held.get(1)?.version ?? null;
  const endTransaction = await forgetTransaction();
  const store = await openViewStore(access(), projection);
  try {
    await until('the page is told', () => isTold);
    await write(1);
    await until('it shows what was written', async () => (await shown()) === 1);

    // Half full: nobody is told, and nobody knows that yet. The trust time ends it.
    expect(await fill(0.55)).toBeNull();
    await write(2);
    await until('it shows what it was not told of', async () => (await shown()) === 2, 6_000);

    // Full: PostgreSQL refuses every commit that tells something.
    expect(await fill(1)).toMatchObject({ code: '54000' });
    expect(await write(3)).toBe(1);
    expect(await store.replace(1, [], projection.toRow(event(4)))).toBe(true);
    await until('it knows that it is not told', () => !isTold, 6_000);
    expect(said).toEqual([expect.stringContaining('queue of notifications of the database fills')]);
    expect(Math.max(...shares)).toBeGreaterThan(0.5);
    expect(await shown()).toBe(4);
    expect(await write(5)).toBe(1);
    expect(await shown()).toBe(5);
    await pool.query('truncate top_clients');
    expect(await shown()).toBeNull();

    await endTransaction();
    await until('it is told again', () => isTold, 10_000);
    expect(shares.at(-1)).toBeLessThan(0.1);
    await shown();
    const before = performance.now();
    await write(6);
    await until('it was told', () => changes.isInvalidated(1, before), 1_000);
    expect(await shown()).toBe(6);
  } finally {
    await endTransaction().catch(() => {});
    stop.abort();
    await following;
    await store.close();
  }
}, 60_000);
