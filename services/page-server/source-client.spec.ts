import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { afterEach, expect, test } from '@jest/globals';
import { openCallerIdentity } from '#pages/caller-identity.ts';
import { drain, listen } from '#platform/listen.ts';
import { silentLog } from '#platform/log.ts';
import { openMetrics } from '#platform/metrics.ts';
import { NO_SPAN } from '#platform/span.ts';
import { openSource, type Source } from './source-client.ts';

const LIST = { sellerId: 1, version: 3, updatedAt: '2026-11-01T10:00:00.000Z', clients: [] as unknown[] };
const SPOTIFY = { id: 'a', name: 'Spotify', industry: '', description: '', logo: null, from: null, to: null };

let server: Server;
let source: Source;
let calls = 0;

async function against(
  answer: (req: IncomingMessage, res: ServerResponse) => void,
  { concurrency = 8, breakMs = 60_000 } = {},
): Promise<ReturnType<typeof openMetrics>> {
  calls = 0;
  server = createServer((req, res) => {
    calls += 1;
    answer(req, res);
  });
  const metrics = openMetrics({ processMetrics: false });
  const port = await listen(server, 0, '127.0.0.1');
  const deps = { log: silentLog, metrics };
  const identity = openCallerIdentity(null, 'gig', deps);
  const url = `http://127.0.0.1:${port}/base/`;
  source = openSource({ url, concurrency, breakMs, identity }, 'gig', deps);
  return metrics;
}
const json =
  (body: unknown, status = 200) =>
  (_: IncomingMessage, res: ServerResponse) =>
    void res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
const call = (deadlineMs = 1_000) => ({ deadlineMs, requestId: 'r', span: NO_SPAN });

afterEach(async () => {
  await source.close();
  server.closeAllConnections();
  await drain(server);
});

test('an answer is a list, with its version and when that was committed', async () => {
  let path: string | undefined;
  await against((req, res) => {
    path = req.url;
    json({ ...LIST, clients: [SPOTIFY] })(req, res);
  });
  expect(await source.list(1, call())).toEqual({
    result: 'ok',
    value: {
      sellerId: 1,
      version: 3,
      committedAt: Date.parse(LIST.updatedAt),
      clients: [SPOTIFY],
      total: 1,
    },
  });
  expect(path).toBe('/base/v1/sellers/1/top-clients');
});

test.each([
  ['a status that is not 200', json(LIST, 500)],
  ['the list of another seller', json({ ...LIST, sellerId: 2 })],
  ['a version that is no number', json({ ...LIST, version: '3' })],
  ['a client without a name', json({ ...LIST, clients: [{ id: 'a' }] })],
  ['a name that is no text', json({ ...LIST, clients: [{ ...SPOTIFY, name: { html: '<b>' } }] })],
  ['more clients than a seller may have', json({ ...LIST, clients: Array(21).fill(SPOTIFY) })],
  ['null', json(null)],
  ['what is not JSON', (_: IncomingMessage, res: ServerResponse) => void res.end('<html>')],
  [
    'half an answer',
    (_: IncomingMessage, res: ServerResponse) => {
      res.writeHead(200, { 'content-length': '100' }).write('{');
      res.destroy();
    },
  ],
  ['a closed connection', (req: IncomingMessage) => void req.socket.destroy()],
])('%s is an error, not an exception', async (_, answer) => {
  await against(answer);
  expect(await source.list(1, call())).toEqual({ result: 'error' });
});

test.each([
  ['no answer', () => {}],
  [
    'an answer whose body never ends',
    (_: IncomingMessage, res: ServerResponse) => {
      res.writeHead(200, { 'content-type': 'application/json' }).write('{"sellerId":');
    },
  ],
])('the deadline ends the wait for %s', async (_, answer) => {
  await against(answer);
  const began = performance.now();
  expect(await source.list(1, call(60))).toEqual({ result: 'timeout' });
  expect(performance.now() - began).toBeGreaterThanOrEqual(55);
});

test('calls beyond the limit wait in a short queue within their deadline, and those beyond that are rejected', async () => {
  await against(() => {}, { concurrency: 2 });
  const answers = await Promise.all(Array.from({ length: 7 }, () => source.list(1, call(80))));
  const count = (result: string) => answers.filter((one) => one.result === result).length;
  expect({ timeout: count('timeout'), rejected: count('rejected') }).toEqual({ timeout: 4, rejected: 3 });
});

test('after repeated failures the source is left alone, one call tries, and its success lets all through again', async () => {
  let healthy = false;
  const metrics = await against((req, res) => json(healthy ? LIST : {}, healthy ? 200 : 503)(req, res), {
    breakMs: 50,
  });
  const results = [];
  for (let i = 0; i < 8; i++) results.push((await source.list(1, call())).result);
  expect(results).toEqual(['error', 'error', 'error', 'error', 'error', 'open', 'open', 'open']);
  expect(calls).toBe(5);
  expect(await metrics.registry.getSingleMetricAsString('topclients_page_breaker_open')).toContain(
    '{page="gig"} 1',
  );

  healthy = true;
  let first: string;
  // Opens on its own after 50 ms; until then calls are refused at once.
  do first = (await source.list(1, call())).result;
  while (first === 'open' && (await new Promise((resolve) => setImmediate(() => resolve(true)))));
  expect(first).toBe('ok');
  expect(await Promise.all([1, 2, 3].map(async () => (await source.list(1, call())).result))).toEqual([
    'ok',
    'ok',
    'ok',
  ]);
  expect(await metrics.registry.getSingleMetricAsString('topclients_page_breaker_open')).toContain(
    '{page="gig"} 0',
  );
});

test('while one call tries the source, the others are not kept waiting for it', async () => {
  let hang = false;
  await against((req, res) => (hang ? undefined : json({}, 500)(req, res)), { breakMs: 0 });
  for (let i = 0; i < 5; i++) await source.list(1, call());
  hang = true;
  const trying = source.list(1, call(200));
  const others = await Promise.all([source.list(1, call(5_000)), source.list(1, call(5_000))]);
  expect(others).toEqual([{ result: 'open' }, { result: 'open' }]);
  expect(await trying).toEqual({ result: 'timeout' });
});

test('many sellers are asked for at once, and an answer that lacks one is an error', async () => {
  const bodies: string[] = [];
  await against((req, res) => {
    let body = '';
    req.on('data', (chunk) => {
      body += chunk;
    });
    req.on('end', () => {
      bodies.push(`${req.method} ${req.url} ${body}`);
      json({ sellers: [LIST, { ...LIST, sellerId: 2 }] })(req, res);
    });
  });
  const answer = await source.lists([1, 2], call());
  expect(answer.result === 'ok' && [...answer.value.keys()]).toEqual([1, 2]);
  expect(bodies).toEqual(['POST /base/v1/top-clients/batch-get {"sellerIds":[1,2]}']);
  expect(await source.lists([1, 2, 3], call())).toEqual({ result: 'error' });
});

test('lists that had no room in an answer are asked for again, within the same deadline', async () => {
  const asked: string[] = [];
  await against((req, res) => {
    let body = '';
    req.on('data', (chunk) => {
      body += chunk;
    });
    req.on('end', () => {
      asked.push(body);
      const [sellerId, ...remaining] = (JSON.parse(body) as { sellerIds: number[] }).sellerIds;
      if (asked.length < 3) json({ sellers: [{ ...LIST, sellerId }], remaining })(req, res);
    });
  });
  const answer = await source.lists([1, 2, 3, 2], { ...call(), deadlineMs: 300 });
  // The third is not answered: what came is shown.
  expect(answer.result === 'ok' && [...answer.value.keys()]).toEqual([1, 2]);
  expect(asked).toEqual(['{"sellerIds":[1,2,3]}', '{"sellerIds":[2,3]}', '{"sellerIds":[3]}']);
});
