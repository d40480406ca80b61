/** What the projector keeps beside the rows, on a real PostgreSQL. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { PAGES } from '#pages/index.ts';
import { viewSchema } from '#pages/projection.ts';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { type LocalPostgres, startPostgres } from '../local-infra/postgres.ts';
import { migratePage } from '../migrate/main.ts';
import { openViewStore, type ViewStore } from './view-store.ts';

let folder: string;
let postgres: LocalPostgres;
let store: ViewStore;
let view: Pool;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'view-store-'));
  postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  await postgres.createDatabase('gig');
  await migratePage('gig', postgres.url('gig'), { delivery: 'asynchronous', version: 1 }, silentLog);
  const settings = {
    url: postgres.url('gig'),
    applicationName: 'spec',
    statementTimeoutMs: 10_000,
    connectTimeoutMs: 5_000,
    searchPath: [viewSchema('asynchronous', 1), 'public'],
  };
  store = await openViewStore(settings, PAGES.gig.projections.asynchronous);
  view = openPool({ ...settings, maximum: 1 }, silentLog);
}, 30_000);

afterAll(async () => {
  await store?.close();
  await view?.end();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

const row = (sellerId: number, version: number) => ({
  sellerId,
  version,
  committedAt: '2026-11-24T00:00:00.000Z',
  clients: '[]',
});

test('of events the view did not take it tells how many stand at their very version', async () => {
  expect(await store.upsert([row(1, 5), row(2, 5), row(3, 5)])).toBe(3);
  const again = [row(1, 5), row(2, 4), row(3, 6), row(4, 1)];
  expect(await store.upsert(again)).toBe(2);
  // Sellers 3 and 4, which were changed just now, and seller 1, which was there.
  expect(await store.countAtVersion(again)).toBe(3);
});

test('the newest trace of a seller is noted, and old notes are forgotten', async () => {
  const noted = async () =>
    (await view.query('select seller_id, version, traceparent from trace order by seller_id')).rows;
  const note = (sellerId: number, version: number) => ({
    sellerId,
    version,
    traceparent: `${sellerId}/${version}`,
  });
  await store.noteTraces([note(1, 5), note(2, 5)], 60_000);
  await store.noteTraces([note(1, 4), note(2, 6)], 60_000);
  expect(await noted()).toEqual([
    { seller_id: 1, version: 5, traceparent: '1/5' },
    { seller_id: 2, version: 6, traceparent: '2/6' },
  ]);
  await view.query("update trace set noted_at = now() - interval '2 minutes'");
  await store.noteTraces([note(2, 7), note(3, 1)], 60_000);
  expect(await noted()).toEqual([
    { seller_id: 2, version: 7, traceparent: '2/7' },
    { seller_id: 3, version: 1, traceparent: '3/1' },
  ]);
});
