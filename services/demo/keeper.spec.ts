import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { isAlive, type ManagedProcess, startProcess } from '../local-stack/process.ts';
import { Keeper } from './keeper.ts';

let folder: string;
let keeper: Keeper | undefined;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keeper-'));
});
afterEach(() => keeper?.stop());
afterAll(() => rm(folder, { recursive: true }));

const sleeper = (): Promise<ManagedProcess> =>
  startProcess({ name: 'sleeper', command: 'sleep', args: ['1000'], logFile: join(folder, 'sleeper.log') });

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('a process that is killed comes back', async () => {
  const running = await sleeper();
  keeper = new Keeper('sleeper', running, () => {});
  const first = running.pid;
  process.kill(first, 'SIGKILL');
  await until(() => running.pid !== first && keeper!.state === 'up');
  expect(isAlive(running.pid)).toBe(true);
});

test('a process held down stays down until it is brought back', async () => {
  const running = await sleeper();
  keeper = new Keeper('sleeper', running, () => {});
  keeper.holdDown();
  await until(() => keeper!.state === 'down');
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(running.starts).toBe(1);
  keeper.bringBack();
  await until(() => keeper!.state === 'up');
  expect(running.starts).toBe(2);
});

test('stopping while it is held down or waits for a restart leaves nothing behind', async () => {
  const held = await sleeper();
  keeper = new Keeper('sleeper', held, () => {});
  keeper.holdDown();
  await until(() => keeper!.state === 'down');
  await keeper.stop();
  const dying = await sleeper();
  keeper = new Keeper('sleeper', dying, () => {});
  dying.kill('SIGKILL');
  await until(() => keeper!.state === 'down');
  await keeper.stop();
  expect([held, dying].map(({ pid, starts }) => [isAlive(pid), starts])).toEqual([
    [false, 1],
    [false, 1],
  ]);
});

test('a restart that fails is tried again', async () => {
  const ended = Promise.withResolvers<{ code: null; signal: 'SIGKILL' }>();
  let attempts = 0;
  const never = new Promise<never>(() => {});
  const failing = {
    pid: 1,
    exited: ended.promise as Promise<{ code: null; signal: NodeJS.Signals }>,
    kill: () => {},
    async restart() {
      attempts += 1;
      if (attempts < 3) throw new Error('not yet');
      failing.exited = never;
    },
    stop: async () => {
      release.resolve();
    },
  };
  const release = Promise.withResolvers<void>();
  const messages: string[] = [];
  const kept = new Keeper('failing', failing, (message) => messages.push(message));
  ended.resolve({ code: null, signal: 'SIGKILL' });
  await until(() => attempts === 3 && kept.state === 'up');
  expect(messages).toEqual([
    'failing ended unasked and is started again',
    'failing could not be started: not yet',
    'failing could not be started: not yet',
  ]);
});
