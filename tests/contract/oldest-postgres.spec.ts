/** The oldest PostgreSQL that a page's database may be on. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { PAGE_NAMES } from '#contracts/pages.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { silentLog } from '#platform/log.ts';
import { connect } from '#platform/postgres.ts';
import { type LocalPostgres, OLDEST, startPostgres } from '../../services/local-stack/postgres.ts';
import { until } from '../../services/local-stack/until.ts';
import { migratePage, migrateSource } from '../../services/migrate/databases.ts';
import { dropView } from '../../services/migrate/drop-view.ts';
import { openViewStore } from '../../services/projector/view-store.ts';

let folder: string;
let postgres: LocalPostgres;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'oldest-postgres-'));
  // Its initdb takes no other path than the real one, whose parents the server's user may have to pass.
  await chmod(folder, 0o755);
  postgres = await startPostgres({ dataDir: folder, version: OLDEST });
});
afterAll(async () => {
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
});

const settings = (page: string) => ({
  url: postgres.url(page),
  applicationName: 'oldest-postgres',
  statementTimeoutMs: 10_000,
  connectTimeoutMs: 5_000,
});

test.each(PAGE_NAMES)(
  'has every table of the %s page, its views, their writes and a switch',
  async (page) => {
    await postgres.createDatabase(page);
    const migrateTo = (delivery: 'asynchronous' | 'hybrid', version: number, show = false) =>
      migratePage(page, postgres.url(page), { delivery, version }, silentLog, {}, show);
    for (const delivery of ['asynchronous', 'hybrid'] as const) {
      await migrateTo(delivery, 1);
      const projection = projectionsOf(page)[delivery];
      const store = await openViewStore(
        { ...settings(page), searchPath: [viewSchema(delivery, 1), 'public'] },
        projection,
      );
      await store.close();
    }
    const db = await connect(settings(page), () => {});
    try {
      const { rows } = await db.query('show server_version');
      expect(rows[0].server_version).toMatch(new RegExp(`^${OLDEST}\\.`));
      await migrateTo('asynchronous', 2, true);
      expect((await db.query('select delivery, view_version from top_clients.status')).rows).toEqual([
        { delivery: 'asynchronous', view_version: 2 },
      ]);
      const view = { page, group: 'nobody', schema: viewSchema('asynchronous', 1) };
      expect(await dropView(db, null, view, 5_000, silentLog)).toMatchObject({ removed: true });
    } finally {
      await db.end();
    }
  },
);

test('has every table of the source and of the self-view', async () => {
  for (const name of ['source', 'self_view']) await postgres.createDatabase(name);
  expect(await migrateSource(postgres.url('source'), silentLog)).not.toEqual([]);
  expect(await migratePage('self-view', postgres.url('self_view'), 'none', silentLog)).not.toEqual([]);
});

test('a projector that stands still loses its partitions to another one, as on later versions', async () => {
  const [page, delivery] = ['gig', 'asynchronous'] as const;
  const SESSION_TIMEOUT_MS = 1_000;
  const store = () =>
    openViewStore(
      { ...settings(page), searchPath: [viewSchema(delivery, 2), 'public'] },
      projectionsOf(page)[delivery],
      SESSION_TIMEOUT_MS,
    );
  const [still, alive] = [await store(), await store()];
  try {
    for (const one of [still, alive]) await one.join();
    expect(await still.tryOwn([0, 1])).toEqual([0, 1]);
    // While it speaks, nobody takes them.
    const since = performance.now();
    while (performance.now() - since < 2 * SESSION_TIMEOUT_MS) {
      await still.ping();
      await alive.ownership();
      expect(await alive.tryOwn([0])).toEqual([]);
    }
    await until('the other one owns them', async () => {
      await alive.ownership();
      return (await alive.tryOwn([0, 1])).length === 2;
    });
    expect(still.lost.aborted).toBe(true);
  } finally {
    for (const one of [still, alive]) await one.close();
  }
});
