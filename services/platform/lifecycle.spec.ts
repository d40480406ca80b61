import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from '@jest/globals';
import { DeadlineExceeded, pause, Releases, within } from './lifecycle.ts';
import { silentLog } from './log.ts';

test('releases run in reverse order, and one that fails does not keep the others from running', async () => {
  const order: string[] = [];
  const releases = new Releases(silentLog);
  releases.push('first', () => order.push('first'));
  releases.push('second', () => Promise.reject(new Error('stuck')));
  releases.push('third', async () => order.push('third'));
  await releases.unwind();
  expect(order).toEqual(['third', 'first']);
});

test('a release that hangs is left behind at its deadline', async () => {
  const order: string[] = [];
  const releases = new Releases(silentLog);
  releases.push('first', () => order.push('first'));
  releases.push('hangs', () => new Promise(() => {}));
  await releases.unwind(20);
  expect(order).toEqual(['first']);
});

test('a promise that outlives its deadline rejects with what it was', async () => {
  await expect(within(10, 'the answer', new Promise(() => {}))).rejects.toThrow(DeadlineExceeded);
  await expect(within(10, 'the answer', new Promise(() => {}))).rejects.toThrow(
    'the answer took longer than 10 ms',
  );
  await expect(within(1_000, 'the answer', Promise.resolve(42))).resolves.toBe(42);
});

test('a pause ends as soon as it is aborted', async () => {
  const controller = new AbortController();
  const paused = pause(60_000, controller.signal);
  controller.abort();
  await paused;
  await pause(60_000, controller.signal);
});

describe('the status a process ends with', () => {
  const LIFECYCLE = new URL('./lifecycle.ts', import.meta.url).href;
  /** Runs a role that starts as the text says, sends SIGTERM once it speaks, and resolves to its status. */
  const endOf = async (start: string, signal = true) => {
    const script = `const { runRole } = await import('${LIFECYCLE}');
      const log = { info() {}, error() {}, fatal() {} };
      setInterval(() => {}, 1_000);
      await runRole(log, async () => { setTimeout(() => console.log('here'), 10); ${start} });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { env: {} });
    child.stdout.once('data', () => signal && child.kill('SIGTERM'));
    const [code] = (await once(child, 'exit')) as [number | null];
    return code;
  };

  test.each([
    ['0 for a role that serves', `return 'running';`, 0],
    ['143 for work that was cut short: it is not done', 'return new Promise(() => {});', 143],
  ])('after SIGTERM is %s', async (_, start, status) => {
    expect(await endOf(start)).toBe(status);
  });

  test.each([
    ['0 for work that is done', `return 'done';`, 0],
    ['1 for work that failed', `throw new Error('wrong');`, 1],
  ])('by itself is %s', async (_, start, status) => {
    expect(await endOf(start, false)).toBe(status);
  });
});

test('whoever reads the log slowly gets all of it, the last lines of a process included', async () => {
  const program = `
    const { runRole } = await import(${JSON.stringify(new URL('./lifecycle.ts', import.meta.url).href)});
    const { openLog } = await import(${JSON.stringify(new URL('./log.ts', import.meta.url).href)});
    const log = openLog('spec');
    await runRole(log, async () => {
      for (let i = 0; i < 2_000; i++) {
        log.info({ i, text: 'x'.repeat(150) }, 'line');
        if (i % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      log.info('the last of it');
      return 'done';
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    child.stdout.pause();
    setTimeout(() => child.stdout.resume(), 20);
  });
  const [code] = (await once(child, 'close')) as [number];
  expect(code).toBe(0);
  const messages = output
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { msg: string }).msg);
  expect(messages.filter((msg) => msg === 'line')).toHaveLength(2_000);
  expect(messages.slice(-3)).toEqual(['the last of it', 'stopping', 'stopped']);
});
