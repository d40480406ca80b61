import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { Locked } from './folder-lock.ts';
import { type LocalPostgres, type PostgresOptions, startPostgres } from './postgres.ts';
import { isAlive, workingDirectory } from './process.ts';

let folder: string;
let running: LocalPostgres | undefined;

beforeEach(() => {
  // Mode 0700: when root runs this, PostgreSQL's user can enter neither this folder nor find the data by its path.
  folder = mkdtempSync(join(tmpdir(), 'postgres-spec-'));
});
afterEach(async () => {
  await running?.stop();
  running = undefined;
  rmSync(folder, { recursive: true, force: true });
});

async function start(options: Partial<PostgresOptions> = {}): Promise<LocalPostgres> {
  running = await startPostgres({ dataDir: join(folder, 'pg'), ...options });
  return running;
}

async function ask(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** Every process of the server, by the folder it works in. Linux only; empty elsewhere. */
function processes(): number[] {
  if (process.platform !== 'linux') return [];
  const pgdata = join(folder, 'pg', 'pgdata');
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && workingDirectory(pid) === pgdata);
}

const KEEP = "create table kept (word text); insert into kept values ('acknowledged')";

test('what was committed survives kill -9 and a restart on the same port', async () => {
  const server = await start();
  await server.createDatabase('some "database"');
  await server.createDatabase('some "database"');
  const url = server.url('some "database"');
  await ask(url, KEEP);
  const { pid, exited } = server;
  server.kill('SIGKILL');
  expect(await exited).toEqual({ code: null, signal: 'SIGKILL' });
  await expect(ask(url, 'select 1')).rejects.toThrow();

  await server.restart();
  expect(server.pid).not.toBe(pid);
  expect(await ask(url, 'select word from kept')).toEqual([{ word: 'acknowledged' }]);
});

test('a session that is busy when the server is killed does not keep it from coming back', async () => {
  const server = await start();
  const url = server.url('postgres');
  const busy = ask(url, 'select count(*) from generate_series(1, 2000000000)').catch(() => {});
  await delay(200);
  const { exited } = server;
  server.kill('SIGKILL');
  await exited;
  await server.restart();
  expect(await ask(url, 'select 1 as one')).toEqual([{ one: 1 }]);
  await busy;
});

test('stop ends every process with sessions open, and another start finds the data', async () => {
  const first = await start();
  await ask(first.url('postgres'), KEEP);
  const client = new Client({ connectionString: first.url('postgres') });
  client.on('error', () => {});
  await client.connect();
  expect(await first.stop()).toEqual({ code: 0, signal: null });
  expect(isAlive(first.pid)).toBe(false);
  expect(processes()).toEqual([]);
  expect(readdirSync(join(folder, 'pg')).sort()).toEqual(['pgdata', 'postgres.log']);

  const second = await start();
  expect(await ask(second.url('postgres'), 'select word from kept')).toEqual([{ word: 'acknowledged' }]);
});

test('commits are durable, the address is loopback only, and settings can be given', async () => {
  const server = await start({ settings: { work_mem: '5MB' } });
  const [row] = await ask(
    server.url('postgres'),
    `select current_setting('fsync') as fsync, current_setting('full_page_writes') as pages,
       current_setting('synchronous_commit') as commit, current_setting('listen_addresses') as address,
       current_setting('work_mem') as work_mem, lower('ÄÖ') as lower`,
  );
  expect(row).toEqual({
    fsync: 'on',
    pages: 'on',
    commit: 'on',
    address: '127.0.0.1',
    work_mem: '5MB',
    lower: 'äö',
  });
});

test('a data folder in use by a living process is refused', async () => {
  const server = await start();
  await expect(startPostgres({ dataDir: join(folder, 'pg') })).rejects.toThrow(Locked);
  expect(isAlive(server.pid)).toBe(true);
});

test('a setting the server does not know fails the start with its words, and leaves no lock', async () => {
  await expect(start({ settings: { no_such_setting: 1 } })).rejects.toThrow(
    /unrecognized configuration parameter "no_such_setting"/,
  );
  await start();
});

test('a standby follows its server, also after either was away, and takes writes once it is promoted', async () => {
  const primary = await start();
  const standby = await startPostgres({ dataDir: join(folder, 'standby'), standbyOf: primary });
  try {
    await ask(primary.url('postgres'), KEEP);
    const follows = async (words: number) => {
      for (const deadline = Date.now() + 20_000; Date.now() < deadline; await delay(20)) {
        const rows = await ask(standby.url('postgres'), 'select word from kept').catch(() => []);
        if (rows.length === words) return;
      }
      throw new Error('does not follow');
    };
    await follows(1);
    await standby.restart();
    await primary.restart();
    await ask(primary.url('postgres'), "insert into kept values ('later')");
    await follows(2);

    primary.killAll('SIGKILL');
    await standby.promote();
    await ask(standby.url('postgres'), "insert into kept values ('after')");
    await standby.restart();
    await follows(3);
  } finally {
    await standby.stop();
  }
});

test('data of another version is refused by name', async () => {
  await (await start()).stop();
  writeFileSync(join(folder, 'pg', 'pgdata', 'PG_VERSION'), '9\n');
  await expect(start()).rejects.toThrow(/was made by PostgreSQL 9 and this is \d+/);
});

test('an initialisation that was cut short is begun anew', async () => {
  mkdirSync(join(folder, 'pg', 'pgdata.unfinished'), { recursive: true });
  writeFileSync(join(folder, 'pg', 'pgdata.unfinished', 'half'), '');
  await start();
  expect(existsSync(join(folder, 'pg', 'pgdata.unfinished'))).toBe(false);
});

test('with a restart policy a killed server comes back by itself', async () => {
  const server = await start({ restart: { firstDelayMs: 10 } });
  const { exited } = server;
  server.kill('SIGKILL');
  await exited;
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await delay(50)) {
    const [row] = await ask(server.url('postgres'), 'select 1 as one').catch(() => []);
    if (row) return;
  }
  throw new Error('did not come back');
});

test('a server whose parent was killed is stopped, and a new one finds the data', async () => {
  // A setpriv that refuses stands for a system without it: there the server outlives its parent.
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'setpriv'), '#!/bin/sh\nexit 1\n');
  chmodSync(join(bin, 'setpriv'), 0o755);
  const told = join(folder, 'told');
  const script = `
    import { startPostgres } from ${JSON.stringify(join(import.meta.dirname, 'postgres.ts'))};
    import { writeFileSync } from 'node:fs';
    const server = await startPostgres({ dataDir: ${JSON.stringify(join(folder, 'pg'))} });
    writeFileSync(${JSON.stringify(told)}, server.pid + ' ' + server.url('postgres') + ' end');
    setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    env: { ...process.env, PATH: `${bin}:${process.env['PATH']}` },
  });
  while (!existsSync(told) || !readFileSync(told, 'utf8').endsWith('end')) await delay(20);
  const [pid, url] = readFileSync(told, 'utf8').split(' ');
  await ask(url ?? '', KEEP);
  parent.kill('SIGKILL');
  await once(parent, 'exit');
  expect(isAlive(Number(pid))).toBe(true);

  const messages: string[] = [];
  const server = await start({ log: (message) => messages.push(message) });
  expect(messages.join('\n')).toContain(`pid ${pid}: stopping it`);
  expect(isAlive(Number(pid))).toBe(false);
  expect(await ask(server.url('postgres'), 'select word from kept')).toEqual([{ word: 'acknowledged' }]);
});

test('a stale pid file that names a foreign process harms neither', async () => {
  await (await start()).stop();
  const stale = [process.pid, '/elsewhere', 1, 5432, '', '127.0.0.1', '', 'ready'].join('\n');
  writeFileSync(join(folder, 'pg', 'pgdata', 'postmaster.pid'), stale);
  await start();
});
