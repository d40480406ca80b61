/** Who may do what in the databases: each user what it needs, and nothing of what others have. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import {
  DATABASE_USERS,
  type Database,
  type DatabaseUser,
  userName,
  usersOf,
} from '#contracts/database-users.ts';
import { PAGE_NAMES } from '#contracts/pages.ts';
import { viewSchema } from '#pages/projection.ts';
import { silentLog } from '#platform/log.ts';
import { makeUsers, namesOf } from '../../services/local-stack/database-users.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { migratePage, migrateSource } from '../../services/migrate/databases.ts';
import { dropView } from '../../services/migrate/drop-view.ts';
import { GRANTS, GrantRefused, UserMissing } from '../../services/migrate/grants.ts';
import { usersIn } from '../../services/migrate/user-settings.ts';

const DATABASES = ['source', 'gig', 'user', 'search', 'self_view'] as const;
const VIEWS = [
  { delivery: 'asynchronous', version: 1 },
  { delivery: 'hybrid', version: 1 },
] as const;
const VIEW = viewSchema('asynchronous', 1);
/** As a company or CloudNativePG makes it: owns the databases, and is no superuser. */
const OWNER = 'the_owner';

let folder: string;
let postgres: LocalPostgres;
const connected: pg.Client[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'database-users-'));
  postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  await postgres.createUsers([OWNER]);
  await makeUsers(postgres, DATABASES);
  const superuser = await as('postgres', 'postgres');
  for (const database of DATABASES) {
    await superuser(`create database "${database}" owner ${OWNER}`);
  }
  await migrateAll();
}, 60_000);

afterAll(async () => {
  await Promise.all(connected.map((client) => client.end()));
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
}, 30_000);

/** At once, as the demo and the operator do it: two views of one page are migrated at the same time. */
const migrateAll = () =>
  Promise.all([
    migrateSource(postgres.url('source', OWNER), silentLog, { users: namesOf('source') }),
    ...PAGE_NAMES.flatMap((page) =>
      VIEWS.map((view) =>
        migratePage(page, postgres.url(page, OWNER), view, silentLog, { users: namesOf(page) }),
      ),
    ),
    migratePage('self-view', postgres.url('self_view', OWNER), 'none', silentLog, {
      users: namesOf('self_view'),
    }),
  ]);

type Ask = (text: string) => Promise<Record<string, unknown>[]>;

async function as(user: string, database: string): Promise<Ask> {
  const client = new pg.Client({ connectionString: postgres.url(database, user) });
  await client.connect();
  connected.push(client);
  return async (text) => (await client.query<Record<string, unknown>>(text)).rows;
}
const signIn = (user: DatabaseUser, of: Database, database: Database = of) =>
  as(userName(user, of), database);

/** Tables by place, as they are. */
const TABLES = `select schemaname as schema, tablename as name from pg_tables
  where schemaname not in ('pg_catalog', 'information_schema') and tablename <> 'schema_migration'
  order by 1, 2`;

const DENIED = expect.objectContaining({ code: '42501' });

describe('who has the credentials of a page', () => {
  test('reads what the page shows', async () => {
    const ask = await signIn('page', 'gig');
    await ask('select * from gig');
    await ask(`select * from ${VIEW}.top_clients`);
    await ask(`select * from ${VIEW}.trace`);
    for (const name of ['lists', 'client_ids', 'status', 'trace', 'erased', 'shown'])
      await ask(`select * from top_clients.${name}`);
    await ask('insert into top_clients.page_server (id, forgot_through) values (gen_random_uuid(), 0)');
    await ask('listen top_clients');
  });

  test('cannot write its view, nor the page, nor read what could not be applied', async () => {
    const ask = await signIn('page', 'gig');
    for (const statement of [
      `insert into ${VIEW}.top_clients values (1, 1, now(), '[]')`,
      "insert into top_clients.lists values (1, 1, now(), '[]')",
      'update top_clients.shown set view_version = 2',
      'delete from top_clients.erased',
      `update ${VIEW}.top_clients set clients = '[]'`,
      `delete from ${VIEW}.top_clients`,
      `truncate ${VIEW}.top_clients`,
      `update ${VIEW}.checkpoint set next_offset = 0`,
      `select * from ${VIEW}.parked`,
      'delete from gig',
      'create table mine ()',
      `create table ${VIEW}.mine ()`,
      `drop schema ${VIEW} cascade`,
      'select * from schema_migration',
    ]) {
      await expect(ask(statement)).rejects.toEqual(
        expect.objectContaining({ message: expect.stringMatching(/permission denied|must be owner/) }),
      );
    }
  });

  test('cannot read the source, nor another page, whichever database it signs in to', async () => {
    for (const page of [...PAGE_NAMES, 'self_view'] as const) {
      for (const database of DATABASES.filter((one) => one !== page)) {
        const ask = await signIn('page', page, database);
        const owner = await as(OWNER, database);
        const tables = await owner(TABLES);
        expect(tables.length).toBeGreaterThan(0);
        for (const { schema, name } of tables) {
          await expect(ask(`select from ${schema}.${name}`)).rejects.toEqual(DENIED);
        }
      }
    }
  });
});

test('who has the credentials of a projector or of a relay cannot read what is not theirs', async () => {
  const projector = await signIn('projector', 'gig', 'source');
  await expect(projector('select from seller')).rejects.toEqual(DENIED);
  const elsewhere = await signIn('projector', 'gig', 'user');
  await expect(elsewhere(`delete from ${VIEW}.top_clients`)).rejects.toEqual(DENIED);
  const relay = await signIn('relay', 'source');
  for (const statement of [
    'select from seller',
    'select from seller_event',
    'select from idempotency_key',
    'update outbox set value = null',
    'update partition_layout set partitions = 1',
  ]) {
    await expect(relay(statement)).rejects.toEqual(DENIED);
  }
});

test('a watcher locks sellers and cannot change what they have', async () => {
  const ask = await signIn('watcher', 'source');
  await ask('begin');
  await ask('select from seller for update');
  await ask('rollback');
  for (const statement of [
    `update seller set clients = '[]'`,
    'delete from seller',
    'delete from outbox',
    `insert into seller_event (seller_id, version, type, committed_at) values (1, 1, 'x', now())`,
    'select from idempotency_key',
  ]) {
    await expect(ask(statement)).rejects.toEqual(DENIED);
  }
  const view = await signIn('watcher', 'gig');
  await view(`create temporary table top_clients (like ${VIEW}.top_clients including indexes)`);
  await expect(view(`delete from ${VIEW}.top_clients`)).rejects.toEqual(DENIED);
  await expect(view('select from gig')).rejects.toEqual(DENIED);
});

/** What may be done with a table: as a whole, or with some of its columns alone. */
const PRIVILEGES = ['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger'] as const;

test('every user may do with the source’s tables what their store says, and nothing else', async () => {
  const owner = await as(OWNER, 'source');
  const tables = ((await owner(TABLES)) as { name: string }[]).map(({ name }) => name);
  expect(tables).toContain('seller');
  const everybody = [
    ...DATABASE_USERS.filter((user) => user !== 'page' && user !== 'projector').map(
      (user) => [user, userName(user, 'source')] as const,
    ),
    ...(['gig', 'user', 'search', 'self_view'] as const).flatMap((page) =>
      usersOf(page)
        .filter((user) => user !== 'watcher')
        .map((user) => [user, userName(user, page)] as const),
    ),
  ];
  for (const [user, name] of everybody) {
    const rights: Readonly<Record<string, string>> = { ...(GRANTS.source as Record<string, object>)[user] };
    for (const table of tables) {
      const given = (rights[table] ?? rights['*'] ?? '').split(', ').filter((one) => one !== '');
      const [held] = await owner(
        `select ${PRIVILEGES.map((one) => `has_table_privilege('${name}', '${table}', '${one}') as "${one}"`).join()},
          has_any_column_privilege('${name}', '${table}', 'update') as "some column"`,
      );
      const wanted = Object.fromEntries(PRIVILEGES.map((one) => [one, given.includes(one)]));
      expect([name, table, held]).toEqual([
        name,
        table,
        { ...wanted, 'some column': given.some((one) => one.startsWith('update')) },
      ]);
    }
  }
});

test('every table is somebody’s: a new one is in the catalogue, or in a place of which all is', async () => {
  const inPlace = async (database: Database, schema: string) =>
    ((await (await as(OWNER, database))(TABLES)) as { schema: string; name: string }[])
      .filter((table) => table.schema === schema)
      .map(({ name }) => name);
  const places = {
    source: ['source', 'public'],
    page: ['gig', 'public'],
    'self-view': ['self_view', 'public'],
    view: ['gig', VIEW],
  } as const;
  for (const [place, [database, schema]] of Object.entries(places)) {
    const spokenOf = Object.values(GRANTS[place as keyof typeof GRANTS]).flatMap((rights) =>
      Object.keys(rights),
    );
    const tables = await inPlace(database, schema);
    expect(tables.length).toBeGreaterThan(0);
    if (!spokenOf.includes('*')) expect(tables.filter((name) => !spokenOf.includes(name))).toEqual([]);
  }
});

test('a table that a later version makes can be used, where all is granted, before anybody migrates again', async () => {
  const owner = await as(OWNER, 'source');
  await owner('create table later (id bigint)');
  await (await signIn('source', 'source'))('insert into later values (1)');
  await expect((await signIn('relay', 'source'))('select from later')).rejects.toEqual(DENIED);
});

test('to migrate again gives back what is missing, and takes away what is not in the catalogue', async () => {
  const owner = await as(OWNER, 'gig');
  const page = userName('page', 'gig');
  await owner(`revoke select on ${VIEW}.top_clients from ${page}`);
  await owner(`grant all on ${VIEW}.top_clients, ${VIEW}.checkpoint to ${page}`);
  await migrateAll();
  await migrateAll();
  const ask = await signIn('page', 'gig');
  await ask(`select from ${VIEW}.top_clients`);
  await expect(ask(`delete from ${VIEW}.top_clients`)).rejects.toEqual(DENIED);
  await expect(ask(`select from ${VIEW}.checkpoint`)).rejects.toEqual(DENIED);
});

test('what an administrator has in a database keeps nobody from migrating, and is given to nobody', async () => {
  const superuser = await as('postgres', 'gig');
  await superuser('create table of_others (id bigint generated always as identity)');
  await superuser('create view seen_by_others as select 1 as one');
  await superuser('create sequence counted_by_others');
  await migrateAll();
  await expect((await signIn('page', 'gig'))('select from of_others')).rejects.toEqual(DENIED);
  await superuser('drop view seen_by_others');
  await superuser('drop sequence counted_by_others');
  await superuser('drop table of_others');
});

test('functions are given to whom they are for, where everybody may not run them', async () => {
  const superuser = await as('postgres', 'search');
  await superuser('revoke execute on all functions in schema public from public');
  const search = 'select search_listings($$a$$, 0, 1, 1)';
  const asBefore = 'select find_listings($$a$$, 0, 1), count_listings($$a$$, 1)';
  for (const one of [search, asBefore]) {
    await expect((await signIn('projector', 'search'))(one)).rejects.toEqual(DENIED);
  }
  await migrateAll();
  for (const one of [search, asBefore]) {
    await (await signIn('page', 'search'))(one);
    await expect((await signIn('projector', 'search'))(one)).rejects.toEqual(DENIED);
  }
  await superuser('grant execute on all functions in schema public to public');
});

test('functions of others are given to nobody, also where a superuser migrates', async () => {
  const superuser = await as('postgres', 'search');
  await superuser('create function of_others() returns integer language sql as $$select 1$$');
  await superuser('revoke execute on function of_others() from public');
  await migratePage('search', postgres.url('search'), VIEWS[0], silentLog, { users: namesOf('search') });
  await expect((await signIn('page', 'search'))('select of_others()')).rejects.toEqual(DENIED);
  await superuser('drop function of_others()');
});

test('what the owner of the tables may not grant is asked for', async () => {
  const superuser = await as('postgres', 'gig');
  await superuser('alter database gig owner to postgres');
  await superuser(
    'revoke connect, temporary on database gig from public, top_clients_page_gig, top_clients_watcher',
  );
  await superuser(`grant connect on database gig to ${OWNER}; grant create on schema public to ${OWNER}`);
  const asked: string[] = [];
  for (let isDone = false; !isDone; ) {
    try {
      await migratePage('gig', postgres.url('gig', OWNER), VIEWS[0], silentLog, { users: namesOf('gig') });
      isDone = true;
    } catch (err) {
      expect(err).toBeInstanceOf(GrantRefused);
      const statements = (err as Error).message.split('administrator run: ')[1]!;
      expect(asked).not.toContain(statements);
      asked.push(statements);
      await superuser(statements);
    }
  }
  expect(asked.join()).toContain('grant connect on database "gig" to "top_clients_page_gig"');
  expect(asked.join()).toContain('grant temporary on database "gig" to "top_clients_watcher"');
  await superuser(`alter database gig owner to ${OWNER}`);
  await superuser('grant connect, temporary on database gig to public');
  await migrateAll();
});

test('an owner that is named as a user keeps what it has', async () => {
  await migrateSource(postgres.url('source', OWNER), silentLog, { users: { source: OWNER, relay: OWNER } });
  await (await as(OWNER, 'source'))('update seller set version = version');
});

test('one user for several purposes has what each needs', async () => {
  await postgres.createUsers(['both']);
  await migrateSource(postgres.url('source', OWNER), silentLog, {
    users: { watcher: 'both', relay: 'both' },
  });
  const ask = await as('both', 'source');
  await ask('delete from outbox');
  await ask('select from seller for update');
});

test('a second user in the role of the first does what it may, also when the first may not sign in any more', async () => {
  const first = userName('page', 'gig');
  const superuser = await as('postgres', 'postgres');
  await superuser(`create role second login in role ${first}`);
  const ask = await as('second', 'gig');
  const work = async () => {
    await ask('select * from top_clients.lists');
    await ask('select * from gig');
    await ask('insert into top_clients.page_server (id, forgot_through) values (gen_random_uuid(), 0)');
    await expect(ask('delete from gig')).rejects.toEqual(DENIED);
  };
  await work();
  await superuser(`alter role ${first} nologin`);
  await work();
  await expect(as(first, 'gig')).rejects.toMatchObject({ code: '28000' });
  // An upgrade is told the second.
  const [view] = VIEWS;
  const users = { ...namesOf('gig'), page: 'second' };
  await migratePage('gig', postgres.url('gig', OWNER), view, silentLog, { users });
  await work();
  await superuser(`alter role ${first} login`);
});

test('a user that is not there is asked for', async () => {
  const users = { relay: 'nobody"here' };
  const migrating = migrateSource(postgres.url('source', OWNER), silentLog, { users });
  await expect(migrating).rejects.toThrow(UserMissing);
  await expect(migrating).rejects.toThrow(
    `the database has no user "nobody""here"; create it (create role "nobody""here" login password '…') and migrate again, or leave TC_RELAY_USER away`,
  );
});

test('a user may be told by its address, and no message repeats the password', () => {
  const config = (relayUser: string) => usersIn({ relayUser } as never);
  expect(config('top_clients_relay')).toEqual({ relay: 'top_clients_relay' });
  expect(config('postgresql://the%20relay:p%40ss/w#rd?@db.example:5432/source?sslmode=verify-full')).toEqual({
    relay: 'the relay',
  });
  expect(config('postgres://relay@[::1]/source')).toEqual({ relay: 'relay' });
  expect(() => config('postgres://:secret@db.example/source')).toThrow(
    'an address that names a user of the database has none in it',
  );
});

test('an owner that is no superuser sees projectors that keep a view up, whoever they are', async () => {
  const schema = viewSchema('hybrid', 1);
  const projector = new pg.Client({
    connectionString: postgres.url('gig', userName('projector', 'gig')),
    application_name: 'top-clients.gig.hybrid.v1',
  });
  await projector.connect();
  const owner = new pg.Client({ connectionString: postgres.url('gig', OWNER) });
  await owner.connect();
  connected.push(owner);
  const view = { page: 'gig' as const, evenIfShown: true, group: 'top-clients.gig.hybrid.v1', schema };
  await expect(dropView(owner, null, view, 0, silentLog)).rejects.toThrow(
    'a projector writes to the view over 1 connections',
  );
  await projector.end();
  expect(await dropView(owner, null, view, 5_000, silentLog)).toMatchObject({ removed: true });
});
