/** The read surface of a page's database, by a real PostgreSQL: what anybody may read, whichever view is shown. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type pg from 'pg';
import type { SellerEvent } from '#contracts/events.ts';
import { PAGE_NAMES, type PageName } from '#contracts/pages.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { silentLog } from '#platform/log.ts';
import { connect } from '#platform/postgres.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { until } from '../../services/local-stack/until.ts';
import { migratePage } from '../../services/migrate/databases.ts';
import { dropView } from '../../services/migrate/drop-view.ts';
import { CannotShow, showView } from '../../services/migrate/read-surface.ts';
import { evictErased } from '../../services/page-kit/evict-erased.ts';

const WAIT_MS = 10_000;
const v = (version: number, delivery: 'asynchronous' | 'hybrid' = 'asynchronous') => ({ delivery, version });
let folder: string;
let postgres: LocalPostgres;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'read-surface-'));
  postgres = await startPostgres({ dataDir: folder });
  const owner = await open('postgres');
  // Who reads a page's database beside us: it has a password, and no right on anything.
  await owner.query("create role reader login password 'reader'");
});
afterAll(async () => {
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
});

const connected: pg.Client[] = [];
async function open(database: string, user?: 'reader'): Promise<pg.Client> {
  const url = new URL(postgres.url(database));
  if (user !== undefined) [url.username, url.password] = [user, user];
  const client = await connect(
    { url: url.href, applicationName: 'read-surface', statementTimeoutMs: 20_000, connectTimeoutMs: 5_000 },
    () => {},
  );
  connected.push(client);
  return client;
}

/** Each test has a database of its own, of this page. */
let databases = 0;
let database: string;
let db: pg.Client;
beforeEach(async () => {
  database = `page_${++databases}`;
  await postgres.createDatabase(database);
  db = await open(database);
});
afterEach(async () => {
  for (const client of connected.splice(0)) await client.end();
});

const migrateTo = (page: PageName, view: ReturnType<typeof v>, show = false) =>
  migratePage(page, postgres.url(database), view, silentLog, {}, show);

const client = (n: number) => ({
  id: `01890000-0000-7000-8000-00000000000${n}`,
  name: `Client ${n}`,
  industry: '',
  description: '',
  logo: null,
  from: null,
  to: null,
});
/** A seller whose list has as many clients as its version says. */
const event = (sellerId: number, version: number): SellerEvent => ({
  sellerId,
  version,
  committedAt: `2026-11-29T10:00:0${version}.000Z`,
  change: { type: 'seller-erased' },
  clients: Array.from({ length: version }, (_, i) => client(i + 1)) as never,
});
async function write(
  on: pg.Client,
  page: PageName,
  { delivery, version: view }: ReturnType<typeof v>,
  sellers: readonly number[],
  version: number,
): Promise<void> {
  const projection = projectionsOf(page)[delivery];
  await on.query(`set search_path = ${viewSchema(delivery, view)}`);
  await projection.upsert(
    on,
    sellers.map((seller) => projection.toRow(event(seller, version))),
  );
  await on.query('reset search_path');
}
const rowsOf = async (on: pg.Client, statement: string) => (await on.query(statement)).rows;

test.each(PAGE_NAMES)(
  'the %s page has the same columns as every other, and says what it shows',
  async (page) => {
    await migrateTo(page, v(1));
    await migrateTo(page, v(1, 'hybrid'));
    await write(db, page, v(1), [7], 4);
    await write(db, page, v(1, 'hybrid'), [7], 2);
    const columns = await rowsOf(
      db,
      `select table_name || '.' || column_name as name, data_type as type from information_schema.columns
    where table_schema = 'top_clients' and table_name in ('lists', 'client_ids', 'status')
    order by table_name, ordinal_position`,
    );
    expect(columns.map(({ name, type }) => `${name} ${type}`)).toEqual([
      'client_ids.seller_id bigint',
      'client_ids.version bigint',
      'client_ids.committed_at timestamp with time zone',
      'client_ids.client_ids ARRAY',
      'lists.seller_id bigint',
      'lists.version bigint',
      'lists.committed_at timestamp with time zone',
      'lists.clients json',
      'lists.total integer',
      'status.delivery text',
      'status.view_version integer',
      'status.newest_commit timestamp with time zone',
      'status.applied_at timestamp with time zone',
    ]);
    const [list] = await rowsOf(db, 'select * from top_clients.lists');
    expect(list).toMatchObject({
      seller_id: 7,
      version: 4,
      committed_at: new Date('2026-11-29T10:00:04Z'),
      total: 4,
    });
    expect(list.clients.map(({ name }: { name: string }) => name)).toEqual(
      ['Client 1', 'Client 2', 'Client 3', 'Client 4'].slice(0, page === 'search' ? 3 : 4),
    );
    expect(await rowsOf(db, 'select seller_id, version, client_ids from top_clients.client_ids')).toEqual([
      { seller_id: 7, version: 2, client_ids: [client(1).id, client(2).id] },
    ]);
    await db.query(
      `insert into ${viewSchema('asynchronous', 1)}.checkpoint values (0, 5, '2026-11-29T10:00:04Z', '2026-11-29T10:00:05Z')`,
    );
    expect(await rowsOf(db, 'select * from top_clients.status')).toEqual([
      {
        delivery: 'asynchronous',
        view_version: 1,
        newest_commit: new Date('2026-11-29T10:00:04Z'),
        applied_at: new Date('2026-11-29T10:00:05Z'),
      },
    ]);
  },
);

test('who may read the surface needs no right on what stands behind, and has none', async () => {
  await migrateTo('gig', v(1));
  await write(db, 'gig', v(1), [7], 1);
  const reader = await open(database, 'reader');
  await expect(reader.query('select from top_clients.lists')).rejects.toThrow('permission denied');
  await db.query('grant usage on schema top_clients to reader');
  await db.query('grant select on top_clients.lists, top_clients.client_ids, top_clients.status to reader');
  const read = () => rowsOf(reader, 'select seller_id from top_clients.lists, top_clients.status');
  expect(await read()).toEqual([{ seller_id: 7 }]);
  // To show another view, and to migrate again, takes away nothing.
  await migrateTo('gig', v(2), true);
  expect(await read()).toEqual([]);
  await expect(reader.query(`select from ${viewSchema('asynchronous', 2)}.top_clients`)).rejects.toThrow(
    'permission denied',
  );
  await expect(reader.query('select from top_clients.shown')).rejects.toThrow('permission denied');
  await expect(reader.query('delete from top_clients.lists')).rejects.toThrow('permission denied');
});

test('the first view is shown at once; a further one when it is told to, and a rollback as well', async () => {
  const shown = () => rowsOf(db, 'select delivery, view_version from top_clients.status');
  await migrateTo('gig', v(1));
  await migrateTo('gig', v(2));
  await migrateTo('gig', v(1, 'hybrid'));
  expect(await shown()).toEqual([{ delivery: 'asynchronous', view_version: 1 }]);
  await migrateTo('gig', v(2), true);
  expect(await shown()).toEqual([{ delivery: 'asynchronous', view_version: 2 }]);
  await migrateTo('gig', v(1, 'hybrid'), true);
  expect(await shown()).toEqual([{ delivery: 'hybrid', view_version: 1 }]);
  // Servers that still ask for lists find them until the view is removed.
  await write(db, 'gig', v(2), [7], 1);
  expect(await rowsOf(db, 'select seller_id from top_clients.lists')).toEqual([{ seller_id: 7 }]);
  await expect(showView(db, 'gig', v(9), WAIT_MS)).rejects.toThrow(
    'there is no view top_clients_asynchronous_v9 in this database; run migrate --target gig --delivery asynchronous --view-version 9 first',
  );
  expect(await shown()).toEqual([{ delivery: 'hybrid', view_version: 1 }]);
});

test('who reads with prepared statements meanwhile reads the one view or the other, whole, and never fails', async () => {
  const SELLERS = Array.from({ length: 50 }, (_, i) => i + 1);
  for (const version of [1, 2]) {
    await migrateTo('gig', v(version));
    await write(db, 'gig', v(version), SELLERS, version);
  }
  let over = false;
  const reads = { 1: 0, 2: 0 };
  const reading = Array.from({ length: 4 }, async () => {
    const reader = await open(database);
    while (!over) {
      const { rows } = await reader.query({
        name: 'all',
        text: `select view_version, min(version) as least, max(version) as greatest, count(*)::integer as count
          from top_clients.lists, top_clients.status group by view_version`,
      });
      const [{ view_version: shown, least, greatest, count }] = rows;
      expect([rows.length, least, greatest, count]).toEqual([1, shown, shown, SELLERS.length]);
      reads[shown as 1 | 2] += 1;
    }
  });
  for (let switched = 0; switched < 40; switched++) await showView(db, 'gig', v(1 + (switched % 2)), WAIT_MS);
  over = true;
  await Promise.all(reading);
  expect(Math.min(reads[1], reads[2])).toBeGreaterThan(10);
});

test('a transaction that stays open holds a switch up, not the readers, and the switch says so', async () => {
  for (const version of [1, 2]) await migrateTo('gig', v(version));
  const long = await open(database);
  await long.query('begin');
  await long.query('select from top_clients.lists');
  const switching = showView(db, 'gig', v(2), 1_500);
  switching.catch(() => {});
  let longest = 0;
  const reader = await open(database);
  await Promise.race([
    switching.catch(() => {}),
    (async () => {
      for (let reads = 0; reads < 1_000; reads++) {
        const began = performance.now();
        await reader.query('select from top_clients.lists');
        longest = Math.max(longest, performance.now() - began);
      }
      await switching.catch(() => {});
    })(),
  ]);
  await expect(switching).rejects.toThrow(CannotShow);
  await expect(switching).rejects.toThrow('stays open (pg_stat_activity shows which)');
  expect(longest).toBeLessThan(500);
  const again = showView(db, 'gig', v(2), WAIT_MS);
  await long.query('commit');
  await again;
  expect(await rowsOf(reader, 'select view_version from top_clients.status')).toEqual([{ view_version: 2 }]);
});

test('readers that hold what the switch wants, and want what it holds, are not the ones that are ended', async () => {
  for (const version of [1, 2]) await migrateTo('gig', v(version));
  let over = false;
  const reading = (['status', 'lists'] as const).flatMap((first) =>
    Array.from({ length: 3 }, async () => {
      const second = first === 'status' ? 'lists' : 'status';
      const reader = await open(database);
      while (!over) {
        await reader.query('begin');
        await reader.query(`select from top_clients.${first}`);
        await reader.query('select pg_sleep(0.01)');
        await reader.query(`select from top_clients.${second}`);
        await reader.query('commit');
      }
    }),
  );
  // With readers at every moment a switch may take a while to find its own.
  for (let switched = 0; switched < 3; switched++) {
    await showView(db, 'gig', v(1 + (switched % 2)), WAIT_MS).catch((err) =>
      expect(err).toBeInstanceOf(CannotShow),
    );
  }
  over = true;
  await Promise.all(reading);
}, 60_000);

test('one channel tells which sellers changed in the view that is shown, and `*` when another one is', async () => {
  for (const version of [1, 2]) await migrateTo('gig', v(version));
  await migrateTo('gig', v(1, 'hybrid'));
  const heard: string[] = [];
  const listener = await open(database);
  listener.on('notification', ({ payload = '' }) => heard.push(payload));
  await listener.query('listen top_clients');
  const hears = (...payloads: string[]) => until('it has heard', () => heard.join() === payloads.join());

  await write(db, 'gig', v(2), [1], 1);
  await write(db, 'gig', v(1), [2, 3], 1);
  await hears('2,3');
  await write(db, 'gig', v(1, 'hybrid'), [4], 1);
  await hears('2,3', '4');
  heard.length = 0;

  // A writer under way does not know that it writes what is shown: the switch waits for it.
  const writer = await open(database);
  await writer.query('begin');
  await write(writer, 'gig', v(2), [5], 1);
  const switching = showView(db, 'gig', v(2), WAIT_MS);
  await until('the switch waits', async () => {
    const [{ waits }] = await rowsOf(
      listener,
      "select count(*)::integer as waits from pg_locks where not granted and mode = 'ShareRowExclusiveLock'",
    );
    return waits > 0;
  });
  await writer.query('commit');
  await switching;
  await hears('*');
  await write(writer, 'gig', v(2), [6], 1);
  await write(writer, 'gig', v(1), [7], 1);
  await hears('*', '6');
  // What is shown already is not shown anew.
  await showView(db, 'gig', v(2), WAIT_MS);
  await write(writer, 'gig', v(2), [8], 1);
  await hears('*', '6', '8');
});

test('what a page shows is not removed; another view is, and its readers find no rows', async () => {
  await migrateTo('gig', v(1));
  await migrateTo('gig', v(1, 'hybrid'), true);
  await write(db, 'gig', v(1), [7], 1);
  const drop = (delivery: 'asynchronous' | 'hybrid') =>
    dropView(db, null, { page: 'gig', group: 'nobody', schema: viewSchema(delivery, 1) }, 0, silentLog);
  await expect(drop('hybrid')).rejects.toThrow(
    'top_clients_hybrid_v1 is what the gig page shows; have it show another one first',
  );
  expect(await drop('asynchronous')).toMatchObject({ removed: true });
  expect(await rowsOf(db, 'select * from top_clients.lists')).toEqual([]);
  expect(await drop('asynchronous')).toMatchObject({ removed: false });
  // The last one goes only when that is meant.
  const last = { page: 'gig', group: 'nobody', schema: viewSchema('hybrid', 1), evenIfShown: true } as const;
  expect(await dropView(db, null, last, 0, silentLog)).toMatchObject({ removed: true });
  expect(await rowsOf(db, 'select delivery, view_version from top_clients.status')).toEqual([
    { delivery: null, view_version: null },
  ]);
  // It can be built again, and shown.
  await migrateTo('gig', v(1), true);
  await write(db, 'gig', v(1), [8], 1);
  expect(await rowsOf(db, 'select seller_id from top_clients.lists')).toEqual([{ seller_id: 8 }]);
});

test('a page server reports erasures of the view that is shown, and of no other', async () => {
  for (const version of [1, 2]) await migrateTo('gig', v(version));
  const erase = async (version: number, sellers: readonly number[]) => {
    for (const seller of sellers)
      await db.query(
        `insert into ${viewSchema('asynchronous', version)}.erased (erasure_id, seller_id) values (gen_random_uuid(), $1)`,
        [seller],
      );
  };
  const reported = async (version: number) =>
    (await rowsOf(db, `select forgot_through from ${viewSchema('asynchronous', version)}.page_server`)).map(
      ({ forgot_through }) => forgot_through,
    );
  const evicted: number[] = [];
  let evictedAll = 0;
  const cache = {
    evictSeller: (seller: number) => evicted.push(seller),
    evictOlderThan: (ms: number) => {
      expect(ms).toBe(0);
      evictedAll += 1;
    },
  };
  const stop = new AbortController();
  const evicting = evictErased(await open(database), cache, stop.signal, silentLog);
  await until('it has looked', () => evictedAll === 1);
  await erase(1, [7, 8, 9]);
  await until('it has reported', async () => (await reported(1)).join() === '3', 10_000);
  expect(evicted).toEqual([7, 8, 9]);
  // Numbers of another view begin at one again: what it has not evicted there it must not report.
  await showView(db, 'gig', v(2), WAIT_MS);
  await until('it looks anew', () => evictedAll === 2, 10_000);
  await erase(2, [5]);
  await until('it has reported', async () => (await reported(2)).join() === '1', 10_000);
  expect([evicted, await reported(1)]).toEqual([[7, 8, 9, 5], [3]]);
  stop.abort();
  await evicting;
}, 30_000);
