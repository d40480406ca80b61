import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type LocalPostgres, startPostgres } from '../local-stack/postgres.ts';
import { silentLog } from './log.ts';
import { migrate } from './migrations.ts';
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

test('an older program refuses a database that is ahead of it', async () => {
  await script('002-second.sql', 'select 1');
  await run();
  await rm(new URL('002-second.sql', scripts));
  await expect(run()).rejects.toThrow('run a version at least as new');
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
