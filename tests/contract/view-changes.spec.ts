/** How a page that remembers lists is told of changes of its view, by a real database. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import type { SellerEvent } from '#contracts/events.ts';
import { insertGigs } from '#pages/gig/own-data.ts';
import { PAGES } from '#pages/index.ts';
import type { PageDatabase } from '#pages/page.ts';
import { viewSchema } from '#pages/projection.ts';
import { insertUserProfiles } from '#pages/user/own-data.ts';
import { silentLog } from '#platform/log.ts';
import { openPool } from '#platform/postgres.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-infra/postgres.ts';
import { migratePage } from '../../services/migrate/main.ts';
import { ANY_VERSION } from '../../services/page-server/min-version.ts';
import { followViewChanges, ViewChanges } from '../../services/page-server/view-changes.ts';
import { seller as madeUp } from '../../services/seed/sellers.ts';
import { until } from '../support/pipeline.ts';

const SCHEMA = viewSchema('asynchronous', 1);
let folder: string;
let postgres: LocalPostgres;

const accessTo = (page: 'gig' | 'user') => ({
  url: postgres.url(page),
  applicationName: 'view-changes',
  statementTimeoutMs: 5_000,
  connectTimeoutMs: 5_000,
  searchPath: [SCHEMA, 'public'],
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'view-changes-'));
  postgres = await startPostgres({ dataDir: folder });
  for (const page of ['gig', 'user'] as const) {
    await postgres.createDatabase(page);
    await migratePage(page, postgres.url(page), { delivery: 'asynchronous', version: 1 }, silentLog);
  }
});
afterAll(async () => {
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
});

const event = (sellerId: number, version: number): SellerEvent => ({
  sellerId,
  version,
  committedAt: '2026-11-23T10:00:00.000Z',
  change: { type: 'seller-erased' },
  clients: [],
});

describe.each(['gig', 'user'] as const)('the %s page', (page) => {
  const { projections, open } = PAGES[page];
  const projection = projections.asynchronous;
  const changes = new ViewChanges();
  const stop = new AbortController();
  let listens = false;
  let pool: pg.Pool;
  let following: Promise<void>;

  const write = (ids: readonly number[], version: number) =>
    projection.upsert(
      pool,
      ids.map((id) => projection.toRow(event(id, version))),
    );
  const isListening = () => until('the page is told of changes', () => listens);
  /** Waits until what was asked before now counts as changed, for this seller. */
  const told = async (sellerId: number, work: () => Promise<unknown>) => {
    const before = performance.now();
    await work();
    await until(`seller ${sellerId} has changed`, () => !changes.isUnchanged(sellerId, before));
  };

  beforeAll(async () => {
    pool = openPool({ ...accessTo(page), maximum: 2 }, silentLog);
    const made = [1, 2, 3].map((id) => madeUp(id, 3));
    if (page === 'gig')
      await insertGigs(
        pool,
        made.flatMap((one) => one.gigs),
      );
    else
      await insertUserProfiles(
        pool,
        made.map((one) => one.profile),
      );
    following = followViewChanges(
      accessTo(page),
      SCHEMA,
      changes,
      (is) => {
        listens = is;
      },
      stop.signal,
      silentLog,
    );
  });
  afterAll(async () => {
    stop.abort();
    await following;
    expect(listens).toBe(false);
    await pool.end();
  });
  beforeEach(async () => {
    await isListening();
    await told(1, () => pool.query('truncate top_clients'));
  });

  test('is told of rows that appear, change and go, and of those alone', async () => {
    await told(1, () => write([1], 1));
    await told(1, () => write([1], 2));
    await told(1, () => pool.query('delete from top_clients where seller_id = 1'));
    await told(2, () => pool.query(`insert into top_clients values (2, 1, now(), '[]')`));
    const before = performance.now();
    // Neither a version that is not newer nor nothing at all is a change. The third comes behind them.
    await write([2], 1);
    await pool.query('delete from top_clients where seller_id = 1');
    await told(3, () => write([3], 1));
    expect([1, 2].map((id) => changes.isUnchanged(id, before))).toEqual([true, true]);
  });

  test('is told of many at once, and of a truncation', async () => {
    const many = Array.from({ length: 250 }, (_, i) => i + 1);
    await told(250, () => write(many, 1));
    await told(9, () => write(many.slice(0, 100), 2));
    await told(77, () => pool.query('truncate top_clients'));
  });

  test('trusts nothing while the connection is lost, nor what it read before', async () => {
    const before = performance.now();
    await until(
      'time goes on',
      () => performance.now() > before && changes.isUnchanged(1, performance.now()),
    );
    await pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%' and datname = current_database()`,
    );
    await until('it is lost', () => !listens);
    expect(changes.isUnchanged(1, performance.now())).toBe(false);
    await isListening();
    expect(changes.isUnchanged(1, before)).toBe(false);
    await told(1, () => write([1], 1));
  });

  test('asks the view for what it was told of, and shows what it remembers otherwise', async () => {
    const statements: string[] = [];
    const db: PageDatabase = {
      query: async <Row>(statement: { name: string; text: string; values: unknown[] }) => {
        statements.push(statement.name);
        return (await pool.query(statement)).rows as Row[];
      },
    };
    const reads = open(changes);
    const read = async (sellerId: number, least = ANY_VERSION) => {
      const held = (await reads.withLists(db, sellerId as never, least))?.held.get(sellerId);
      return [statements.splice(0).join(), held?.version];
    };
    await told(1, () => write([1], 1));
    expect(await read(1)).toEqual([`${page}-with-list`, 1]);
    expect(await read(1)).toEqual([`${page}-own`, 1]);
    expect(await read(2)).toEqual([`${page}-with-list`, undefined]);
    expect(await read(2)).toEqual([`${page}-own`, undefined]);
    await told(1, () => write([1], 2));
    expect(await read(2)).toEqual([`${page}-own`, undefined]);
    expect(await read(1)).toEqual([`${page}-with-list`, 2]);
    expect(await read(1)).toEqual([`${page}-own`, 2]);
    expect(await read(1, () => 3)).toEqual([`${page}-with-list`, 2]);
    expect(await read(2, () => 1)).toEqual([`${page}-with-list`, undefined]);
    await told(2, () => write([2], 5));
    expect(await read(2)).toEqual([`${page}-with-list`, 5]);
    await told(2, () => pool.query('delete from top_clients where seller_id = 2'));
    expect(await read(2)).toEqual([`${page}-with-list`, undefined]);
    expect(await reads.withLists(db, 999 as never, ANY_VERSION)).toBeNull();
  });

  test('asks each time where the database cannot tell', async () => {
    await pool.query(
      'alter table top_clients disable trigger all; drop trigger tell_of_updates on top_clients',
    );
    const untold = new ViewChanges();
    const ended = new AbortController();
    const warnings: string[] = [];
    const log = Object.assign(Object.create(silentLog), { warn: (text: string) => warnings.push(text) });
    let everListened = false;
    const trying = followViewChanges(
      accessTo(page),
      SCHEMA,
      untold,
      (is) => {
        everListened ||= is;
      },
      ended.signal,
      log,
    );
    await until('it says so', () => warnings.some((text) => text.includes('cannot tell')));
    expect([everListened, untold.isUnchanged(1, performance.now())]).toEqual([false, false]);
    ended.abort();
    await trying;
  });
});
