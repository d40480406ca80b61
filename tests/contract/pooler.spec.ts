/**
 * Behind a real PgBouncer, on a server whose defaults are somebody else's: what asks nothing of its session works in
 * every mode that has transactions, and what needs a session of its own says what to do where it has none.
 */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import type { PageName } from '#contracts/pages.ts';
import { PAGE_NAMES } from '#contracts/pages.ts';
import { PAGES } from '#pages/index.ts';
import { NO_INVALIDATION_FEED, type Statement } from '#pages/page.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { silentLog } from '#platform/log.ts';
import { connect, openPool, SharedSession, UnfitDatabase } from '#platform/postgres.ts';
import { until } from '../../services/local-stack/until.ts';
import { acquireLease } from '../../services/outbox-relay/lease.ts';
import {
  ChangeNotifications,
  followChangeNotifications,
} from '../../services/page-kit/cache-invalidation.ts';
import { openViewStore, type ViewStore } from '../../services/projector/view-store.ts';
import { searchBrands } from '../../services/seller-portal/catalogue.ts';
import { openChangeLog } from '../../services/seller-portal/change-log.ts';
import { postgresSellers } from '../../services/top-clients/adapters/postgres/sellers.ts';
import { runCommand } from '../../services/top-clients/app/run-command.ts';
import { FOREIGN_DEFAULTS, type ForeignPostgres, startForeignPostgres } from '../support/foreign-postgres.ts';
import { type IsolatedRoles, openIsolatedRoles } from '../support/isolated-roles.ts';
import { openPoolers, PGBOUNCER_IS_INSTALLED, type PoolMode } from '../support/pgbouncer.ts';

// Named, so that a run without it says what it did not try.
const withPooler = PGBOUNCER_IS_INSTALLED ? describe : describe.skip;
const MAIN = fileURLToPath(new URL('../../services/main.ts', import.meta.url));
const WORDS =
  /a pooler shares the sessions of the database .*: point the URL past the pooler, or at a pool in session mode/;
const COMMITTED_AT = '2026-02-03T23:45:00.123Z';
/** One session for everybody, and more than anybody needs. */
const SHARED = [
  ['transaction', 1],
  ['transaction', 10],
] as const;

withPooler(
  PGBOUNCER_IS_INSTALLED ? 'behind PgBouncer' : 'behind PgBouncer (skipped: `pgbouncer` is not installed)',
  () => {
    let postgres: ForeignPostgres;
    const poolers = openPoolers(() => postgres);
    const opened: Array<() => Promise<unknown>> = [];

    beforeAll(async () => {
      postgres = await startForeignPostgres();
    }, 60_000);
    afterEach(async () => {
      for (const end of opened.splice(0).reverse()) await end();
    });
    afterAll(async () => {
      await poolers.stop();
      await postgres?.stop();
    }, 30_000);

    const settings = (url: string) => ({
      url,
      applicationName: 'spec',
      statementTimeoutMs: 10_000,
      connectTimeoutMs: 5_000,
    });
    const pool = (url: string, more: { searchPath?: string[]; pipeline?: boolean } = {}) => {
      const one = openPool({ ...settings(url), maximum: 8, ...more }, silentLog);
      opened.push(() => one.end());
      return one;
    };

    describe('a page', () => {
      beforeAll(async () => {
        for (const page of PAGE_NAMES) {
          for (const delivery of ['asynchronous', 'hybrid'] as const) {
            const db = openPool(
              {
                ...settings(postgres.url(page)),
                maximum: 1,
                searchPath: [viewSchema(delivery, 1), 'public'],
              },
              silentLog,
            );
            const projection = projectionsOf(page)[delivery];
            const client = { id: crypto.randomUUID(), name: 'Łódź', industry: '', description: '' };
            const clients = [{ ...client, logo: null, from: null, to: null }];
            const change = { type: 'clients-reordered' as const, clientIds: [] };
            const event = { sellerId: 1, version: 1, committedAt: COMMITTED_AT, change, clients };
            await projection.upsert(db, [projection.toRow(event)]);
            await db.end();
          }
        }
      });

      const read = async (page: PageName, delivery: 'asynchronous' | 'hybrid', url: string) => {
        const db = pool(url, { searchPath: [viewSchema(delivery, 1), 'public'] });
        const database = { query: async (one: Statement) => (await db.query(one)).rows as never };
        const reads = PAGES[page].open(NO_INVALIDATION_FEED);
        const at = page === 'search' ? { query: '', page: 1 } : 1;
        const answers = await Promise.all(
          // More than there are sessions, and each more than once, so that statements meet sessions of others.
          Array.from({ length: 30 }, () =>
            (delivery === 'asynchronous' ? reads.withLists : reads.withIds)(database, at, () => 0),
          ),
        );
        for (const answer of answers)
          expect(answer!.held.get(1)).toMatchObject({ version: 1, committedAt: Date.parse(COMMITTED_AT) });
        // Whoever comes next may need its sessions.
        await opened.pop()!();
      };
      test.each([...SHARED, ['session', 10]] as const)('is read in %s mode, of %i', async (mode, size) => {
        for (const page of PAGE_NAMES) {
          for (const delivery of ['asynchronous', 'hybrid'] as const)
            await read(page, delivery, await poolers.url(page, mode, size));
        }
      });

      test('minds nothing that others left behind in a session, and leaves nothing behind itself', async () => {
        const url = await poolers.url('gig', 'transaction', 1);
        const neighbour = new pg.Client(url);
        await neighbour.connect();
        opened.push(() => neighbour.end());
        // As pg_dump does it.
        await neighbour.query(
          "select set_config('search_path', '', false), set_config('statement_timeout', '3s', false)",
        );
        await read('gig', 'asynchronous', url);
        const { rows } = await neighbour.query(
          `select current_setting('search_path') as path, current_setting('statement_timeout') as timeout,
            current_setting('extra_float_digits') as digits, current_setting('default_transaction_isolation') as isolation`,
        );
        expect(rows).toEqual([
          {
            path: '',
            timeout: '3s',
            digits: FOREIGN_DEFAULTS.extra_float_digits,
            isolation: FOREIGN_DEFAULTS.default_transaction_isolation,
          },
        ]);
      });

      test('is told of changes in session mode, and asks at every visit where sessions are shared', async () => {
        const hear = async (mode: PoolMode) => {
          const stopping = new AbortController();
          const told: boolean[] = [];
          const schema = viewSchema('asynchronous', 1);
          const changes = new ChangeNotifications();
          const following = followChangeNotifications(
            { ...settings(await poolers.url('gig', mode)), searchPath: [schema, 'public'] },
            changes,
            { connected: (is) => told.push(is), queueUsed: () => {} },
            stopping.signal,
            Object.assign(Object.create(silentLog) as typeof silentLog, {
              warn: ({ err }: { err?: Error }) => {
                if (err instanceof SharedSession) told.push(false);
              },
            }),
          );
          await until('it is told or not', () => told.length > 0);
          const since = performance.now();
          if (told[0]) {
            const db = pool(postgres.url('gig'), { searchPath: [schema, 'public'] });
            await db.query('update top_clients set version = version where seller_id = 1');
            await until('it hears of the change', () => changes.isInvalidated(1, since));
          }
          stopping.abort();
          await following;
          return told[0];
        };
        expect(await hear('session')).toBe(true);
        expect(await hear('transaction')).toBe(false);
      });
    });

    test.each(SHARED)('the source keeps its promises in %s mode, of %i', async (mode, size) => {
      const db = pool(await poolers.url('source', mode, size), { pipeline: true });
      const sellers = postgresSellers(db);
      const sellerId = 910 + size;
      const client = { name: 'Łódź', industry: '', description: '', logo: null, from: null, to: null };
      const command = { kind: 'add-client' as const, clientId: crypto.randomUUID(), client };
      const idempotency = { key: 'the same', fingerprint: new Uint8Array([0, 92, 255]) };
      const results = await Promise.all(
        Array.from({ length: 30 }, () =>
          runCommand(
            sellers,
            { sellerId, expectedVersions: null, idempotency, traceparent: '' },
            command,
            ({ version }) => version,
          ),
        ),
      );
      expect(results.map(({ kind }) => kind).sort()).toEqual(['committed', ...Array(29).fill('replayed')]);
      expect(JSON.parse((await sellers.list(sellerId)).clients)).toEqual([
        { ...client, id: command.clientId },
      ]);
      // A statement that fails fails alone.
      await expect(db.query('select no_such_column')).rejects.toThrow(/no_such_column/);
      expect((await db.query('select $1::int as one', [1])).rows).toEqual([{ one: 1 }]);
    });

    test('the self-view finds brands and remembers changes in transaction mode', async () => {
      const db = pool(await poolers.url('self_view', 'transaction'));
      expect((await searchBrands(db, 'spotfy')).map(({ name }) => name)).toContain('Spotify');
      const changes = openChangeLog(db, 60_000);
      await changes.begin(1, 'key', { title: 'Łódź', inverse: null, madeFor: 1 });
      await changes.acknowledge(1, 'key', 7, null);
      expect(await changes.find(1, 7)).toEqual({ title: 'Łódź', version: 7, inverse: null });
    });

    test('a pool in statement mode is refused by all, with what to do', async () => {
      const url = await poolers.url('gig', 'statement');
      const refused = await pool(url)
        .query('select 1')
        .catch((err: Error) => err);
      expect(refused).toBeInstanceOf(UnfitDatabase);
      expect(String(refused)).toMatch(/statement mode .*: set its pool_mode to transaction or session/);
    });

    test('a pool in session mode is as good as none, also when it is all taken', async () => {
      const url = await poolers.url('gig', 'session', 3);
      const open = async (): Promise<ViewStore> => {
        const searchPath = [viewSchema('asynchronous', 1), 'public'];
        const store = await openViewStore(
          { ...settings(url), searchPath },
          projectionsOf('gig').asynchronous,
        );
        opened.push(() => store.close());
        return store;
      };
      const store = await open();
      await store.join();
      expect(await store.tryOwn([0, 1])).toEqual([0, 1]);
      await store.loadCheckpoints([0]);
      expect(await store.checkpoint([{ partition: 0, known: 0, next: 4, committedAt: null }])).toEqual(
        new Map([[0, 0]]),
      );
      // The third session, and the last.
      const last = await connect(settings(url), () => {});
      opened.push(() => last.end());
      const { rows } = await last.query("select current_setting('datestyle') as style");
      expect(rows).toEqual([{ style: 'ISO, MDY' }]);
    });

    test.each([...SHARED, ['statement', 10]] as const)(
      'what needs a session of its own is refused in %s mode, of %i, with what to do',
      async (mode, size) => {
        const url = await poolers.url('gig', mode, size);
        const searchPath = [viewSchema('asynchronous', 1), 'public'];
        const refused = [
          await connect(settings(url), () => {}).catch((err) => err),
          await openViewStore({ ...settings(url), searchPath }, projectionsOf('gig').asynchronous).catch(
            (err) => err,
          ),
          await acquireLease(
            settings(url),
            { index: 0, of: 1 },
            new AbortController().signal,
            silentLog,
            () => {},
          ).catch((err) => err),
        ];
        for (const one of refused) {
          expect(one).toBeInstanceOf(SharedSession);
          expect(String(one)).toMatch(WORDS);
        }
      },
    );

    describe('a program in transaction mode', () => {
      let roles: IsolatedRoles;
      beforeAll(async () => {
        roles = await openIsolatedRoles();
      });
      afterAll(() => roles.stop());

      test('serves pages, and is not told of changes', async () => {
        const url = await poolers.url('gig', 'transaction');
        const server = await roles.start('page-server', { TC_DATABASE_URL: url });
        await until('the page is ready', async () => (await server.readiness()).startsWith('ok'));
        const answer = await fetch(`${server.url}/gigs/1`, { headers: { accept: 'application/json' } });
        expect(answer.status).toBe(200);
        expect(answer.headers.get('top-clients')).toBe('full');
        const metrics = (await server.metrics()).split('\n');
        expect(metrics).toContain('topclients_page_cache_invalidation_connected{page="gig"} 0');
        expect(await server.log()).toMatch(WORDS);
      });

      test('that needs a session says in its readiness what to change', async () => {
        const relay = await roles.start('outbox-relay', {
          TC_DATABASE_URL: await poolers.url('source', 'transaction'),
        });
        const projector = await roles.start('projector', {
          TC_DATABASE_URL: await poolers.url('gig', 'transaction'),
        });
        for (const one of [relay, projector])
          await until('it says what to change', async () => WORDS.test(await one.readiness()));
        const server = await roles.start('page-server', {
          TC_DATABASE_URL: await poolers.url('gig', 'statement'),
        });
        await until('it says what to change', async () => /set its pool_mode/.test(await server.readiness()));
      });

      test('that ends by itself ends with what to change', async () => {
        const env = { PATH: process.env['PATH'], TC_HEALTH_PORT: '0' };
        const database = await poolers.url('source', 'transaction');
        const run = (...args: string[]) =>
          promisify(execFile)(process.execPath, [MAIN, ...args, '--database-url', database], { env }).catch(
            ({ code, stdout }: { code: number; stdout: string }) => ({ code, stdout }),
          );
        const ended = await Promise.all([
          run('migrate', '--target', 'source'),
          run('republish', '--request', 'all'),
        ]);
        for (const one of ended) {
          expect(one).toMatchObject({ code: 1 });
          expect(one.stdout).toMatch(WORDS);
        }
      });
    });
  },
);
