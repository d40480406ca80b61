import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { freePort } from '../local-stack/ports.ts';
import { type DelayProxy, openDelayProxy } from './delay-proxy.ts';

const LARGE = 'x'.repeat(3_000_000);
let target: Server;
let proxy: DelayProxy;
let url: string;
let asked: boolean;

beforeEach(async () => {
  asked = false;
  target = createServer((req, res) => {
    asked = true;
    res.end(req.url === '/large' ? LARGE : `you asked for ${req.url}`);
  });
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
  const port = await freePort();
  proxy = await openDelayProxy(port, (target.address() as AddressInfo).port);
  url = `http://127.0.0.1:${port}`;
});
afterEach(async () => {
  await proxy.close();
  target.closeAllConnections();
  await new Promise((resolve) => target.close(resolve));
});

const timed = async (path: string) => {
  const begin = performance.now();
  const text = await (await fetch(`${url}${path}`)).text();
  return { text, ms: performance.now() - begin };
};
const HOUR = 3_600_000;

test('without a delay answers pass unchanged', async () => {
  expect((await timed('/a')).text).toBe('you asked for /a');
  expect((await timed('/large')).text).toBe(LARGE);
});

test('an answer is held back for the delay', async () => {
  proxy.delayMs = 120;
  const { text, ms } = await timed('/b');
  expect(text).toBe('you asked for /b');
  expect(ms).toBeGreaterThanOrEqual(119);
});

test('the request itself is not held back: the target does the work', async () => {
  proxy.delayMs = HOUR;
  const leaving = new AbortController();
  const answer = fetch(`${url}/c`, { signal: leaving.signal });
  while (!asked) await new Promise((resolve) => setTimeout(resolve, 1));
  leaving.abort();
  await expect(answer).rejects.toThrow('abort');
});

test('taking the delay back while an answer waits reorders nothing', async () => {
  proxy.delayMs = 80;
  const answers = Promise.all([timed('/large'), timed('/d')]);
  while (!asked) await new Promise((resolve) => setTimeout(resolve, 1));
  proxy.delayMs = 0;
  expect((await answers).map(({ text }) => text)).toEqual([LARGE, 'you asked for /d']);
});

test('the delay ends with the next answer', async () => {
  proxy.delayMs = HOUR;
  proxy.delayMs = 0;
  expect((await timed('/e')).text).toBe('you asked for /e');
});

test('a target that is gone is a broken connection, not an empty answer', async () => {
  await timed('/warm');
  target.closeAllConnections();
  await new Promise((resolve) => target.close(resolve));
  await expect(timed('/f')).rejects.toThrow('fetch failed');
  target.listen(0);
});
