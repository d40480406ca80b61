/** Chunks of a view that is built, on a real PostgreSQL, through the store as the projector opens it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { encodeEvent, type ReadSellerEvent } from '#contracts/event-codec.ts';
import { cloudEventId, cloudEventType } from '#contracts/events.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { silentLog } from '#platform/log.ts';
import { connect, openPool, type Pool } from '#platform/postgres.ts';
import { makeUsers, namesOf } from '../local-stack/database-users.ts';
import { type LocalPostgres, startPostgres } from '../local-stack/postgres.ts';
import { until } from '../local-stack/until.ts';
import { migratePage } from '../migrate/databases.ts';
import { Applier, type ApplierObserver } from './applier.ts';
import { Copying, RowWriter } from './row-writer.ts';
import { openViewStore, type ViewStore } from './view-store.ts';

const projection = projectionsOf('gig').asynchronous;
let folder: string;
let postgres: LocalPostgres;
let settings: Parameters<typeof openViewStore>[0];
let view: Pool;
const opened: ViewStore[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'row-writer-'));
  postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  await postgres.createDatabase('gig');
  await makeUsers(postgres, ['gig']);
  const users = namesOf('gig');
  const first = { delivery: 'asynchronous', version: 1 } as const;
  await migratePage('gig', postgres.url('gig'), first, silentLog, { users });
  settings = {
    url: postgres.url('gig', users.projector),
    applicationName: 'row-writer.spec',
    statementTimeoutMs: 10_000,
    connectTimeoutMs: 5_000,
    searchPath: [viewSchema('asynchronous', 1), 'public'],
  };
  view = openPool({ ...settings, url: postgres.url('gig'), maximum: 3 }, silentLog);
}, 30_000);
beforeEach(async () => {
  await view.query('truncate top_clients, parked, checkpoint');
  // How often rows were copied, and how often upserted.
  await view.query(`create table if not exists writes (kind text);
    truncate writes;
    grant insert on writes to public;
    create or replace function note_write() returns trigger language plpgsql as
      $$ begin insert into writes select case when current_query() like 'copy%' then 'copy' else 'upsert' end; return null; end $$;
    create or replace trigger note_write after insert on top_clients for each statement execute function note_write()`);
});
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});
afterAll(async () => {
  await view?.end();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function open(): Promise<ViewStore> {
  const store = await openViewStore(settings, projection);
  opened.push(store);
  return store;
}
const event = (sellerId: number, version: number): ReadSellerEvent => ({
  ...{ sellerId, version, committedAt: '2026-11-30T01:02:03.004Z' },
  ...{ change: { type: 'seller-erased' }, clients: [] },
});
const chunk = (first: number, version = 1, size = 500) =>
  Array.from({ length: size }, (_, i) => projection.toRow(event(first + i, version)));
const written = async () =>
  (await view.query<{ kind: string }>('select kind from writes order by ctid')).rows.map(({ kind }) => kind);
const versions = async () =>
  (
    await view.query(
      `select version, count(*)::int as sellers from top_clients group by version order by version`,
    )
  ).rows;

test('chunks of new sellers are copied, also while others are in flight; a small one is not', async () => {
  const store = await open();
  expect(await Promise.all([1, 501, 1_001].map((first) => store.upsert(chunk(first))))).toEqual([
    500, 500, 500,
  ]);
  expect(await store.upsert(chunk(1_501, 1, 50))).toBe(50);
  expect(await written()).toEqual(['copy', 'copy', 'copy', 'upsert']);
  expect(await versions()).toEqual([{ version: 1, sellers: 1_550 }]);
});

test('where a seller has a row, the chunk is upserted: nothing older replaces it, and the count tells', async () => {
  const store = await open();
  await store.upsert(chunk(1, 5, 100));
  // Sellers 1 to 50 again, of which the first 25 are newer.
  const rows = [...chunk(1, 6, 25), ...chunk(26, 4, 25), ...chunk(101, 1, 450)];
  expect(await store.upsert(rows)).toBe(475);
  expect(await versions()).toEqual([
    { version: 1, sellers: 450 },
    { version: 5, sellers: 75 },
    { version: 6, sellers: 25 },
  ]);
  expect(await written()).toEqual(['upsert', 'upsert']);
});

test('an erased seller keeps the row that keeps late messages out, however they come', async () => {
  const store = await open();
  await store.upsert([projection.toRow(event(250, 9))]);
  const late = { ...event(250, 3), clientsJson: '["late"]' };
  expect(await store.upsert([...chunk(1, 1, 249), projection.toRow(late), ...chunk(251)])).toBe(749);
  const { rows } = await view.query('select version, clients from top_clients where seller_id = 250');
  expect(rows).toEqual([{ version: 9, clients: [] }]);
});

test('a view that stands is copied into ever more seldom, and one whose sellers are new again soon', async () => {
  const store = await open();
  for (let first = 1; first < 20_001; first += 500) await store.upsert(chunk(first));
  await view.query('truncate writes');
  // A backlog of changes: refused copies leave no trace in `writes`, nor any rows.
  for (let first = 1; first < 20_001; first += 500) await store.upsert(chunk(first, 2));
  expect(new Set(await written())).toEqual(new Set(['upsert']));
  expect(await versions()).toEqual([{ version: 2, sellers: 20_000 }]);
  await view.query('truncate writes');
  for (let first = 20_001; first < 60_001; first += 500) await store.upsert(chunk(first));
  expect((await written()).slice(-10)).toEqual(Array(10).fill('copy'));
});

test('two that write the same sellers at once end with the newest of each', async () => {
  const [one, other] = [await open(), await open()];
  for (let first = 1; first < 5_001; first += 500) {
    await Promise.all([one.upsert(chunk(first, 1)), other.upsert(chunk(first, 2))]);
  }
  expect(await versions()).toEqual([{ version: 2, sellers: 5_000 }]);
});

test('a copy that waits for somebody who is about to add one of its sellers is upserted then', async () => {
  const store = await open();
  const other = await connect({ ...settings, url: postgres.url('gig') }, () => {});
  await other.query('begin');
  await projection.upsert(other, chunk(300, 7, 1));
  const waiting = store.upsert(chunk(1));
  await until('it waits', async () => {
    const { rows } = await view.query(
      `select from pg_stat_activity where wait_event_type = 'Lock' and query like 'copy%'`,
    );
    return rows.length > 0;
  });
  await other.query('commit');
  expect(await waiting).toBe(499);
  expect(await versions()).toEqual([
    { version: 1, sellers: 499 },
    { version: 7, sellers: 1 },
  ]);
  await other.end();
});

test('where the connection breaks at every COPY, ever more chunks get through between', async () => {
  const copying = new Copying();
  let upserted = 0;
  const broken = {
    ...projection,
    upsert: async (_: unknown, rows: readonly unknown[]) => {
      upserted += 1;
      return rows.length;
    },
  };
  const db = {
    query: (_: unknown, done: (err: Error) => void) => done(new Error('Connection terminated unexpectedly')),
  };
  const between: number[] = [];
  for (let session = 0; session < 5; session++) {
    const writer = new RowWriter(db as never, broken, copying);
    await expect(
      (async () => {
        for (;;) await writer.write(chunk(1));
      })(),
    ).rejects.toThrow('Connection terminated');
    between.push(upserted);
    upserted = 0;
  }
  expect(between).toEqual([0, 1, 2, 4, 8]);
});

const NO_OBSERVER: ApplierObserver = { applied() {}, repaired() {}, skipped() {}, parked() {}, muted() {} };
const message = (offset: number, sellerId: number, version = 1) => ({
  offset: String(offset),
  timestamp: '0',
  key: Buffer.from(String(sellerId)),
  value: Buffer.from(encodeEvent(event(sellerId, version))),
  headers: { ce_type: cloudEventType('seller-erased'), ce_id: cloudEventId(sellerId, version) },
});
function applierOn(store: ViewStore) {
  const failures: unknown[] = [];
  const applier = new Applier(store, projection.toRow, new Map([[0, 0]]), [], NO_OBSERVER, (err) =>
    failures.push(err),
  );
  return { applier, failures };
}

test.each([
  [
    'a constraint',
    '23514',
    `alter table top_clients add constraint refused check (seller_id not in (700, 1900))`,
  ],
  [
    'a value',
    '22P02',
    `create function refuse() returns trigger language plpgsql as
      $$ begin if new.seller_id in (700, 1900) then perform 'no number'::integer; end if; return new; end $$;
    create trigger refused before insert on top_clients for each row execute function refuse()`,
  ],
])('%s that refuses two rows among copied ones parks these alone', async (_, __, refuse) => {
  await view.query(refuse);
  try {
    const { applier, failures } = applierOn(await open());
    const messages = Array.from({ length: 3_000 }, (_, i) => message(i, i + 1));
    applier.handOver(0, messages, messages.length);
    await applier.drain();
    expect(failures).toEqual([]);
    expect(applier.positions.get(0)!.next).toBe(3_000);
    expect(await versions()).toEqual([{ version: 1, sellers: 2_998 }]);
    const { rows } = await view.query('select seller_id from parked order by seller_id');
    expect(rows).toEqual([{ seller_id: 700 }, { seller_id: 1_900 }]);
    expect(await written()).toContain('copy');
  } finally {
    await view.query(`alter table top_clients drop constraint if exists refused;
      drop trigger if exists refused on top_clients; drop function if exists refuse()`);
  }
});

test.each([
  ['57014', 'a cancelled statement'],
  ['53100', 'a full disk'],
])('%s, %s, is nobody’s fault: the chunk is not parked, and whoever applies it begins anew', async (code) => {
  await view.query(`create function refuse() returns trigger language plpgsql as
      $$ begin raise exception 'refused' using errcode = '${code}'; end $$;
    create trigger refused before insert on top_clients for each row execute function refuse()`);
  try {
    const { applier, failures } = applierOn(await open());
    const messages = Array.from({ length: 1_000 }, (_, i) => message(i, i + 1));
    applier.handOver(0, messages, messages.length);
    await applier.drain();
    expect(failures).toMatchObject([{ code }]);
    expect((await view.query('select from parked')).rowCount).toBe(0);
  } finally {
    await view.query('drop trigger refused on top_clients; drop function refuse()');
  }
});

test('what a checkpoint covers is there after the server was killed, copied or not', async () => {
  const store = await open();
  await store.tryOwn([0]);
  await store.loadCheckpoints([0]);
  await Promise.all([1, 501, 1_001].map((first) => store.upsert(chunk(first))));
  await store.checkpoint([{ partition: 0, known: 0, next: 1_500, committedAt: null }]);
  postgres.kill('SIGKILL');
  await postgres.exited;
  await postgres.restart();
  await until('it answers', () =>
    view.query('select').then(
      () => true,
      () => false,
    ),
  );
  expect(await versions()).toEqual([{ version: 1, sellers: 1_500 }]);
  // The next one begins anew in the middle: rows beyond its checkpoint may be there.
  const again = await open();
  expect(await again.loadCheckpoints([0])).toEqual(new Map([[0, 1_500]]));
  expect(await again.upsert(chunk(1_001, 1, 1_000))).toBe(500);
  expect(await versions()).toEqual([{ version: 1, sellers: 2_000 }]);
});
