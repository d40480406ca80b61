import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type LocalPostgres, startPostgres } from '../local-stack/postgres.ts';
import { silentLog } from './log.ts';
import { dropMigrated, migrate } from './migrations.ts';
import { connect, inTransaction, isUnavailable, openPool } from './postgres.ts';

let folder: string;
let postgres: LocalPostgres;
let scripts: URL;
let round = 0;
const settings = () => ({
  url: postgres.url(`round${round}`),
  applicationName: 'spec',
  statementTimeoutMs: 5_000,
  connectTimeoutMs: 5_000,
});
const open = () => connect(settings(), () => {});
const script = (name: string, sql: string) => writeFile(new URL(name, scripts), sql);
const run = async (options?: Parameters<typeof migrate>[3]) => {
  const client = await open();
  try {
    return await migrate(client, scripts, silentLog, options);
  } finally {
    await client.end();
  }
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'migrations-'));
  postgres = await startPostgres({ dataDir: join(folder, 'data') });
});
afterAll(async () => {
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  round += 1;
  await postgres.createDatabase(`round${round}`);
  scripts = pathToFileURL(`${await mkdtemp(join(folder, 'scripts-'))}/`);
  await script('001-first.sql', 'create table first (id int)');
});

test('scripts run once, in order, and a second run has nothing to do', async () => {
  await script('002-second.sql', 'alter table first add column name text');
  expect(await run()).toEqual(['001-first.sql', '002-second.sql']);
  expect(await run()).toEqual([]);
});

test('eight at once apply each script once', async () => {
  const applied = await Promise.all(Array.from({ length: 8 }, () => run()));
  expect(applied.flat()).toEqual(['001-first.sql']);
});

test('a script that fails leaves nothing half done and is named', async () => {
  await script('002-wrong.sql', 'create table second (id int); select nonsense');
  await expect(run()).rejects.toThrow('002-wrong.sql failed');
  await script('002-wrong.sql', 'create table second (id int)');
  expect(await run()).toEqual(['002-wrong.sql']);
});

test('a script that changed after it was applied is refused', async () => {
  await run();
  await script('001-first.sql', 'create table first (id bigint)');
  await expect(run()).rejects.toThrow('add a new migration');
});

test('a program works on tables that are ahead of it, unless a migration needs a later one', async () => {
  await script('002-second.sql', 'alter table first add column name text');
  await script('003-third.sql', '-- needs 0.10.0\nalter table first drop column id');
  await run({ version: '0.10.0' });
  await rm(new URL('003-third.sql', scripts));
  for (const version of ['0.10.0', '0.10.1', '0.11.0', '1.0.0']) expect(await run({ version })).toEqual([]);
  for (const version of ['0.9.9', '0.2.0', '0.1.0'])
    await expect(run({ version })).rejects.toThrow('003-third.sql, on which no version before 0.10.0 works');
  await rm(new URL('002-second.sql', scripts));
  expect(await run({ version: '0.10.0' })).toEqual([]);
});

/** What 0.1.0 asks; it refuses a name that it does not know. */
const knownTo010 = async (scope = 'main'): Promise<string[]> => {
  const client = await open();
  try {
    const { rows } = await client.query('select name from schema_migration where scope = $1 order by 1', [
      scope,
    ]);
    return rows.map(({ name }) => name);
  } finally {
    await client.end();
  }
};

test('a version that knows nothing of later migrations is not shown those that it can work with', async () => {
  await run();
  await script('002-second.sql', 'alter table first add column name text');
  expect(await run()).toEqual(['002-second.sql']);
  expect(await run()).toEqual([]);
  expect(await knownTo010()).toEqual(['001-first.sql']);
  await script('002-second.sql', 'alter table first add column other text');
  await expect(run()).rejects.toThrow('002-second.sql has changed');
  await script('002-second.sql', 'alter table first add column name text');
  await script('003-third.sql', '-- needs 0.2.0\nalter table first drop column id');
  await run();
  expect(await knownTo010()).toEqual(['001-first.sql', '003-third.sql']);
});

test('a view that such a version dropped and made anew is migrated again', async () => {
  const variables = { schema: 'a' };
  await script('001-first.sql', 'create schema :"schema"; create table :"schema".first (id int)');
  const options = { scope: 'a', variables };
  await run(options);
  await script('002-second.sql', 'alter table :"schema".first add column name text');
  await run(options);
  const client = await open();
  try {
    await client.query(`drop schema a cascade; delete from schema_migration where scope = 'a'`);
    await rm(new URL('002-second.sql', scripts));
    expect(await run(options)).toEqual(['001-first.sql']);
    await script('002-second.sql', 'alter table :"schema".first add column name text');
    expect(await run(options)).toEqual(['002-second.sql']);
    expect(await dropMigrated(client, 'a', ['a'])).toBe(true);
    expect((await client.query('select from schema_migration')).rowCount).toBe(0);
  } finally {
    await client.end();
  }
});

test('one folder serves several schemas, each with its own record', async () => {
  await script('001-first.sql', 'create schema :"schema"; create table :"schema".first (id int)');
  expect(await run({ scope: 'a', variables: { schema: 'a' } })).toHaveLength(1);
  expect(await run({ scope: 'b"b', variables: { schema: 'b"b' } })).toHaveLength(1);
  await expect(run({ scope: 'c' })).rejects.toThrow(':"schema"');
});

test('a transaction commits what resolves and rolls back what throws', async () => {
  await run();
  const pool = openPool({ ...settings(), maximum: 1 }, silentLog);
  try {
    await inTransaction(pool, (tx) => tx.query('insert into first values (1)'));
    await expect(
      inTransaction(pool, async (tx) => {
        await tx.query('insert into first values (2)');
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect((await pool.query('select id from first')).rows).toEqual([{ id: 1 }]);
  } finally {
    await pool.end();
  }
});

test('a pool outlives the death of its connections and says that the database is unavailable', async () => {
  const pool = openPool({ ...settings(), maximum: 2 }, silentLog);
  try {
    await pool.query('select 1');
    await postgres.kill('SIGKILL');
    let err: unknown = null;
    // A backend may answer once more before it notices that its server is gone.
    while (err === null) {
      err = await pool.query('select 1').then(
        () => null,
        (cause) => cause,
      );
    }
    expect(isUnavailable(err)).toBe(true);
    await postgres.restart();
    expect((await pool.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  } finally {
    await pool.end();
  }
});
