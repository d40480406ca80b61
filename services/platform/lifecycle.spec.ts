import { expect, test } from '@jest/globals';
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
