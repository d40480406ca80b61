/** What a page meets at the proxies of a trial, state by state. */
import { createServer, type Server } from 'node:http';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { listen } from '#platform/listen.ts';
import { freePort } from '../../../services/local-stack/ports.ts';
import { openDatabaseProxy, openSourceProxy, type SourceProxy } from './proxies.ts';
import { visitPage } from './visit.ts';

let source: Server;
let sourcePort: number;
let proxy: SourceProxy;
beforeEach(async () => {
  source = createServer((_, res) => void res.end('the source'));
  sourcePort = await listen(source, 0, '127.0.0.1');
  proxy = await openSourceProxy(await freePort(), `http://localhost:${sourcePort}`);
});
afterEach(async () => {
  await proxy.close();
  source.closeAllConnections();
  await new Promise((resolve) => source.close(resolve));
});

const ask = async (patienceMs = 5_000) => {
  const { status, text, ms } = await visitPage(proxy.use.address, 1, patienceMs);
  return { status, text, ms };
};
const WELL = { status: 200, text: 'the source' };

test('a source is well, dead, silent, answering 500 and well again, and each connection is counted', async () => {
  expect(proxy.use.connections).toBe(0);
  expect(await ask()).toMatchObject(WELL);
  proxy.be('dead');
  expect(await ask()).toMatchObject({ status: null });
  proxy.be('silent');
  expect(await ask(200)).toMatchObject({ status: null });
  proxy.be('answering 500');
  expect(await ask()).toMatchObject({ status: 500, text: '{}' });
  proxy.be('well');
  expect(await ask()).toMatchObject(WELL);
  expect(proxy.use.connections).toBe(5);
});

test('a slow source answers two seconds late', async () => {
  proxy.be('slow');
  const answer = await ask();
  expect(answer).toMatchObject(WELL);
  expect(answer.ms).toBeGreaterThanOrEqual(1_999);
});

test('a database refuses, is silent and is well again', async () => {
  const database = await openDatabaseProxy(await freePort(), { host: '127.0.0.1', port: sourcePort });
  const connect = (patienceMs: number) => visitPage(`http://${database.use.address}`, 1, patienceMs);
  try {
    database.be('refusing connections');
    expect((await connect(5_000)).status).toBeNull();
    database.be('silent');
    expect((await connect(200)).error).toBe('none came');
    database.be('well');
    expect((await connect(5_000)).status).toBe(200);
    expect(database.use.connections).toBe(3);
  } finally {
    await database.close();
  }
});
