import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import express from 'express';
import type { Log } from './log.ts';
import { openHiddenProxies } from './trusted-proxies.ts';

const servers: Server[] = [];
const warnings: unknown[] = [];
const log = { warn: (...said: unknown[]) => void warnings.push(said) } as unknown as Log;
let [direct, proxied] = ['', ''];

async function start(trusted: readonly string[]): Promise<string> {
  const app = express().set('trust proxy', trusted.length > 0 ? [...trusted] : false);
  const isHidden = openHiddenProxies(log);
  app.use((req, res) => void res.json(isHidden(req)));
  const server = app.listen(0, '127.0.0.1');
  servers.push(server);
  await new Promise((resolve) => server.once('listening', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
const ask = async (url: string, headers: Record<string, string> = {}) =>
  (await fetch(url, { headers })).json();
const THROUGH = { 'x-forwarded-for': '203.0.113.7' };

beforeAll(async () => {
  [direct, proxied] = [await start([]), await start(['loopback'])];
});
beforeEach(() => {
  warnings.length = 0;
});
afterAll(() => {
  for (const server of servers) server.close();
});

test('whoever comes by a proxy that nobody named is told, once a minute', async () => {
  expect([await ask(direct), warnings]).toEqual([false, []]);
  expect([await ask(direct, THROUGH), await ask(direct, THROUGH)]).toEqual([true, true]);
  expect(warnings).toEqual([
    [{ through: '127.0.0.1' }, expect.stringContaining('TC_TRUSTED_PROXIES does not name')],
  ]);
});

test('behind one that is named, nobody is hidden', async () => {
  expect([await ask(proxied), await ask(proxied, THROUGH), warnings]).toEqual([false, false, []]);
});
