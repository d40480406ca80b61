/** What the receipt of an erasure says, and what it waits for, on real databases of the source and of a page. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { SellerEvent } from '#contracts/events.ts';
import { PAGES } from '#pages/index.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { viewsIn } from '#pages/standing-views.ts';
import { insertUserProfiles } from '#pages/user/own-data.ts';
import { silentLog } from '#platform/log.ts';
import { connect, openPool, type Pool } from '#platform/postgres.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { until } from '../../services/local-stack/until.ts';
import { migratePage, migrateSource } from '../../services/migrate/databases.ts';
import { ChangeNotifications } from '../../services/page-kit/cache-invalidation.ts';
import { evictErased } from '../../services/page-kit/evict-erased.ts';
import { ANY_VERSION } from '../../services/page-kit/min-version.ts';
import { park } from '../../services/projector/parked.ts';
import { seller as madeUp } from '../../services/seed/sellers.ts';
import { postgresSource } from '../../services/top-clients/adapters/postgres/audit-source.ts';
import { postgresErasureBook } from '../../services/top-clients/adapters/postgres/erasure-book.ts';
import { openReceipt, postgresErasures } from '../../services/top-clients/adapters/postgres/erasures.ts';
import {
  type OutboxRow,
  openOutbox,
  prepareSession,
} from '../../services/top-clients/adapters/postgres/outbox.ts';
import {
  type ErasureSession,
  lookAtPage,
  type OpenView,
} from '../../services/view-audit/confirm-erasures.ts';
import { postgresPageCaches } from '../../services/view-audit/page-caches.ts';
import { postgresView } from '../../services/view-audit/postgres-view.ts';
import { openWriter, type Writer } from '../support/writer.ts';

const MAIN = fileURLToPath(new URL('../../services/main.ts', import.meta.url));
const SHOWN = viewSchema('asynchronous', 1);
const KEPT = viewSchema('hybrid', 1);
const OF_SHOWN = 'user asynchronous-v1';
const projections = projectionsOf('user');

let folder: string;
let postgres: LocalPostgres;
let source: Pool;
let writer: Writer;
let session: ErasureSession;
const opened = new Map<string, OpenView>();
/** How far the topic goes, and the view has applied it. */
let [end, applied] = [5, 5];

const access = (database: string, schema?: string) => ({
  url: postgres.url(database),
  applicationName: 'erasures',
  statementTimeoutMs: 10_000,
  connectTimeoutMs: 5_000,
  ...(schema === undefined ? {} : { searchPath: [schema, 'public'] }),
});
const lost = () => {};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'erasures-'));
  postgres = await startPostgres({ dataDir: folder });
  for (const name of ['source', 'user']) await postgres.createDatabase(name);
  await migrateSource(postgres.url('source'), silentLog);
  for (const delivery of ['asynchronous', 'hybrid'] as const) {
    await migratePage('user', postgres.url('user'), { delivery, version: 1 }, silentLog);
  }
  source = openPool({ ...access('source'), maximum: 4 }, silentLog);
  writer = openWriter(postgres.url('source'));
  const [sourceDb, pageDb] = [await connect(access('source'), lost), await connect(access('user'), lost)];
  session = {
    book: postgresErasureBook(sourceDb),
    source: postgresSource(sourceDb, silentLog),
    topic: { ends: async () => new Map([[0, { first: 0, next: end }]]) },
    views: () => viewsIn(pageDb),
    async openView({ delivery, version }) {
      const schema = viewSchema(delivery, version);
      const db = await connect({ ...access('user', schema), pipeline: true }, lost);
      const view = await postgresView(db, projections[delivery], schema);
      return {
        view: { ...view, checkpoints: async () => new Map([[0, applied]]) },
        memory: postgresPageCaches(db),
        close: () => db.end(),
      };
    },
    close: async () => void (await Promise.all([sourceDb.end(), pageDb.end()])),
  };
  await look();
}, 60_000);
afterAll(async () => {
  for (const view of opened.values()) await view.close();
  await session?.close();
  await writer?.close();
  await source?.end();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  [end, applied] = [5, 5];
});

const reached = new Map<string, string>();
const going = new AbortController().signal;
const look = (limit?: number) => lookAtPage('user', session, opened, reached, going, limit);

let last = 0;
/** A seller with a client, whose erasure is requested. */
async function erased(): Promise<{ sellerId: number; id: string; version: number }> {
  const sellerId = ++last;
  await writer.add(sellerId, 'Secret brand');
  const version = await writer.erase(sellerId);
  return { sellerId, version, id: (await postgresErasures(source).idOf(sellerId, version))! };
}

/** What the receipt says of a store: `confirmed`, or why not; undefined where it does not wait for it. */
async function said(id: string, store: string, place: string | null = null): Promise<string | undefined> {
  const { stores } = (await postgresErasures(source).receipt(id))!;
  const one = stores.find((other) => other.store === store && other.place === place);
  return one && (one.confirmedAt === null ? one.openBecause! : 'confirmed');
}

async function write(schema: string, sellerId: number, version: number, name?: string): Promise<void> {
  const db = await connect(access('user', schema), lost);
  const { rows } = await source.query<{ updated_at: Date }>(
    'select updated_at from seller where seller_id = $1',
    [sellerId],
  );
  const event: SellerEvent = {
    sellerId,
    version,
    committedAt: rows[0]!.updated_at.toISOString(),
    change: { type: 'seller-erased' },
    clients:
      name === undefined ? [] : [{ id: '01890000-0000-7000-8000-000000000001', name, logo: null } as never],
  };
  const projection = projections[schema === SHOWN ? 'asynchronous' : 'hybrid'];
  await projection.upsert(db, [projection.toRow(event)]);
  await db.end();
}

/** As the relay sends and deletes. */
async function relay(until: (row: OutboxRow) => boolean): Promise<void> {
  const db = await connect({ ...access('source'), pipeline: true }, lost);
  await prepareSession(db);
  const outbox = openOutbox(db, { index: 0, of: 1 }, silentLog);
  const rows = await outbox.ackAndFetch({ remove: [], except: [], held: [], limit: 1_000 });
  const sent = rows.filter(until);
  await outbox.ackAndFetch({
    remove: sent.map(({ id }) => id),
    endsErasures: sent.some(({ value }) => value === null),
    except: [],
    held: [],
    limit: 0,
  });
  await db.end();
}

test('outbox and topic report when the tombstone was acknowledged and is deleted, and not before', async () => {
  const { id, sellerId } = await erased();
  const another = await erased();
  await relay((row) => row.sellerId === sellerId && row.value !== null);
  expect(await said(id, 'outbox')).toMatch(/relay/);
  await relay((row) => row.sellerId === sellerId);
  expect(await said(id, 'outbox')).toBe('confirmed');
  expect(await said(id, 'topic')).toMatch(/compaction/);
  expect(await said(another.id, 'outbox')).toMatch(/relay/);
  const { stores } = (await postgresErasures(source).receipt(id))!;
  const topic = stores.find(({ store }) => store === 'topic')!;
  expect(Date.parse(topic.bytesUntil!) - Date.now()).toBeGreaterThan(47 * 3_600_000);
  await relay(() => true);
});

test('a view reports once its row is as the source has it, and its memory ten seconds later', async () => {
  const { id, sellerId, version } = await erased();
  await write(SHOWN, sellerId, version - 1, 'Secret brand');
  await look();
  expect(await said(id, 'view', OF_SHOWN)).toBe('the row is at version 1 yet');
  expect(await said(id, 'page-cache', OF_SHOWN)).toBe('the row is at version 1 yet');
  await write(SHOWN, sellerId, version);
  await look();
  expect(await said(id, 'view', OF_SHOWN)).toBe('confirmed');
  expect(await said(id, 'parked-messages', OF_SHOWN)).toBe('confirmed');
  expect(await said(id, 'page-cache', OF_SHOWN)).toMatch(/who does not report is waited for/);
  // The other view of the page is asked for itself.
  expect(await said(id, 'view', 'user hybrid-v1')).toMatch(/no row of the seller yet/);
  await source.query(`select`);
  await ageErased();
  await look();
  expect(await said(id, 'page-cache', OF_SHOWN)).toBe('confirmed');
});

/** As if ten seconds had passed since the rows were found empty. */
async function ageErased(): Promise<void> {
  const db = await connect(access('user'), lost);
  await db.query(`update "${SHOWN}".erased set at = at - interval '11 seconds'`);
  await db.end();
}

test('a row that says something else under the same version, or above it, does not confirm', async () => {
  const { id, sellerId, version } = await erased();
  await write(SHOWN, sellerId, version, 'Secret brand');
  await look();
  expect(await said(id, 'view', OF_SHOWN)).toBe('the row is not as the source has it');
  await write(SHOWN, sellerId, version + 1, 'Secret brand');
  await look();
  expect(await said(id, 'view', OF_SHOWN)).toBe('the row is not as the source has it');
});

test('a seller who began again is confirmed by the row of the new list', async () => {
  const { id, sellerId } = await erased();
  const version = await writer.add(sellerId, 'New brand');
  const db = await connect(access('user', SHOWN), lost);
  await db.query(
    `insert into top_clients (seller_id, version, committed_at, clients) values ($1, $2, $3, $4)`,
    await newest(sellerId, version),
  );
  await db.end();
  await look();
  expect(await said(id, 'view', OF_SHOWN)).toBe('confirmed');
});

async function newest(sellerId: number, version: number): Promise<unknown[]> {
  const { rows } = await source.query<{ clients: string; updated_at: Date }>(
    'select clients::text, updated_at from seller where seller_id = $1',
    [sellerId],
  );
  return [sellerId, version, rows[0]!.updated_at, rows[0]!.clients];
}

test('a view without a row confirms when everything that was sent has been applied, and not before', async () => {
  const { id } = await erased();
  await look();
  expect(await said(id, 'view', OF_SHOWN)).toMatch(/no row of the seller yet/);
  await relay(() => true);
  [end, applied] = [9, 8];
  await look();
  expect(await said(id, 'view', OF_SHOWN)).toMatch(/no row of the seller yet/);
  applied = 9;
  await look();
  expect(await said(id, 'view', OF_SHOWN)).toBe('confirmed');
});

test('an older message that is parked keeps its store open, of the same view alone', async () => {
  const { id, sellerId, version } = await erased();
  await write(SHOWN, sellerId, version);
  await write(KEPT, sellerId, version);
  const db = await connect(access('user', SHOWN), lost);
  // One of which nobody can tell the version.
  const message = {
    key: String(sellerId),
    type: null,
    value: 'Secret brand',
    reason: 'not JSON',
    isReadable: false,
  };
  await park(db, [{ ...message, partition: 0, offset: 3, sellerId, version: null }]);
  await look();
  expect(await said(id, 'parked-messages', OF_SHOWN)).toBe('an older message of the seller is parked');
  expect(await said(id, 'view', OF_SHOWN)).toBe('confirmed');
  expect(await said(id, 'parked-messages', 'user hybrid-v1')).toBe('confirmed');
  await db.query('delete from parked');
  await look();
  expect(await said(id, 'parked-messages', OF_SHOWN)).toBe('confirmed');
  await db.end();
});

test('a page server that is there is waited for until it has forgotten, one that is gone is not', async () => {
  const pool = openPool({ ...access('user', SHOWN), maximum: 2 }, silentLog);
  const told = new ChangeNotifications();
  const stop = new AbortController();
  const reads = PAGES.user.open(told);
  const database = {
    query: async <Row>(statement: { text: string; values: unknown[] }) =>
      (await pool.query(statement.text, statement.values)).rows as Row[],
  };
  const sellerId = ++last;
  await insertUserProfiles(pool, [madeUp(sellerId, 3).profile]);
  await writer.add(sellerId, 'Secret brand');
  await write(SHOWN, sellerId, 1, 'Secret brand');
  const forgotten: number[] = [];
  const memory = {
    ...told.cache,
    evictSeller: (seller: number) => {
      told.cache.evictSeller(seller);
      forgotten.push(seller);
    },
  };
  const forgetting = evictErased(pool, memory, stop.signal, silentLog);
  const servers = async () => (await pool.query('select from page_server')).rowCount;
  await until('the server reports', async () => (await servers()) === 1);
  await pool.query('insert into page_server (id, forgot_through) values (gen_random_uuid(), 0)');
  await reads.withLists(database, sellerId as never, ANY_VERSION);

  const version = await writer.erase(sellerId);
  const id = (await postgresErasures(source).idOf(sellerId, version))!;
  await write(SHOWN, sellerId, version);
  await look();
  await ageErased();
  await until('the server has forgotten', () => forgotten.includes(sellerId));
  await look();
  // The other one has said nothing, and was seen just now.
  expect(await said(id, 'page-cache', OF_SHOWN)).toMatch(/page servers have not said/);
  await pool.query(
    `update page_server set seen_at = seen_at - interval '11 seconds' where forgot_through = 0`,
  );
  await until('the memory is confirmed', async () => {
    await look();
    return (await said(id, 'page-cache', OF_SHOWN)) === 'confirmed';
  });
  stop.abort();
  await forgetting;
  await pool.end();
});

test('a view that comes later is waited for while the topic may have something, one that goes counts as gone', async () => {
  const { id } = await erased();
  await migratePage('user', postgres.url('user'), { delivery: 'asynchronous', version: 2 }, silentLog);
  await look();
  const place = 'user asynchronous-v2';
  expect(await said(id, 'view', place)).toMatch(/no row of the seller yet/);
  const db = await connect(access('user'), lost);
  await db.query(`drop schema "${viewSchema('asynchronous', 2)}" cascade`);
  await db.end();
  await look();
  expect(await said(id, 'view', place)).toBe('confirmed');
  expect(await said((await erased()).id, 'view', place)).toBeUndefined();
});

test('a view that is dropped says so itself: its page may have no watcher any more', async () => {
  const view = { delivery: 'asynchronous', version: 3 } as const;
  await migratePage('user', postgres.url('user'), view, silentLog);
  await look();
  const { id } = await erased();
  const place = 'user asynchronous-v3';
  expect(await said(id, 'view', place)).toMatch(/has not looked yet/);
  const drop = (database: string) =>
    promisify(execFile)(process.execPath, [MAIN, 'drop-view'], {
      env: {
        PATH: process.env['PATH'],
        TC_HEALTH_PORT: '0',
        TC_PAGE: 'user',
        TC_DELIVERY: view.delivery,
        TC_VIEW_VERSION: String(view.version),
        TC_DATABASE_URL: postgres.url(database),
        TC_SOURCE_DATABASE_URL: postgres.url('source'),
      },
    });
  const refused: { stdout: string } = await drop('source').catch((err) => err);
  expect(refused.stdout).toContain('is not that of the user page');
  expect(await said(id, 'view', place)).toMatch(/has not looked yet/);
  await drop('user');
  for (const store of ['view', 'parked-messages', 'page-cache']) {
    expect(await said(id, store, place)).toBe('confirmed');
  }
});

test('an erasure that is committed while a view goes is not left waiting for it', async () => {
  const place = 'user asynchronous-v4';
  await session.book.register(place);
  const sellerId = ++last;
  await writer.add(sellerId, 'Secret brand');
  const tx = await source.connect();
  await tx.query('begin');
  await openReceipt(tx, { sellerId } as never, 2, true, new Date().toISOString());
  const gone = session.book.gone(place);
  await until('it waits for the erasure', async () => {
    const { rows } = await source.query(
      `select from pg_stat_activity where wait_event_type = 'Lock' and query like 'delete from erasure_reporter%'`,
    );
    return rows.length === 1;
  });
  await tx.query('commit');
  tx.release();
  await gone;
  const id = (await postgresErasures(source).idOf(sellerId, 2))!;
  expect(await said(id, 'view', place)).toBe('confirmed');
});

test('erasures that cannot be confirmed keep none behind them waiting', async () => {
  const stuck = [await erased(), await erased()];
  const behind = await erased();
  await write(SHOWN, behind.sellerId, behind.version);
  [end, applied] = [9, 5];
  await until('it is confirmed', async () => {
    await look(2);
    return (await said(behind.id, 'view', OF_SHOWN)) === 'confirmed';
  });
  for (const { id } of stuck) expect(await said(id, 'view', OF_SHOWN)).toMatch(/no row of the seller yet/);
});

test('a view that cannot be looked into keeps no other from confirming', async () => {
  const { id, sellerId, version } = await erased();
  for (const schema of [SHOWN, KEPT]) await write(schema, sellerId, version);
  const blind: ErasureSession = {
    ...session,
    openView: (view) =>
      view.delivery === 'asynchronous' ? Promise.reject(new Error('no\u0000 right')) : session.openView(view),
  };
  const views = new Map<string, OpenView>();
  await expect(lookAtPage('user', blind, views, new Map(), going)).rejects.toThrow(
    'cannot look into the view user asynchronous-v1: no right',
  );
  for (const view of views.values()) await view.close();
  expect(await said(id, 'view', 'user hybrid-v1')).toBe('confirmed');
  expect(await said(id, 'view', OF_SHOWN)).toBe(
    `the watcher of the page cannot look into the view ${OF_SHOWN}: no right`,
  );
});
