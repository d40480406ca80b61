/** Change notifications of a view invalidate the cache of a page, by a real database. */
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type pg from 'pg';
import type { SellerEvent } from '#contracts/events.ts';
import { insertGigs } from '#pages/gig/own-data.ts';
import { PAGES } from '#pages/index.ts';
import { CACHE_TTL_MS } from '#pages/list-cache.ts';
import { type InvalidationFeed, NO_INVALIDATION_FEED, type PageDatabase } from '#pages/page.ts';
import { rowDigest, viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { insertListings } from '#pages/search/own-data.ts';
import { insertUserProfiles } from '#pages/user/own-data.ts';
import { SYSTEM_CLOCK } from '#platform/clock.ts';
import { silentLog } from '#platform/log.ts';
import { migrate } from '#platform/migrations.ts';
import { connect, openPool } from '#platform/postgres.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { until } from '../../services/local-stack/until.ts';
import { migratePage } from '../../services/migrate/databases.ts';
import { viewScopes } from '../../services/migrate/view-scopes.ts';
import {
  ChangeNotifications,
  followChangeNotifications,
} from '../../services/page-kit/cache-invalidation.ts';
import { evictErased } from '../../services/page-kit/evict-erased.ts';
import { ANY_VERSION } from '../../services/page-kit/min-version.ts';
import { openViewStore } from '../../services/projector/view-store.ts';
import { seller as madeUp } from '../../services/seed/sellers.ts';

const SCHEMA = viewSchema('asynchronous', 1);
let folder: string;
let postgres: LocalPostgres;

const VIEWS = ['gig', 'user', 'search'] as const;
type PageWithView = (typeof VIEWS)[number];
const accessTo = (page: PageWithView) => ({
  url: postgres.url(page),
  applicationName: 'cache-invalidation',
  statementTimeoutMs: 5_000,
  connectTimeoutMs: 5_000,
  searchPath: [SCHEMA, 'public'],
});

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cache-invalidation-'));
  postgres = await startPostgres({ dataDir: folder });
  for (const page of VIEWS) {
    await postgres.createDatabase(page);
    await migratePage(page, postgres.url(page), { delivery: 'asynchronous', version: 1 }, silentLog);
  }
});
afterAll(async () => {
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
});

/** @param name of the one client; absent: there is none */
const event = (sellerId: number, version: number, name?: string): SellerEvent => ({
  sellerId,
  version,
  committedAt: '2026-11-23T10:00:00.000Z',
  change: { type: 'seller-erased' },
  clients:
    name === undefined ? [] : [{ id: '01890000-0000-7000-8000-000000000001', name, logo: null } as never],
});

test('who listens reports what was evicted, and so needs no statement of its own to look at the queue', async () => {
  const changes = new ChangeNotifications();
  const stop = new AbortController();
  const quick = {
    ...SYSTEM_CLOCK,
    // What is longer than between two reports waits to be told, and ends by that alone.
    pause: (ms: number, signal?: AbortSignal) => SYSTEM_CLOCK.pause(ms > 2_000 ? 600_000 : ms / 10, signal),
  };
  const pool = openPool({ ...accessTo('user'), maximum: 2 }, silentLog);
  let looks = 0;
  const access = { ...accessTo('user'), applicationName: 'listens-and-reports' };
  const observer = {
    connected: () => {},
    queueUsed: () => {
      looks += 1;
    },
  };
  const cache = { evictSeller: () => {}, evictOlderThan: () => {} };
  const running = [
    followChangeNotifications(access, changes, observer, stop.signal, silentLog, quick),
    evictErased(pool, cache, stop.signal, silentLog, quick, () => changes.listening),
  ];
  const lastOfSession = async () => {
    const { rows } = await pool.query<{ query: string }>(
      "select query from pg_stat_activity where application_name = 'listens-and-reports'",
    );
    return rows[0]?.query ?? '';
  };
  await until('it reports', async () => (await lastOfSession()).includes('page_server'));
  const before = looks;
  // One look may have been asked for before it was told for the first time.
  await until('it was told of the queue', () => looks > before + 2);
  expect(await lastOfSession()).toContain('page_server');
  stop.abort();
  await Promise.all(running);
  await pool.end();
});

describe.each(VIEWS)('the %s page', (page) => {
  const { open } = PAGES[page];
  /** The address of a page that shows this seller, or none. */
  const addressOf = (sellerId: number) =>
    page === 'search' ? { query: sellerId > 3 ? 'nobody' : '', page: 1 } : sellerId;
  // A card keeps the first clients, and how many there are.
  const [clients, further, one] =
    page === 'search' ? ['first_clients', ', client_count', ', 1'] : ['clients', '', ''];
  const projection = projectionsOf(page).asynchronous;
  const changes = new ChangeNotifications();
  const stop = new AbortController();
  let listens = false;
  let pool: pg.Pool;
  let following: Promise<void>;

  const write = (ids: readonly number[], version: number) =>
    projection.upsert(
      pool,
      ids.map((id) => projection.toRow(event(id, version))),
    );
  const isListening = () => until('the page listens', () => listens);
  /** Waits until what was asked before now counts as changed, for this seller. */
  const told = async (sellerId: number, work: () => Promise<unknown>) => {
    const before = performance.now();
    await work();
    await until(`seller ${sellerId} has changed`, () => !changes.isUnchanged(sellerId, before));
  };

  /** The page's database, and the names of the statements it was sent and has answered. */
  const noted = () => {
    const [statements, answered]: [string[], string[]] = [[], []];
    const db: PageDatabase = {
      query: async <Row>(statement: { name: string; text: string; values: unknown[] }) => {
        statements.push(statement.name);
        const { rows } = await pool.query(statement);
        answered.push(statement.name);
        return rows as Row[];
      },
    };
    return { db, statements, answered };
  };
  /** Whether what this session writes is notified; otherwise it is as if each notification were lost on its way. */
  const notifies = (writer: pg.ClientBase, does: boolean) =>
    writer.query(`set session_replication_role = ${does ? 'origin' : 'replica'}`);

  beforeAll(async () => {
    pool = openPool({ ...accessTo(page), maximum: 5 }, silentLog);
    const made = [1, 2, 3].map((id) => madeUp(id, 3));
    if (page === 'gig')
      await insertGigs(
        pool,
        made.flatMap((one) => one.gigs),
      );
    else if (page === 'search')
      await insertListings(
        pool,
        made.flatMap((one) => one.listings),
      );
    else
      await insertUserProfiles(
        pool,
        made.map((one) => one.profile),
      );
    following = followChangeNotifications(
      accessTo(page),
      changes,
      {
        connected: (is) => {
          listens = is;
        },
        queueUsed: () => {},
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

  test('is notified of rows that appear, change and go, and of those alone', async () => {
    await told(1, () => write([1], 1));
    await told(1, () => write([1], 2));
    await told(1, () => pool.query('delete from top_clients where seller_id = 1'));
    await told(2, () =>
      pool.query(
        `insert into top_clients (seller_id, version, committed_at, ${clients}${further}) values (2, 1, now(), '[]'${one})`,
      ),
    );
    const before = performance.now();
    // Neither a version that is not newer nor nothing at all is a change. The third comes behind them.
    await write([2], 1);
    await pool.query('delete from top_clients where seller_id = 1');
    await told(3, () => write([3], 1));
    expect([1, 2].map((id) => changes.isUnchanged(id, before))).toEqual([true, true]);
  });

  test('is notified of many at once, and of a truncation', async () => {
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
      `select pg_terminate_backend(pid) from pg_stat_activity where query like '%notification_queue%' and pid <> pg_backend_pid() and datname = current_database()`,
    );
    await until('it is lost', () => !listens);
    expect(changes.isUnchanged(1, performance.now())).toBe(false);
    await isListening();
    expect(changes.isUnchanged(1, before)).toBe(false);
    await told(1, () => write([1], 1));
  });

  test('asks the view for what was invalidated, and shows the cache otherwise', async () => {
    const { db, statements } = noted();
    const reads = open(changes);
    const read = async (sellerId: number, least = ANY_VERSION) => {
      const held = (await reads.withLists(db, addressOf(sellerId) as never, least))?.held.get(sellerId);
      return [statements.splice(0).join(), held?.version];
    };
    const asks = page === 'search' ? 'search-own,search-lists' : `${page}-with-list`;
    await told(1, () => write([1], 1));
    expect(await read(1)).toEqual([asks, 1]);
    expect(await read(1)).toEqual([`${page}-own`, 1]);
    // The list of each seller on a page of many is cached by then.
    expect(await read(2)).toEqual([page === 'search' ? 'search-own' : asks, undefined]);
    expect(await read(2)).toEqual([`${page}-own`, undefined]);
    await told(1, () => write([1], 2));
    if (page !== 'search') expect(await read(2)).toEqual([`${page}-own`, undefined]);
    expect(await read(1)).toEqual([asks, 2]);
    expect(await read(1)).toEqual([`${page}-own`, 2]);
    expect(await read(1, () => 3)).toEqual([asks, 2]);
    expect(await read(2, () => 1)).toEqual([asks, undefined]);
    await told(2, () => write([2], 5));
    expect(await read(2)).toEqual([asks, 5]);
    await told(2, () => pool.query('delete from top_clients where seller_id = 2'));
    expect(await read(2)).toEqual([asks, undefined]);
    if (page === 'search') {
      // Nothing was found, and so nobody's list is asked for.
      expect(await read(999)).toEqual(['search-own', undefined]);
    } else expect(await reads.withLists(db, 999 as never, ANY_VERSION)).toBeNull();
  });

  test('has the view confirm what is visited ahead of its TTL, and notices there what no notification told', async () => {
    let now = 0;
    const clock = { ...SYSTEM_CLOCK, monotonic: () => now };
    const heard = new ChangeNotifications(clock);
    heard.begin();
    now += 1;
    const { db, statements, answered } = noted();
    const reads = open(heard, clock);
    const visit = async (sellerId: number) => {
      const list = (await reads.withLists(db, addressOf(sellerId) as never, ANY_VERSION))?.held.get(sellerId);
      const sent = statements.splice(0);
      await until('it is confirmed', () => answered.length === sent.length);
      answered.length = 0;
      return [sent.join(), list?.version];
    };
    const unnotified = async (sql: string) => {
      const writer = await pool.connect();
      try {
        await notifies(writer, false);
        await writer.query(sql);
      } finally {
        writer.release(true);
      }
    };
    const [own, asks] = [`${page}-own`, page === 'search' ? 'search-own,search-lists' : `${page}-with-list`];
    await write([1], 1);
    for (const id of [1, 2]) for (const _ of ['asks', 'is a hit']) await visit(id);
    for (let turn = 0; turn < 3; turn++) {
      now += CACHE_TTL_MS - 900;
      expect(await visit(1)).toEqual([`${own},changed-lists`, 1]);
      now += 800;
      for (const [id, version] of [
        [1, 1],
        [2, undefined],
      ] as const)
        expect(await visit(id)).toEqual([own, version]);
    }
    for (const [sql, version] of [
      ['update top_clients set version = 2 where seller_id = 1', 2],
      ['delete from top_clients where seller_id = 1', undefined],
    ] as const) {
      await unnotified(sql);
      now += CACHE_TTL_MS - 900;
      expect((await visit(1))[0]).toBe(`${own},changed-lists`);
      expect(await visit(1)).toEqual([asks, version]);
      expect(await visit(1)).toEqual([own, version]);
    }
  });

  /** What a page shows of a seller: version and name of the one client. */
  const shownBy = (told: InvalidationFeed, clock?: Parameters<typeof open>[1]) => {
    const reads = open(told, clock);
    const { db } = noted();
    return async (sellerId: number) => {
      const list = (await reads.withLists(db, addressOf(sellerId) as never, ANY_VERSION))?.held.get(sellerId);
      return list === undefined ? null : `${list.version} ${list.clients[0]?.name ?? ''}`;
    };
  };
  /** What the view says. */
  const heldOf = async (sellerId: number) => {
    const { rows } = await pool.query<{ held: string }>(
      `select version || ' ' || coalesce(${clients}->0->>'name', '') as held from top_clients where seller_id = $1`,
      [sellerId],
    );
    return rows[0]?.held ?? null;
  };

  describe('a repair, which keeps the version,', () => {
    /** Puts the right row in the place of the wrong one, as a projector does that was sent a repair. */
    const repair = async (sellerId: number, version: number, name: string | null) => {
      const store = await openViewStore(accessTo(page), projection);
      try {
        const { rows } = await pool.query<{ version: number; digest: string }>(
          `select version, ${rowDigest('held')}::text as digest from top_clients as held where seller_id = $1`,
          [sellerId],
        );
        const row = name === null ? null : projection.toRow(event(sellerId, version, name));
        expect(await store.replace(sellerId, rows as never, row)).toBe(true);
      } finally {
        await store.close();
      }
    };
    const writeWrong = () => projection.upsert(pool, [projection.toRow(event(1, 10, 'Wrong'))]);

    test('is shown at once by who is notified', async () => {
      const shown = shownBy(changes);
      await told(1, writeWrong);
      expect([await shown(1), await shown(1)]).toEqual(['10 Wrong', '10 Wrong']);
      await repair(1, 10, 'Right');
      await until('the repaired row is shown', async () => (await shown(1)) === '10 Right', 1_000);
      await repair(1, 10, null);
      await until('a row that was taken away is not shown', async () => (await shown(1)) === null, 1_000);
    });

    test('is shown by the next read of who is not', async () => {
      const shown = shownBy(NO_INVALIDATION_FEED);
      await writeWrong();
      expect([await shown(1), await shown(1)]).toEqual(['10 Wrong', '10 Wrong']);
      await repair(1, 10, 'Right');
      expect([await shown(1), await shown(1)]).toEqual(['10 Right', '10 Right']);
      // The time of the change alone is content as well: the page tells by it how old a list is.
      await pool.query(`update top_clients set committed_at = '2026-11-24'`);
      const list = (
        await open(NO_INVALIDATION_FEED).withLists(noted().db, addressOf(1) as never, ANY_VERSION)
      )?.held.get(1);
      expect(list?.committedAt).toBe(
        (await pool.query('select committed_at from top_clients')).rows[0].committed_at.getTime(),
      );
      await repair(1, 10, null);
      expect(await shown(1)).toBeNull();
    });
  });

  test('whatever changes, is repaired, taken away, rolled back or not notified: the page shows the view within the TTL', async () => {
    const seller = fc.integer({ min: 1, max: 3 });
    const what = fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('change' as const, 'repair' as const) },
      { weight: 1, arbitrary: fc.constantFrom('remove' as const, 'roll back' as const, 'truncate' as const) },
    );
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ do: what, seller, isTold: fc.boolean() }) },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('read' as const), seller }) },
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constantFrom('trust ends' as const, 'time passes' as const), seller }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ do: fc.constantFrom('lose' as const, 'listen' as const), seller }),
      },
    );
    const writer = await pool.connect();
    let names = 0;
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
          let ahead = 0;
          const clock = { ...SYSTEM_CLOCK, monotonic: () => performance.now() + ahead };
          const heard = new ChangeNotifications(clock);
          heard.begin();
          let hears = true;
          const listener = await pool.connect();
          listener.on('notification', ({ payload = '*' }) => {
            if (hears) heard.note(payload);
          });
          await listener.query('listen top_clients');
          const shown = shownBy(heard, clock);
          try {
            for (const one of steps) {
              const id = one.seller;
              if (one.do === 'read') await shown(id);
              else if (one.do === 'time passes') ahead += CACHE_TTL_MS - 900;
              else if (one.do === 'trust ends') {
                ahead += CACHE_TTL_MS;
                for (const each of [1, 2, 3]) expect(await shown(each)).toBe(await heldOf(each));
              } else if (one.do === 'lose') {
                hears = false;
                heard.end();
              } else if (one.do === 'listen') {
                hears = true;
                heard.begin();
              } else if ('isTold' in one) {
                await notifies(writer, one.isTold);
                const hasChanged = await change(writer, one.do, id, `Brand ${++names}`);
                // A round trip of the listener: what was told before has been heard then.
                if (one.isTold) await listener.query('select 1');
                // A removal of what was removed untold is no change, and tells nobody.
                if ((one.isTold && hasChanged) || !hears) {
                  await until(
                    'the page shows it',
                    async () => (await shown(id)) === (await heldOf(id)),
                    1_000,
                  );
                }
              }
            }
            ahead += CACHE_TTL_MS;
            for (const each of [1, 2, 3]) expect(await shown(each)).toBe(await heldOf(each));
          } finally {
            listener.release(true);
          }
        }),
        { numRuns: 40 },
      );
    } finally {
      writer.release(true);
    }

    /** @returns whether the view is another one now */
    async function change(db: pg.PoolClient, how: string, sellerId: number, name: string): Promise<boolean> {
      const row = JSON.stringify([{ id: '1', name, logo: null }]);
      if (how === 'truncate') {
        await db.query('truncate top_clients');
        return true;
      }
      if (how === 'remove') {
        const { rowCount } = await db.query('delete from top_clients where seller_id = $1', [sellerId]);
        return rowCount !== 0;
      }
      const by = { change: 1, repair: 0, 'roll back': -1 }[how];
      await db.query(
        `insert into top_clients as held (seller_id, version, committed_at, ${clients}${further})
        values ($1, 5, '2026-11-23', $2${one})
        on conflict (seller_id) do update set version = held.version + $3, ${clients} = $2`,
        [sellerId, row, by],
      );
      return true;
    }
  });

  test('asks each time where the view sends no change notifications', async () => {
    await pool.query(
      'alter table top_clients disable trigger all; drop trigger notify_of_updates on top_clients',
    );
    const deaf = new ChangeNotifications();
    const ended = new AbortController();
    const warnings: string[] = [];
    const log = Object.assign(Object.create(silentLog), { warn: (text: string) => warnings.push(text) });
    let everListened = false;
    const trying = followChangeNotifications(
      accessTo(page),
      deaf,
      {
        connected: (is) => {
          everListened ||= is;
        },
        queueUsed: () => {},
      },
      ended.signal,
      log,
    );
    await until('it says so', () => warnings.some((text) => text.includes('sends no change notifications')));
    expect([everListened, deaf.isUnchanged(1, performance.now())]).toEqual([false, false]);
    ended.abort();
    await trying;
  });
});

test('a view whose triggers have the names of the version before gets the new ones, and notifies', async () => {
  const pages = new URL('../../services/pages/', import.meta.url);
  const old = await mkdtemp(join(tmpdir(), 'view-migrations-'));
  const db = await connect({ ...accessTo('gig'), searchPath: ['public'] }, () => {});
  const version = 7;
  const schema = viewSchema('asynchronous', version);
  const triggers = async () => {
    const { rows } = await db.query<{ name: string }>(
      'select tgname as name from pg_trigger where tgrelid = $1::regclass and not tgisinternal order by 1',
      [`"${schema}".top_clients`],
    );
    return rows.map(({ name }) => name);
  };
  try {
    await cp(new URL('view-migrations/', pages), old, { recursive: true });
    for (const name of await readdir(old)) if (name >= '008') await rm(join(old, name));
    const [beside, rows] = viewScopes(schema);
    const variables = { schema };
    await migrate(db, pathToFileURL(`${old}/`), silentLog, { scope: beside, variables });
    await migrate(db, projectionsOf('gig').asynchronous.migrations, silentLog, { scope: rows, variables });
    expect(await triggers()).toEqual([
      'tell_of_deletes',
      'tell_of_inserts',
      'tell_of_truncations',
      'tell_of_updates',
    ]);

    await migratePage('gig', postgres.url('gig'), { delivery: 'asynchronous', version }, silentLog, {}, true);
    expect(await triggers()).toEqual([
      'notify_of_deletes',
      'notify_of_inserts',
      'notify_of_truncations',
      'notify_of_updates',
    ]);
    const heard: string[] = [];
    db.on('notification', ({ payload = '' }) => heard.push(payload));
    await db.query('listen top_clients');
    await db.query(`insert into "${schema}".top_clients values (5, 1, now(), '[]')`);
    await db.query(`update "${schema}".top_clients set version = 2`);
    await db.query(`truncate "${schema}".top_clients`);
    await until('it has heard of all three', () => heard.length === 3);
    expect(heard).toEqual(['5', '5', '*']);
  } finally {
    await db.end();
    await rm(old, { recursive: true, force: true });
  }
});
