/** Every part that opens a database, on a server whose defaults are none of those that it would like. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { PageName } from '#contracts/pages.ts';
import { PAGE_NAMES } from '#contracts/pages.ts';
import { PAGES } from '#pages/index.ts';
import { NO_INVALIDATION_FEED, type Statement } from '#pages/page.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { silentLog } from '#platform/log.ts';
import { connect, openPool, type Pool, UnfitDatabase } from '#platform/postgres.ts';
import { migratePage, migrateSource } from '../../services/migrate/databases.ts';
import { acquireLease } from '../../services/outbox-relay/lease.ts';
import { redrive } from '../../services/projector/redrive.ts';
import { openViewStore } from '../../services/projector/view-store.ts';
import { beginRun, finishRun } from '../../services/republish/run.ts';
import { searchBrands } from '../../services/seller-portal/catalogue.ts';
import { openChangeLog } from '../../services/seller-portal/change-log.ts';
import { postgresSource } from '../../services/top-clients/adapters/postgres/audit-source.ts';
import { openOutbox, prepareSession } from '../../services/top-clients/adapters/postgres/outbox.ts';
import { postgresSellers } from '../../services/top-clients/adapters/postgres/sellers.ts';
import { postgresStateRepair } from '../../services/top-clients/adapters/postgres/state-repair.ts';
import { rebuildState } from '../../services/top-clients/app/index.ts';
import { runCommand } from '../../services/top-clients/app/run-command.ts';
import { postgresView } from '../../services/view-audit/postgres-view.ts';
import { type ForeignPostgres, SELLERS, startForeignPostgres } from '../support/foreign-postgres.ts';

let postgres: ForeignPostgres;
const opened: Array<() => Promise<unknown>> = [];

beforeAll(async () => {
  postgres = await startForeignPostgres();
}, 60_000);
afterEach(async () => {
  for (const end of opened.splice(0)) await end();
});
afterAll(() => postgres?.stop());

const VIEW = viewSchema('asynchronous', 1);
const settings = (database: string) => ({
  url: postgres.url(database),
  applicationName: 'spec',
  statementTimeoutMs: 10_000,
  connectTimeoutMs: 10_000,
});
const pool = (database: string, more: { searchPath?: string[]; pipeline?: boolean } = {}): Pool => {
  const one = openPool({ ...settings(database), maximum: 8, ...more }, silentLog);
  opened.push(() => one.end());
  return one;
};
const session = async (database: string, more: { searchPath?: string[]; pipeline?: boolean } = {}) => {
  const one = await connect({ ...settings(database), ...more }, () => {});
  opened.push(() => one.end());
  return one;
};

const client = (name: string) => ({
  name,
  industry: '',
  description: '',
  logo: null,
  from: '2020-01',
  to: null,
});
const KEY = { key: 'the same', fingerprint: new Uint8Array([0, 92, 255]) };

test('of thirty requests under one key one is carried out, and the others have its answer', async () => {
  const sellers = postgresSellers(pool('source', { pipeline: true }));
  const command = { kind: 'add-client' as const, clientId: crypto.randomUUID(), client: client('Łódź') };
  const request = { sellerId: 901, expectedVersions: null, idempotency: KEY, traceparent: '' };
  const results = await Promise.all(
    Array.from({ length: 30 }, () => runCommand(sellers, request, command, ({ version }) => version)),
  );
  expect(results.map(({ kind }) => kind).sort()).toEqual(['committed', ...Array(29).fill('replayed')]);
  const list = await sellers.list(901);
  expect(JSON.parse(list.clients)).toEqual([{ ...command.client, id: command.clientId }]);
  expect(Date.parse(list.updatedAt!)).toBeGreaterThan(Date.now() - 60_000);
  expect((await sellers.log(901, 0, 10)).map(({ committedAt }) => committedAt)).toEqual([list.updatedAt]);
});

test('the relay leads, sees what waits and since when, and stays in its session', async () => {
  const lease = await acquireLease(
    settings('source'),
    { index: 0, of: 1 },
    new AbortController().signal,
    silentLog,
    () => {},
  );
  opened.push(() => lease!.release());
  const db = await session('source', { pipeline: true });
  await prepareSession(db);
  const outbox = openOutbox(db, { index: 0, of: 1 }, silentLog);
  const rows = await outbox.ackAndFetch({ remove: [], except: [], held: [], limit: 1_000 });
  expect(rows.length).toBeGreaterThan(SELLERS);
  const [row] = rows;
  const { committedAt } = JSON.parse(row!.value!) as { committedAt: string };
  expect(row!.committedAt).toBeCloseTo(Date.parse(committedAt), -1);
  // Longer than the server lets a session rest.
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect(lease!.isHeld()).toBe(true);
  await outbox.ackAndFetch({ remove: [], except: [], held: [], limit: 1 });
});

/** A time of which other date styles make another day, or none. */
const COMMITTED_AT = '2026-02-03T23:45:00.123Z';
const eventOf = (sellerId: number) => ({
  sellerId,
  version: 1,
  committedAt: COMMITTED_AT,
  change: { type: 'clients-reordered' as const, clientIds: [] },
  clients: [{ ...client('Łódź'), id: crypto.randomUUID() }],
});

describe.each(PAGE_NAMES)('the %s page', (page: PageName) => {
  test.each(['asynchronous', 'hybrid'] as const)('is projected and read by %s', async (delivery) => {
    const searchPath = [viewSchema(delivery, 1), 'public'];
    const projection = projectionsOf(page)[delivery];
    const store = await openViewStore({ ...settings(page), searchPath }, projection);
    opened.push(() => store.close());
    await store.join();
    expect(await store.tryOwn([0])).toEqual([0]);
    expect(await store.upsert([projection.toRow(eventOf(1))])).toBe(1);
    await store.loadCheckpoints([0]);
    expect(await store.checkpoint([{ partition: 0, known: 0, next: 4, committedAt: COMMITTED_AT }])).toEqual(
      new Map([[0, 0]]),
    );
    const message = { key: '2', type: null, value: 'not JSON', reason: 'unreadable', isReadable: false };
    await store.park([{ partition: 0, offset: 3, sellerId: 2, version: null, ...message }]);
    expect(await store.parkedSellers()).toEqual([2]);
    expect(await store.retryParked([0], [0])).toMatchObject([{ sellerId: 2, result: 'remains' }]);
    const db = await session(page, { searchPath });
    expect(await redrive(db, projection, silentLog)).toMatchObject({ applied: 0, superseded: 0 });

    const reads = PAGES[page].open(NO_INVALIDATION_FEED);
    const pages = pool(page, { searchPath });
    const database = { query: async (one: Statement) => (await pages.query(one)).rows as never };
    const at = page === 'search' ? { query: '', page: 1 } : 1;
    const read = delivery === 'asynchronous' ? reads.withLists : reads.withIds;
    const answer = await read(database, at, () => 0);
    expect(answer!.held.get(1)).toMatchObject({ version: 1, committedAt: Date.parse(COMMITTED_AT) });
    // One that fewer digits would round.
    const { rows } = await pages.query<{ third: number }>('select (1.0 / 3)::real as third');
    expect(rows[0]!.third).toBeCloseTo(1 / 3, 6);
  });
});

test('a view is compared with the source, and only what differs is found', async () => {
  const source = postgresSource(await session('source'), silentLog);
  const truths = await source.next(0, 1_000);
  const searchPath = [VIEW, 'public'];
  const projection = projectionsOf('gig').asynchronous;
  const store = await openViewStore({ ...settings('gig'), searchPath }, projection);
  opened.push(() => store.close());
  await store.upsert(
    truths
      .slice(1)
      .map((truth) =>
        projection.toRow({ ...eventOf(truth.sellerId), ...truth, clients: [...truth.clients] }),
      ),
  );
  const db = await session('gig', { searchPath, pipeline: true });
  const view = await postgresView(db, projection, VIEW);
  const { differences } = await view.compareRange(truths.slice(1), truths[0]!.sellerId, 1_000);
  expect(differences.filter(({ sellerId }) => sellerId !== 1)).toEqual([]);
  expect(await source.isSentUpTo(0)).toBe(true);
});

test('states are published again, and made anew from the log', async () => {
  const db = await session('source');
  await beginRun(db, { request: 'all', first: 0, last: 1_000 });
  expect(await finishRun(db, 'all', { sellersPerSecond: 1e6, mostWaiting: 1e6 })).toBeGreaterThan(10);
  expect(await rebuildState(postgresStateRepair(db), () => {})).toMatchObject({ corrected: 0 });
});

test('the self-view finds brands and remembers changes', async () => {
  const db = pool('self_view');
  expect((await searchBrands(db, 'spotfy')).map(({ name }) => name)).toContain('Spotify');
  const changes = openChangeLog(db, 60_000);
  await changes.begin(1, 'key', { title: 'Łódź', inverse: null, madeFor: 1 });
  await changes.acknowledge(1, 'key', 7, null);
  expect(await changes.find(1, 7)).toEqual({ title: 'Łódź', version: 7, inverse: null });
});

test.each(['pool', 'session'] as const)(
  'a %s has the settings that are relied on, all of them',
  async (kind) => {
    const db = kind === 'pool' ? pool('source') : await session('source');
    const { rows } = await db.query<{ name: string; setting: string }>(
      `select name, setting from pg_settings where name = any ($1) order by name`,
      [
        [
          'DateStyle',
          'IntervalStyle',
          'TimeZone',
          'array_nulls',
          'bytea_output',
          'client_encoding',
          'default_transaction_isolation',
          'extra_float_digits',
          'idle_in_transaction_session_timeout',
          'idle_session_timeout',
          'lock_timeout',
          'search_path',
          'standard_conforming_strings',
          'statement_timeout',
          'synchronous_commit',
        ],
      ],
    );
    expect(Object.fromEntries(rows.map(({ name, setting }) => [name, setting]))).toEqual({
      DateStyle: 'ISO, MDY',
      IntervalStyle: 'postgres',
      TimeZone: 'UTC',
      array_nulls: 'on',
      bytea_output: 'hex',
      client_encoding: 'UTF8',
      default_transaction_isolation: 'read committed',
      extra_float_digits: '1',
      idle_in_transaction_session_timeout: '10000',
      idle_session_timeout: '0',
      lock_timeout: '0',
      search_path: '"public"',
      standard_conforming_strings: 'on',
      statement_timeout: '10000',
      synchronous_commit: 'on',
    });
  },
);

test('a database that cannot hold every name is refused before anything is written, with what to do', async () => {
  await postgres.createLatin('latin');
  const words = /"latin" has the encoding LATIN1.*encoding 'UTF8' template template0/;
  await expect(migrateSource(postgres.url('latin'), silentLog)).rejects.toThrow(words);
  await expect(migratePage('gig', postgres.url('latin'), 'none', silentLog)).rejects.toThrow(words);
  await expect(session('latin')).rejects.toThrow(UnfitDatabase);
  await expect(pool('latin').query('select 1')).rejects.toThrow(words);
});

test('where somebody stopped all writes nothing is written past that, and it is said how to allow them', async () => {
  const db = pool('postgres');
  await postgres.createDatabase('frozen');
  await db.query('alter database frozen set default_transaction_read_only = on');
  const words = /default_transaction_read_only is on: .*alter database "frozen" reset/;
  await expect(migrateSource(postgres.url('frozen'), silentLog)).rejects.toThrow(words);
  // A page only reads.
  expect((await pool('frozen').query<{ one: number }>('select 1 as one')).rows).toEqual([{ one: 1 }]);
});

test('an extension that somebody put into a schema of its own is found there', async () => {
  await postgres.createDatabase('extensions');
  const db = await session('extensions');
  await db.query('create schema elsewhere; create extension pg_trgm schema elsewhere');
  await migratePage('self-view', postgres.url('extensions'), 'none', silentLog);
  expect(await searchBrands(pool('extensions'), 'spotify')).toEqual([]);
});

test('nobody opens a database but the room whose settings these are', () => {
  const services = fileURLToPath(new URL('../../services/', import.meta.url));
  const opens = readdirSync(services, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && !file.endsWith('.spec.ts'))
    .filter((file) => {
      const text = readFileSync(join(services, file), 'utf8');
      return /from 'pg'/.test(text) && /\bnew (pg\.)?\w*(Client|Pool)\(/.test(text);
    });
  expect(opens.sort()).toEqual([
    // Of its own server on this machine, before there is any database of ours.
    'local-stack/postgres.ts',
    'platform/postgres.ts',
  ]);
});
