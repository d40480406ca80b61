import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type LocalPostgres, startPostgres } from '../local-stack/postgres.ts';
import { silentLog } from './log.ts';
import { openPool, type Pool } from './postgres.ts';

let folder: string;
let server: LocalPostgres;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'platform-postgres-'));
  server = await startPostgres({ dataDir: folder });
});
afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

const MOST = 3;
const open = (url = server.url('postgres'), log = silentLog): Pool =>
  openPool(
    {
      url,
      applicationName: 'spec',
      maximum: MOST + 1,
      statementTimeoutMs: 5_000,
      connectTimeoutMs: 5_000,
    },
    log,
  );

/** The sessions behind so many connections at once, by their process ids. */
async function sessions(pool: Pool, count = MOST): Promise<number[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => pool.connect()));
  const pids = await Promise.all(
    clients.map(
      async (client) => (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]!.pid,
    ),
  );
  for (const client of clients) client.release();
  return pids;
}

test('when one connection turns out to lead to a demoted server, none of the others is used again', async () => {
  const pool = open();
  try {
    const before = await sessions(pool);
    await expect(pool.query('begin read only; create table demoted ()')).rejects.toMatchObject({
      code: '25006',
    });
    const after = await sessions(pool);
    expect(after.filter((pid) => before.includes(pid))).toEqual([]);
  } finally {
    await pool.end();
  }
});

test('connections are kept after an error of a statement', async () => {
  const pool = open();
  try {
    const before = await sessions(pool);
    await expect(pool.query('select nothing')).rejects.toMatchObject({ code: '42703' });
    const after = await sessions(pool, MOST - 1);
    expect(after.filter((pid) => !before.includes(pid))).toEqual([]);
  } finally {
    await pool.end();
  }
});

test('a server that waits for its last session to leave is left as soon as it refuses one', async () => {
  const pool = open();
  try {
    await sessions(pool);
    const busy = await pool.connect();
    const { exited } = server;
    // Smart: sessions that are there may stay.
    server.kill('SIGTERM');
    const refused = async () => {
      // More than there are, so that a new one is needed.
      const asked = await Promise.allSettled(
        Array.from({ length: MOST }, () => pool.query('select pg_sleep(0.05)')),
      );
      return asked.some(({ status }) => status === 'rejected');
    };
    while (!(await refused()));
    expect((await busy.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
    busy.release();
    const began = performance.now();
    expect(await exited).toEqual({ code: 0, signal: null });
    // An idle connection would be ended after 30 s anyway.
    expect(performance.now() - began).toBeLessThan(20_000);
    await server.restart();
    expect(await sessions(pool)).toHaveLength(MOST);
  } finally {
    await pool.end();
  }
});

test('a pool whose password was changed goes on with the connections that it has, and has all again with the right one', async () => {
  const rules = join(server.pgdata, 'pg_hba.conf');
  const admin = open();
  await writeFile(rules, `host all rotated all scram-sha-256\n${await readFile(rules, 'utf8')}`);
  await admin.query("create role rotated login password 'before'");
  await admin.query('select pg_reload_conf()');
  const url = server.url('postgres', 'rotated').replace('rotated@', 'rotated:before@');
  const told: string[] = [];
  const log = { ...silentLog, warn: (...said: unknown[]) => told.push(String(said.at(-1))) };
  const pool = open(url, log as typeof silentLog);
  try {
    const [one, two] = await sessions(pool, 2);
    await admin.query("alter role rotated password 'after'");
    // More at once than there are connections.
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        pool.query<{ pid: number }>('select pg_backend_pid() as pid, pg_sleep(0.01)'),
      ),
    );
    const pids = new Set(answers.map(({ rows }) => rows[0]!.pid));
    expect([...pids].filter((pid) => pid !== one && pid !== two)).toEqual([]);
    expect(told).toEqual([expect.stringContaining('refuses another connection')]);

    await admin.query("alter role rotated password 'before'");
    const there = async () => {
      await Promise.all(Array.from({ length: MOST + 1 }, () => pool.query('select pg_sleep(0.1)')));
      return pool.totalCount;
    };
    while ((await there()) < MOST + 1);

    // With nobody left there is nobody to wait for.
    await admin.query("alter role rotated password 'after'");
    await admin.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rotated'");
    while (pool.totalCount > 0) await new Promise((resolve) => setImmediate(resolve));
    await expect(pool.query('select 1')).rejects.toMatchObject({ code: '28P01' });
  } finally {
    await pool.end();
    await admin.end();
  }
});
