/** A page of somebody else: its database is theirs, its user no superuser, and all of ours in it is in schemas of ours. */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { silentLog } from '#platform/log.ts';
import { connect } from '#platform/postgres.ts';
import { type LocalPostgres, OLDEST, startPostgres } from '../../services/local-stack/postgres.ts';
import { migrateExternalPage } from '../../services/migrate/databases.ts';
import { dropPage } from '../../services/migrate/drop-page.ts';
import { openViewStore } from '../../services/projector/view-store.ts';
import type { ErasureBook } from '../../services/top-clients/adapters/postgres/erasure-book.ts';

const PAGE = 'shop';
const v = (version: number, delivery: 'asynchronous' | 'hybrid' = 'asynchronous') => ({ delivery, version });

describe.each([
  ['the oldest PostgreSQL', OLDEST],
  ['the newest', undefined],
] as const)('on %s', (_, version) => {
  let folder: string;
  let postgres: LocalPostgres;
  let databases = 0;
  let database: string;
  const connected: pg.Client[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'external-page-'));
    await chmod(folder, 0o755);
    postgres = await startPostgres({ dataDir: folder, ...(version === undefined ? {} : { version }) });
    await postgres.createUsers(['owner', 'reader', 'other']);
  });
  afterAll(async () => {
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** A database as a hosted server gives it: the user may make schemas there, and touch nothing else. */
  beforeEach(async () => {
    database = `theirs_${++databases}`;
    await postgres.createDatabase(database);
    const admin = await as('postgres');
    await admin.query(`grant create on database ${database} to owner`);
    await admin.query('revoke create on schema public from public');
    await admin.query('create table public.orders (id bigint)');
    await admin.query('create schema shop authorization other');
  });
  afterEach(async () => {
    for (const client of connected.splice(0)) await client.end();
  });

  async function as(user: string): Promise<pg.Client> {
    const client = await connect(
      {
        url: postgres.url(database, user),
        applicationName: 'external-page',
        statementTimeoutMs: 10_000,
        connectTimeoutMs: 5_000,
      },
      () => {},
    );
    connected.push(client);
    return client;
  }
  const migrateTo = (view = v(1), readers: readonly string[] = ['reader'], show = false) =>
    migrateExternalPage(PAGE, postgres.url(database, 'owner'), view, readers, silentLog, {}, show);
  const drop = async (book: ErasureBook | null = null) =>
    dropPage(await as('owner'), null, book, { page: PAGE, external: true }, 0, silentLog);
  /** Everything in the database but what PostgreSQL itself has. */
  const objects = async () =>
    (
      await (
        await as('postgres')
      ).query<{ name: string }>(
        `select oid::regclass::text as name from pg_class
          where relnamespace in (select oid from pg_namespace where nspname !~ '^(pg_|information_schema)')
        union all select nspname from pg_namespace where nspname !~ '^(pg_|information_schema)' order by 1`,
      )
    ).rows.map(({ name }) => name);

  test('its lists are read by a role of theirs, over a switch and a rollback, and by nobody else', async () => {
    await migrateTo();
    const store = await openViewStore(
      {
        url: postgres.url(database, 'owner'),
        applicationName: 'projector',
        statementTimeoutMs: 10_000,
        connectTimeoutMs: 5_000,
        searchPath: [viewSchema('asynchronous', 1)],
      },
      projectionsOf(PAGE).asynchronous,
    );
    await store.upsert([
      projectionsOf(PAGE).asynchronous.toRow({
        sellerId: 7,
        version: 2,
        committedAt: '2026-11-29T10:00:00.000Z',
        change: { type: 'seller-erased' },
        clients: [],
      }),
    ]);
    await store.close();
    const reader = await as('reader');
    const read = async () => (await reader.query('select seller_id, version from top_clients.lists')).rows;
    expect(await read()).toEqual([{ seller_id: 7, version: 2 }]);
    await migrateTo(v(2), ['reader'], true);
    expect(await read()).toEqual([]);
    await migrateTo(v(1), ['reader'], true);
    expect(await read()).toEqual([{ seller_id: 7, version: 2 }]);
    for (const statement of [
      'select from top_clients.shown',
      `select from ${viewSchema('asynchronous', 1)}.top_clients`,
    ])
      await expect(reader.query(statement)).rejects.toThrow('permission denied');
    await expect((await as('other')).query('select from top_clients.lists')).rejects.toThrow(
      'permission denied',
    );
  });

  test('whoever is not named any more reads no more, and what others granted stays', async () => {
    await migrateTo();
    const owner = await as('owner');
    await owner.query('grant usage on schema top_clients to other');
    await owner.query('grant select on top_clients.lists to other');
    await migrateTo(v(1), []);
    await expect((await as('reader')).query('select from top_clients.lists')).rejects.toThrow(
      'permission denied',
    );
    await (await as('other')).query('select from top_clients.lists');
    await migrateTo(v(1), ['reader', 'other']);
    await (await as('reader')).query('select from top_clients.lists');
  });

  test('all of it is in schemas of ours, and goes with the page: not a trace is left', async () => {
    const before = await objects();
    await migrateTo();
    await migrateTo(v(1, 'hybrid'));
    const made = (await objects()).filter((name) => !before.includes(name));
    expect(made.filter((name) => !/^top_clients(_(asynchronous|hybrid)_v1)?(\.|$)/.test(name))).toEqual([]);
    expect(await drop()).toEqual([v(1), v(1, 'hybrid')]);
    expect(await objects()).toEqual(before);
    expect(await drop()).toEqual([]);
    await migrateTo();
  });

  test('what is theirs stays: in our schemas, and what they built on ours', async () => {
    await migrateTo();
    const owner = await as('owner');
    const schema = viewSchema('asynchronous', 1);
    await owner.query('create table top_clients.favourites (id bigint)');
    await owner.query(`create table ${schema}.notes (id bigint)`);
    await owner.query('create schema reports');
    await owner.query('create view reports.best as select seller_id from top_clients.lists');
    await expect(drop()).rejects.toThrow(
      /the schema "top_clients" is used by something of yours: view reports\.best depends on view top_clients\.lists; drop that first/,
    );
    await owner.query('drop view reports.best');
    await drop();
    const left = (await objects()).filter((name) => name.startsWith('top_clients'));
    expect(left).toEqual(['top_clients', 'top_clients.favourites', schema, `${schema}.notes`]);
    await expect(migrateTo()).rejects.toThrow('such as "favourites": rename or drop it');
  });

  test('receipts of erasures wait for its views no longer, but only once they are gone from here', async () => {
    const told: string[] = [];
    const waiting = new Set([`${PAGE} asynchronous-v1`]);
    const book = {
      places: async () => [...waiting],
      gone: async (place: string) => {
        told.push(place);
        waiting.delete(place);
      },
    } as unknown as ErasureBook;
    await expect(drop(book)).rejects.toThrow(
      'is not that of the shop page, whose views shop asynchronous-v1 receipts of erasures wait for',
    );
    expect(told).toEqual([]);
    await migrateTo();
    await drop(book);
    expect(told).toContain(`${PAGE} asynchronous-v1`);
    await drop(book);
  });

  test('a second page in the same database is refused', async () => {
    await migrateTo();
    const before = await objects();
    await expect(
      migrateExternalPage('other-shop', postgres.url(database, 'owner'), v(2), [], silentLog),
    ).rejects.toThrow(
      'this database keeps the views of the shop page already; give the other-shop page a database of its own',
    );
    const other = { page: 'other-shop', external: true };
    expect(await dropPage(await as('owner'), null, null, other, 0, silentLog)).toEqual([]);
    expect(await objects()).toEqual(before);
  });

  describe('is told what to change where', () => {
    test('the user may not make schemas', async () => {
      await (await as('postgres')).query(`revoke create on database ${database} from owner`);
      await expect(migrateTo()).rejects.toThrow(
        `the user "owner" may not make schemas in the database "${database}": grant create on database "${database}" to "owner"`,
      );
    });

    test('our schema is somebody else’s', async () => {
      await (await as('postgres')).query('create schema top_clients authorization other');
      await expect(migrateTo()).rejects.toThrow(
        `the schema "top_clients" of the database "${database}" belongs to other, and not to "owner": rename or drop it, or sign in as its owner`,
      );
    });

    test('our schema holds what is theirs', async () => {
      const owner = await as('owner');
      await owner.query('create schema top_clients');
      await owner.query('create table top_clients.best (id bigint)');
      await expect(migrateTo()).rejects.toThrow(
        'holds what was not made by Top Clients, such as "best": rename or drop it',
      );
      await owner.query('create view top_clients.lists as select 1 as mine');
      expect(await drop()).toEqual([]);
      await owner.query('select mine from top_clients.lists');
      await owner.query('drop view top_clients.lists');
      await owner.query('drop table top_clients.best');
      await migrateTo();
      await owner.query(`create schema ${viewSchema('asynchronous', 2)}`);
      await owner.query(`create table ${viewSchema('asynchronous', 2)}.mine (id bigint)`);
      await expect(migrateTo(v(2))).rejects.toThrow('such as "mine": rename or drop it');
    });

    test('a role that is to read is missing', async () => {
      await expect(migrateTo(v(1), ['reader', 'nobody there'])).rejects.toThrow(
        'the database has no role "nobody there": create it (create role … login), or take it out of external.readerRoles',
      );
    });

    test('the database is not there', async () => {
      await expect(
        migrateExternalPage(PAGE, postgres.url('nowhere', 'owner'), v(1), [], silentLog),
      ).rejects.toThrow('database "nowhere" does not exist');
    });
  });
});
