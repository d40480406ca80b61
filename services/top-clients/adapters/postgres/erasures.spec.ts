import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type LocalPostgres, startPostgres } from '../../../local-stack/postgres.ts';
import { migrateSource } from '../../../migrate/databases.ts';
import { silentLog } from '../../../platform/log.ts';
import { connect, openPool, type Pool } from '../../../platform/postgres.ts';
import { emptyLogs, eraseSeller, readHistory, readReceipt, rebuildState } from '../../app/index.ts';
import { type Sellers, Unavailable, type WriteRequest } from '../../app/ports.ts';
import { postgresErasures } from './erasures.ts';
import { postgresSellers } from './sellers.ts';
import { postgresStateRepair } from './state-repair.ts';

let folder: string;
let postgres: LocalPostgres;
let pool: Pool;
let sellers: Sellers;
const settings = () => ({
  url: postgres.url('source'),
  applicationName: 'spec',
  // As in production: no statement may take longer.
  statementTimeoutMs: 2_000,
  connectTimeoutMs: 5_000,
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'erasures-'));
  postgres = await startPostgres({ dataDir: join(folder, 'data') });
  await postgres.createDatabase('source');
  await migrateSource(postgres.url('source'), silentLog);
  pool = openPool({ ...settings(), maximum: 4, pipeline: true }, silentLog);
  sellers = postgresSellers(pool);
});
afterAll(async () => {
  await pool?.end();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

const request = (sellerId: number): WriteRequest => ({
  sellerId,
  expectedVersions: null,
  idempotency: null,
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
});

/** A seller who has changed one client so often. */
async function changedOften(sellerId: number, times: number): Promise<void> {
  // In one go, which only a test is in a hurry for.
  const db = await connect({ ...settings(), statementTimeoutMs: 120_000 }, () => {});
  const client = `{"id":"0f8d1a3e-6d3c-4b4e-9f3c-1f6d4f0a7f52","name":"Secret brand","industry":"","description":"","logo":null,"from":null,"to":null}`;
  await db.query(
    `insert into seller_event (seller_id, version, type, change, committed_at, traceparent)
    select $1, version, case when version = 1 then 'client-added' else 'client-updated' end,
      case when version = 1 then $3::json else $4::json end, now(), null
    from generate_series(1, $2) version`,
    [
      sellerId,
      times,
      `{"type":"client-added","client":${client},"position":0}`,
      `{"type":"client-updated","client":${client}}`,
    ],
  );
  await db.query('insert into seller (seller_id, version, clients, updated_at) values ($1, $2, $3, now())', [
    sellerId,
    times,
    `[${client}]`,
  ]);
  await db.end();
}

const erase = async (sellerId: number): Promise<{ version: number; id: string }> => {
  const result = await eraseSeller(sellers, request(sellerId));
  if (!('decided' in result) || result.decided.kind !== 'done') throw new Error('was not erased');
  const { version } = result.decided.answer;
  return { version, id: (await postgresErasures(pool).idOf(sellerId, version))! };
};

const contents = async (sellerId: number): Promise<number> => {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*) from seller_event where seller_id = $1 and change::text like '%Secret%'`,
    [sellerId],
  );
  return rows[0]!.count;
};

const noRest = async () => {};
const unheard = { emptied: () => {} };
const never = new AbortController().signal;

test('nothing of a log that waits to be emptied is read, nor rebuilt', async () => {
  await changedOften(2, 30);
  await erase(2);
  expect(await contents(2)).toBe(30);
  const { entries } = await readHistory(sellers, 2, 0, 100);
  expect(entries.map(({ change }) => change)).toEqual([...Array(30).fill(null), '{"type":"seller-erased"}']);

  // What a crash may leave: half of the log is emptied.
  await postgresErasures(pool).emptyNextBatch(10);
  expect(await contents(2)).toBe(20);
  await pool.query(`update seller set clients = '[{"name":"Secret"}]' where seller_id = 2`);
  const db = await connect(settings(), () => {});
  await rebuildState(postgresStateRepair(db), () => {});
  await db.end();
  expect((await sellers.list(2)).clients).toBe('[]');
});

test('what a seller says after the erasure is there, and what the log says of it stays', async () => {
  await changedOften(3, 5);
  await erase(3);
  await pool.query(
    `insert into seller_event (seller_id, version, type, change, committed_at) values (3, 7, 'client-added', '"new"', now())`,
  );
  await emptyLogs(postgresErasures(pool), unheard, noRest, never);
  const { entries } = await readHistory(sellers, 3, 5, 100);
  expect(entries.map(({ change }) => change)).toEqual(['{"type":"seller-erased"}', '"new"']);
});

test('who goes on after a crash begins where the last batch ended, and several do not do it twice', async () => {
  await changedOften(4, 95);
  await changedOften(5, 12);
  const receipt = await erase(4);
  await erase(5);
  const erasures = postgresErasures(pool);
  await erasures.emptyNextBatch(10);
  const { rows } = await pool.query(
    'select emptied_through from erasure where seller_id in (4, 5) order by 1',
  );
  expect(rows.map((row) => row.emptied_through)).toEqual([0, 10]);
  const open = async () =>
    (await erasures.receipt(receipt.id))!.stores.find(({ store }) => store === 'log')!.openBecause;
  for (const _ of [1, 2, 3]) await erasures.emptyNextBatch(10);
  expect(await open()).toBe('emptied up to version 20 of 95');
  await Promise.all([1, 2, 3].map(() => emptyLogs(postgresErasures(pool), unheard, noRest, never)));
  // One that finds another at the last log leaves it to that.
  await emptyLogs(erasures, unheard, noRest, never);
  expect(await open()).toBeNull();
  expect([await contents(4), await contents(5)]).toEqual([0, 0]);
});

test('a batch that takes too long is tried again with less, and one entry that does not go is told', async () => {
  await changedOften(6, 100);
  await erase(6);
  const asked: number[] = [];
  const erasures = postgresErasures(pool);
  const slow = (most: number) => ({
    ...erasures,
    emptyNextBatch: (entries: number) => {
      asked.push(entries);
      if (entries > most) throw new Unavailable('took too long');
      return erasures.emptyNextBatch(entries);
    },
  });
  await emptyLogs(slow(40), unheard, noRest, never);
  expect(asked.slice(0, 7)).toEqual([1_000, 500, 250, 125, 62, 31, 62]);
  expect(await contents(6)).toBe(0);
  await changedOften(7, 3);
  await erase(7);
  await expect(emptyLogs(slow(0), unheard, noRest, never)).rejects.toThrow('took too long');
  await emptyLogs(erasures, unheard, noRest, never);
});

test('a receipt waits for the stores that reported before the erasure', async () => {
  await pool.query(`insert into erasure_reporter (store, place) values ('view', 'gig asynchronous-v1')`);
  await changedOften(8, 3);
  const { id } = await erase(8);
  const erasures = postgresErasures(pool);
  await emptyLogs(erasures, unheard, noRest, never);
  const receipt = (await readReceipt(erasures, id))!;
  expect(receipt.stores.filter(({ confirmedAt }) => confirmedAt === null)).toMatchObject([
    { store: 'outbox', place: null },
    { store: 'topic', place: null },
    { store: 'view', place: 'gig asynchronous-v1', openBecause: expect.any(String) },
  ]);
  expect(receipt.complete).toBe(false);
  const open = await erasures.open();
  expect(open.receipts).toBeGreaterThanOrEqual(1);
  expect(open.oldestSince).toBeLessThanOrEqual(Date.now() / 1_000);
  await pool.query('update erasure_store set confirmed_at = clock_timestamp(), bytes_until = null');
  expect(await readReceipt(erasures, id)).toMatchObject({ complete: true, completedAt: expect.any(String) });
  expect(await erasures.open()).toEqual({ receipts: 0, oldestSince: null, topics: 0, topicDue: null });
});

test('self-view confirms for its record of changes, which receipts wait for from its first report on', async () => {
  const erasures = postgresErasures(pool);
  const said = async (id: string) =>
    (await erasures.receipt(id))!.stores.find(({ store }) => store === 'changes');
  for (const sellerId of [20, 21]) await changedOften(sellerId, 1);
  const before = await erase(20);
  expect(await said(before.id)).toBeUndefined();
  await erasures.confirmChanges([]);
  const after = await erase(21);
  expect(await said(after.id)).toMatchObject({ confirmedAt: null, openBecause: expect.any(String) });
  await erasures.confirmChanges([
    { sellerId: 20, version: before.version },
    { sellerId: 21, version: after.version },
    { sellerId: 999, version: 1 },
  ]);
  for (const { id } of [before, after]) {
    expect(await said(id)).toMatchObject({ confirmedAt: expect.any(String) });
  }
  const { confirmedAt } = (await said(after.id))!;
  await erasures.confirmChanges([{ sellerId: 21, version: after.version }]);
  expect((await said(after.id))!.confirmedAt).toBe(confirmedAt);
});

// Last, for whoever rebuilds goes over all that is there.
test('an erasure of 200,000 changes is committed at once, and the log is emptied in short statements', async () => {
  await changedOften(1, 200_000);
  const startedAt = performance.now();
  const { version, id } = await erase(1);
  expect(performance.now() - startedAt).toBeLessThan(1_000);
  expect(version).toBe(200_001);
  expect(await contents(1)).toBe(200_000);

  const erasures = postgresErasures(pool);
  const tooks: number[] = [];
  const emptied: unknown[] = [];
  const rest = async (tookMs: number) => void tooks.push(tookMs);
  await emptyLogs(erasures, { emptied: (...of) => emptied.push(of) }, rest, new AbortController().signal);
  expect(emptied).toContainEqual([1, 200_001]);
  expect(await contents(1)).toBe(0);
  expect(tooks.length).toBeGreaterThanOrEqual(200);
  const log = (await readReceipt(erasures, id))!.stores.find(({ store }) => store === 'log')!;
  expect(log).toMatchObject({ confirmedAt: expect.any(String), openBecause: null });
}, 60_000);
