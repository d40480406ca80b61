import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { isAlive, startProcess, startTime } from '../local-stack/process.ts';
import { openDataFolder, runningIn } from './data-folder.ts';
import { UsageError } from './options.ts';

let parent: string;
let path: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'data-folder-'));
  path = join(parent, 'data');
});
afterEach(() => rm(parent, { recursive: true }));

const open = (sellers?: number) => openDataFolder(path, sellers, () => {});

test('a new folder gets the wanted number of sellers, and a later start takes it from there', async () => {
  const first = await open(300);
  expect(first).toMatchObject({ sellers: 300, reused: false });
  await first.mark();
  await first.close();
  const second = await open();
  expect(second).toMatchObject({ sellers: 300, reused: true });
  await second.close();
});

test('a start that failed before it marked the folder leaves it as new', async () => {
  await (await open(300)).close();
  expect(await readdir(path)).toEqual([]);
  const again = await open();
  expect(again).toMatchObject({ sellers: 20_000, reused: false });
  await again.close();
});

test('another number of sellers, another folder’s contents and a running demo are refused with what to do', async () => {
  const running = await open(300);
  await running.mark();
  expect(await runningIn(path)).toBe(process.pid);
  await expect(open()).rejects.toThrow(/a demo runs in .*make demo-stop/);
  await running.close();
  expect(await runningIn(path)).toBeUndefined();
  await expect(open(500)).rejects.toThrow(/holds 300 sellers: leave --sellers away, or delete the folder/);
  await writeFile(join(parent, 'thesis.odt'), '');
  await expect(openDataFolder(parent, undefined, () => {})).rejects.toThrow(UsageError);
});

test('what a killed demo left running is ended, what only has its pid is not', async () => {
  const orphan = await startProcess({
    name: 'orphan',
    command: 'sleep',
    args: ['1000'],
    logFile: join(parent, 'log'),
  });
  const before = await open(300);
  await before.mark();
  await before.record('orphan', orphan.pid);
  await before.close();
  // As after kill -9: the record is still there. The second line is this very process under another start time.
  await writeFile(
    join(path, 'processes'),
    `${orphan.pid} ${startTime(orphan.pid)} orphan\n${process.pid} 1 reused\n`,
  );
  const after = await open();
  expect(isAlive(orphan.pid)).toBe(false);
  await after.close();
});

test('the one server of a demo of before becomes that of the source', async () => {
  const before = await open(300);
  await before.mark();
  await before.close();
  await mkdir(join(path, 'postgres', 'pgdata'), { recursive: true });
  await (await open()).close();
  expect(await readdir(path)).toEqual(['demo.json', 'postgres-source']);
});

test('Kafka and PostgreSQL of a killed demo have ended before anybody looks at their ports', async () => {
  const before = await open(300);
  await before.mark();
  await before.close();
  const [broker, server] = [join(path, 'kafka'), join(path, 'postgres-pages', 'pgdata')];
  for (const folder of [broker, server]) await mkdir(folder, { recursive: true });
  const slow = "trap 'sleep 0.5; exit' TERM INT; while :; do sleep 0.05; done";
  const kafka = spawn('bash', ['-c', slow, 'kafka.Kafka', join(broker, 'server.properties')]);
  const postgres = spawn('bash', ['-c', slow], { argv0: 'postgres', cwd: server });
  await writeFile(join(broker, 'kafka.pid'), String(kafka.pid));
  await writeFile(join(server, 'postmaster.pid'), `${postgres.pid}\n`);
  try {
    const after = await open();
    expect([kafka, postgres].map(({ pid }) => isAlive(pid!))).toEqual([false, false]);
    await after.close();
  } finally {
    for (const left of [kafka, postgres]) left.kill('SIGKILL');
  }
});
