/** What a page meets at the proxies of a trial, state by state. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { Worker } from 'node:worker_threads';
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
  const { status, text, ms } = await visitPage(proxy.address, 1, patienceMs);
  return { status, text, ms };
};
const WELL = { status: 200, text: 'the source' };

test('a source is well, dead, silent, answering 500 and well again, and each connection is counted', async () => {
  expect((await proxy.use()).connections).toBe(0);
  expect(await ask()).toMatchObject(WELL);
  await proxy.be('dead');
  expect(await ask()).toMatchObject({ status: null });
  await proxy.be('silent');
  expect(await ask(200)).toMatchObject({ status: null });
  await proxy.be('answering 500');
  expect(await ask()).toMatchObject({ status: 500, text: '{}' });
  await proxy.be('well');
  expect(await ask()).toMatchObject(WELL);
  expect((await proxy.use()).connections).toBe(5);
});

test('a slow source answers two seconds late', async () => {
  await proxy.be('slow');
  const answer = await ask();
  expect(answer).toMatchObject(WELL);
  expect(answer.ms).toBeGreaterThanOrEqual(1_999);
});

test('a database refuses, is silent and is well again', async () => {
  const database = await openDatabaseProxy(await freePort(), { host: '127.0.0.1', port: sourcePort });
  const connect = (patienceMs: number) => visitPage(`http://${database.address}`, 1, patienceMs);
  try {
    await database.be('refusing connections');
    expect((await connect(5_000)).status).toBeNull();
    await database.be('silent');
    expect((await connect(200)).error).toBe('none came');
    await database.be('well');
    expect((await connect(5_000)).status).toBe(200);
    expect((await database.use()).connections).toBe(3);
  } finally {
    await database.close();
  }
});

test('what keeps the trial busy does not keep the page waiting', async () => {
  const page = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads');
    const began = performance.now();
    fetch(workerData).then((answer) => answer.text()).then((text) => parentPort.postMessage({ text, ms: performance.now() - began }));`,
    { eval: true, workerData: proxy.address },
  );
  // The source answers in this thread: behind a proxy that says 500 nobody needs it.
  await proxy.be('answering 500');
  const answered = once(page, 'message');
  const until = performance.now() + 1_500;
  while (performance.now() < until);
  const [{ text, ms }] = (await answered) as [{ text: string; ms: number }];
  expect(text).toBe('{}');
  expect(ms).toBeLessThan(1_000);
});

test('a port that is taken is named', async () => {
  await expect(openSourceProxy(sourcePort, proxy.address)).rejects.toThrow(String(sourcePort));
});
