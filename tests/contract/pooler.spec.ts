/** A projector's session behind a real PgBouncer: it works where it has one of its own, and says what to do where not. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PAGES } from '#pages/index.ts';
import { viewSchema } from '#pages/projection.ts';
import { silentLog } from '#platform/log.ts';
import { freePort } from '../../services/local-infra/ports.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-infra/postgres.ts';
import { migratePage } from '../../services/migrate/main.ts';
import { openViewStore, SharedSession, type ViewStore } from '../../services/projector/view-store.ts';
import { until } from '../support/pipeline.ts';

const isInstalled = spawnSync('pgbouncer', ['--version']).status === 0;
// Named, so that a run without it says what it did not try.
const withPooler = isInstalled ? describe : describe.skip;

withPooler(
  isInstalled ? 'behind PgBouncer' : 'behind PgBouncer (skipped: `pgbouncer` is not installed)',
  () => {
    let folder: string;
    let postgres: LocalPostgres;
    const poolers: ChildProcess[] = [];
    const stores: ViewStore[] = [];

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'pooler-'));
      postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
      await postgres.createDatabase('gig');
      await migratePage('gig', postgres.url('gig'), { delivery: 'asynchronous', version: 1 }, silentLog);
    }, 30_000);

    afterAll(async () => {
      await Promise.all(stores.map((store) => store.close()));
      await Promise.all(
        poolers.map((pooler) => {
          const ended = new Promise((resolve) => pooler.once('exit', resolve));
          pooler.kill('SIGKILL');
          return ended;
        }),
      );
      await postgres?.stop();
      await rm(folder, { recursive: true, force: true });
    }, 30_000);

    /** @returns the URL of the page's database behind the pooler */
    async function pooler(mode: 'session' | 'transaction' | 'statement', size: number): Promise<string> {
      const direct = new URL(postgres.url('gig'));
      const port = await freePort();
      const file = join(await mkdtemp(join(tmpdir(), 'pgbouncer-')), 'pgbouncer.ini');
      await writeFile(
        file,
        `[databases]
gig = host=127.0.0.1 port=${direct.port} dbname=gig user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
default_pool_size = ${size}
ignore_startup_parameters = options,statement_timeout,idle_in_transaction_session_timeout,extra_float_digits
`,
      );
      const nobody = { uid: 65_534, gid: 65_534 };
      const asRoot = process.getuid?.() === 0;
      if (asRoot) {
        await chown(join(file, '..'), nobody.uid, nobody.gid);
        await chown(file, nobody.uid, nobody.gid);
      }
      poolers.push(spawn('pgbouncer', [file], { stdio: 'ignore', ...(asRoot ? nobody : {}) }));
      return `postgres://postgres@127.0.0.1:${port}/gig`;
    }

    const open = async (url: string): Promise<ViewStore> => {
      const store = await openViewStore(
        {
          url,
          applicationName: 'spec',
          statementTimeoutMs: 10_000,
          connectTimeoutMs: 3_000,
          searchPath: [viewSchema('asynchronous', 1), 'public'],
        },
        PAGES.gig.projections.asynchronous,
      );
      stores.push(store);
      return store;
    };

    test('a pool in session mode is as good as none', async () => {
      const url = await pooler('session', 10);
      let store: ViewStore | undefined;
      await until('the pooler listens', async () => {
        store = await open(url);
        return true;
      });
      await store!.join();
      expect(await store!.tryOwn([0, 1])).toEqual([0, 1]);
      await store!.loadCheckpoints([0]);
      expect(await store!.checkpoint([{ partition: 0, known: 0, next: 4, committedAt: null }])).toEqual(
        new Map([[0, 0]]),
      );
      const other = await open(url);
      expect(await other.tryOwn([0, 1, 2])).toEqual([2]);
    });

    test.each([
      ['transaction', 1],
      ['transaction', 10],
      ['statement', 10],
    ] as const)('a pool in %s mode, of %i, is refused with what to do', async (mode, size) => {
      const url = await pooler(mode, size);
      const refused: unknown[] = [];
      await until('the pooler listens', async () => {
        refused.push(await open(url).catch((err) => err));
        return (refused.at(-1) as { code?: string }).code !== 'ECONNREFUSED';
      });
      expect(refused.at(-1)).toBeInstanceOf(SharedSession);
      expect(String(refused.at(-1))).toMatch(/point the URL past the pooler, or at a pool in session mode/);
    });
  },
);
