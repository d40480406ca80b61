import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { freePort } from './ports.ts';
import {
  commandLine,
  isAlive,
  type ManagedProcess,
  type ProcessOptions,
  runToEnd,
  StartFailed,
  startProcess,
  stopInReverse,
} from './process.ts';

let folder: string;
const started: ManagedProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'process-spec-'));
});
afterEach(async () => {
  await stopInReverse(started.splice(0));
  rmSync(folder, { recursive: true });
});

/** A process that runs a line of JavaScript. */
async function run(script: string, options: Partial<ProcessOptions> = {}): Promise<ManagedProcess> {
  const running = await startProcess({
    name: 'child',
    command: process.execPath,
    args: ['-e', script],
    logFile: join(folder, 'child.log'),
    ...options,
  });
  started.push(running);
  return running;
}

const FOREVER = 'setInterval(() => {}, 1000);';
const server = (port: number) =>
  `require('http').createServer((q, s) => s.end()).listen(${port}, '127.0.0.1');`;

async function until(holds: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 10_000; !holds(); await delay(20)) {
    if (Date.now() > deadline) throw new Error(`still not so: ${holds}`);
  }
}

test('a process is ready when its address answers, runs under the pid told and is gone after stop', async () => {
  const port = await freePort();
  const readyUrl = `http://127.0.0.1:${port}/`;
  const child = await run(server(port), { readyUrl });
  expect((await fetch(readyUrl)).status).toBe(200);
  expect(commandLine(child.pid)).toContain('createServer');
  const { pid } = child;
  expect(await child.stop()).toEqual({ code: null, signal: 'SIGTERM' });
  expect(isAlive(pid)).toBe(false);
  expect(await child.ended).toEqual({ code: null, signal: 'SIGTERM' });
});

const onLinuxX64 = process.platform === 'linux' && process.arch === 'x64' ? test : test.skip;
onLinuxX64(
  'a process whose first thread has ended lives as long as its others, which hold its ports',
  async () => {
    // System call 60 ends the calling thread alone.
    const child = spawn('perl', [
      '-Mthreads',
      '-e',
      'threads->create(sub { <STDIN> })->detach; syscall(60, 0)',
    ]);
    await until(() => readFileSync(`/proc/${child.pid}/stat`, 'utf8').includes(') Z '));
    expect(isAlive(child.pid!)).toBe(true);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(isAlive(child.pid!)).toBe(false);
  },
);

test('a process that ends before it is ready fails the start with its last words', async () => {
  const start = run('console.error("no database at 127.0.0.1"); process.exit(3)', {
    ready: () => new Promise(() => {}),
  });
  await expect(start).rejects.toThrow(StartFailed);
  await expect(start).rejects.toThrow(/exit code 3[\s\S]*no database at 127\.0\.0\.1/);
});

test('a process that ends by itself may be done before it is ready', async () => {
  const ready = () => new Promise<void>(() => {});
  const done = await run('', { ready, endsByItself: true });
  expect(await done.exited).toEqual({ code: 0, signal: null });
  expect(done.running).toBe(false);
  await expect(run('process.exit(3)', { ready, endsByItself: true })).rejects.toThrow(StartFailed);
  await expect(run('', { ready })).rejects.toThrow(StartFailed);
});

test('a process that is not ready in time is ended', async () => {
  let pid = 0;
  const start = run(FOREVER, {
    readyTimeoutMs: 300,
    ready: (spawned) => {
      pid = spawned;
      return new Promise(() => {});
    },
  });
  await expect(start).rejects.toThrow('not ready after 300 ms');
  expect(isAlive(pid)).toBe(false);
});

test('a command that does not exist fails the start', async () => {
  const start = run('', { command: '/no/such/program', ready: () => new Promise(() => {}) });
  await expect(start).rejects.toThrow(/no\/such\/program/);
});

test('a process deaf to the stop signal is killed after the deadline, its own children too', async () => {
  const script = `process.on('SIGTERM', () => {});
    console.log(require('child_process').spawn('sleep', ['60']).pid, 'slept'); ${FOREVER}`;
  const logged = () => readFileSync(join(folder, 'child.log'), 'utf8');
  const child = await run(script, { stopTimeoutMs: 200 });
  await until(() => logged().includes('slept'));
  expect(await child.stop()).toEqual({ code: null, signal: 'SIGKILL' });
  const grandchild = Number.parseInt(logged(), 10);
  await until(() => !isAlive(grandchild));
});

test('a process frozen by SIGSTOP still stops gracefully', async () => {
  const child = await run(FOREVER);
  child.kill('SIGSTOP');
  expect(await child.stop()).toEqual({ code: null, signal: 'SIGTERM' });
});

test('with a restart policy a killed process comes back, and stop is final', async () => {
  const child = await run(FOREVER, { restart: { firstDelayMs: 10 } });
  const { pid, exited } = child;
  child.kill('SIGKILL');
  expect(await exited).toEqual({ code: null, signal: 'SIGKILL' });
  await until(() => child.running);
  expect(child.starts).toBe(2);
  expect(child.pid).not.toBe(pid);
  await child.stop();
  await delay(100);
  expect(child.running).toBe(false);
  expect(child.starts).toBe(2);
});

test('a process that keeps ending is given up after the restarts allowed', async () => {
  const told: string[] = [];
  const child = await run('process.exit(7)', {
    restart: { max: 2, firstDelayMs: 10 },
    log: (message) => told.push(message),
  });
  expect(await child.ended).toEqual({ code: 7, signal: null });
  expect(child.starts).toBe(3);
  expect(told.at(-1)).toContain('given up after 2 restarts');
});

test('stop during the wait before a restart prevents it', async () => {
  const child = await run('process.exit(7)', { restart: { firstDelayMs: 60_000 } });
  await child.exited;
  await child.stop();
  expect(child.starts).toBe(1);
});

test('restart replaces the process, also one that has ended', async () => {
  const child = await run(FOREVER);
  const first = child.pid;
  await child.restart();
  expect(isAlive(first)).toBe(false);
  const { exited } = child;
  child.kill('SIGKILL');
  await exited;
  await child.restart();
  expect(child.running).toBe(true);
  expect(child.starts).toBe(3);
});

test('the last one is stopped first, and one that fails does not keep the others up', async () => {
  const order: string[] = [];
  const one = (name: string, fails = false) => ({
    stop: async () => {
      order.push(name);
      if (fails) throw new Error(name);
    },
  });
  await expect(stopInReverse([one('a'), one('b', true), one('c')])).rejects.toThrow('1 of 3 did not stop');
  expect(order).toEqual(['c', 'b', 'a']);
});

test('a command that fails tells its output', async () => {
  await expect(runToEnd('sh', ['-c', 'echo why; exit 4'])).rejects.toThrow(/exit code 4[\s\S]*why/);
  await expect(runToEnd('/no/such/program', [])).rejects.toThrow('ENOENT');
  expect(await runToEnd('echo', ['fine'])).toBe('fine\n');
});

/** Starts a parent that starts a child and tells its pid, then waits. */
async function family(then: string): Promise<{ parent: ReturnType<typeof spawn>; child: number }> {
  const pidFile = join(folder, 'pid');
  const script = `
    import { startProcess } from ${JSON.stringify(join(import.meta.dirname, 'process.ts'))};
    import { writeFileSync } from 'node:fs';
    const child = await startProcess({ name: 'c', command: 'sleep', args: ['60'],
      logFile: ${JSON.stringify(join(folder, 'c.log'))} });
    writeFileSync(${JSON.stringify(pidFile)}, child.pid + ' ');
    ${then}`;
  const parent = spawn(process.execPath, ['--input-type=module-typescript', '-e', script]);
  await until(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8').endsWith(' '));
  return { parent, child: Number(readFileSync(pidFile, 'utf8')) };
}

test('children die with a parent that leaves by process.exit', async () => {
  const { parent, child } = await family('process.exit(0);');
  if (parent.exitCode === null) await once(parent, 'exit');
  await until(() => !isAlive(child));
});

const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux('children die with a parent that is killed with -9', async () => {
  const { parent, child } = await family(FOREVER);
  expect(isAlive(child)).toBe(true);
  parent.kill('SIGKILL');
  await until(() => !isAlive(child));
});
