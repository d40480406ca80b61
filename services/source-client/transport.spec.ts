import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { afterEach, expect, test } from '@jest/globals';
import { problem } from '#contracts/problems.ts';
import { drain, listen } from '#platform/listen.ts';
import { silentLog } from '#platform/log.ts';
import { openMetrics } from '#role/metrics.ts';
import type { SourceAnswer } from './answer.ts';
import { plainIdentity } from './caller-identity.ts';
import { observePage } from './source-metrics.ts';
import { type Call, openTransport, type SourceRequest, type Transport } from './transport.ts';

let server: Server;
let transport: Transport;
let calls = 0;

type Answers = (req: IncomingMessage, res: ServerResponse) => void;

async function against(answer: Answers, { concurrency = 8, breakMs = 60_000 } = {}) {
  calls = 0;
  server = createServer((req, res) => {
    calls += 1;
    answer(req, res);
  });
  const metrics = openMetrics({ processMetrics: false });
  const url = `http://127.0.0.1:${await listen(server, 0, '127.0.0.1')}`;
  const settings = { url, concurrency, breakMs, identity: plainIdentity('gig.proof') };
  transport = openTransport(settings, silentLog, observePage('gig', metrics));
  const has = async (name: string, value: number) =>
    (await metrics.registry.getSingleMetricAsString(name)).includes(`{page="gig"} ${value}`);
  return {
    isOpen: () => has('topclients_page_breaker_open', 1),
    hasResent: (times: number) => has('topclients_page_source_requests_resent_total', times),
  };
}
const json =
  (body: unknown, status = 200): Answers =>
  (_, res) =>
    void res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));

const READ: SourceRequest<unknown> = { method: 'GET', path: '/x', read: (body) => body };
const ask = (deadlineMs = 1_000, more: Partial<Call> = {}): Promise<SourceAnswer<unknown>> =>
  transport.ask(READ, { deadlineMs, ...more });
const outcomes = async (asked: Promise<SourceAnswer<unknown>>[]) =>
  (await Promise.all(asked)).map(({ outcome }) => outcome);

afterEach(async () => {
  await transport.close();
  server.closeAllConnections();
  await drain(server);
});

test('a call says who asks, under which id, and goes below the base address', async () => {
  let seen: unknown;
  await against((req, res) => {
    const { 'x-request-id': id, 'top-clients-caller': who, 'if-match': ifMatch } = req.headers;
    seen = [req.method, req.url, id, who, ifMatch];
    json({ is: 'here' })(req, res);
  });
  const asked = { ...READ, headers: { 'if-match': '"4"' } };
  expect(await transport.ask(asked, { deadlineMs: 1_000, requestId: 'r-1' })).toEqual({
    outcome: 'ok',
    value: { is: 'here' },
  });
  expect(seen).toEqual(['GET', '/v1/x', 'r-1', 'gig.proof', '"4"']);
});

test('a refusal comes back with its problem and the time to wait', async () => {
  const refusal = problem('too-many-requests', 'wait');
  await against((req, res) => {
    res.setHeader('retry-after', '9');
    json(refusal, 429)(req, res);
  });
  expect(await ask()).toEqual({ outcome: 'refused', problem: refusal, retryAfterSeconds: 9 });
});

test.each<[string, Answers]>([
  ['a closed connection', (req) => void req.socket.destroy()],
  ['a 503', json(problem('unavailable', 'down'), 503)],
  ['a redirect', (_, res) => void res.writeHead(302, { location: '/y' }).end()],
  ['a refusal of somebody else', (_, res) => void res.writeHead(400).end('<html>a proxy</html>')],
  ['what is not JSON', (_, res) => void res.end('<html>')],
  [
    'half an answer',
    (_, res) => {
      res.writeHead(200, { 'content-length': '100' }).write('{');
      res.destroy();
    },
  ],
])('%s leaves open what was done', async (_, answer) => {
  await against(answer);
  expect(await ask()).toMatchObject({ outcome: 'unknown', mayHaveArrived: true });
});

/** Answers the first request of each connection, and closes the connection when a second one comes. */
const once: Answers = (req, res) => {
  if (met.has(req.socket)) return void req.socket.destroy();
  met.add(req.socket);
  json({})(req, res);
};
const met = new WeakSet<object>();

test.each([
  ['a GET', READ],
  ['a POST that reads', { ...READ, method: 'POST', isRead: true, body: '{}' } as const],
])('%s is sent again when the source closes a kept connection before it answers', async (_, read) => {
  const { hasResent } = await against(once, { concurrency: 1 });
  for (let i = 0; i < 3; i++) {
    expect(await transport.ask(read, { deadlineMs: 1_000 })).toEqual({ outcome: 'ok', value: {} });
  }
  expect(await hasResent(2)).toBe(true);
  expect(calls).toBe(5);
});

test('a write is not: the source may have heard it', async () => {
  const { hasResent } = await against(once, { concurrency: 1 });
  const write = { ...READ, method: 'POST', body: '{}' } as const;
  expect((await transport.ask(write, { deadlineMs: 1_000 })).outcome).toBe('ok');
  expect(await transport.ask(write, { deadlineMs: 1_000 })).toMatchObject({
    outcome: 'unknown',
    mayHaveArrived: true,
  });
  expect(await hasResent(0)).toBe(true);
});

test('a read whose every connection is closed is given up after the second', async () => {
  const { hasResent } = await against((req) => void req.socket.destroy());
  expect((await ask()).outcome).toBe('unknown');
  expect(await hasResent(1)).toBe(true);
  expect(calls).toBe(2);
});

test('nobody there means that nothing was sent', async () => {
  await against(() => {});
  await new Promise((resolve) => server.close(resolve));
  expect(await ask()).toMatchObject({ outcome: 'unreachable', mayHaveArrived: false });
  server.listen();
});

test('an answer that does not end is let go at its largest size', async () => {
  let sent = 0;
  const piece = Buffer.alloc(1024 * 1024, ' ');
  await against((_, res) => {
    const send = () => {
      while (sent < 100 && !res.destroyed) {
        sent += 1;
        if (!res.write(piece)) return void res.once('drain', send);
      }
      res.end('{}');
    };
    res.writeHead(200, { 'content-type': 'application/json' });
    send();
  });
  expect(await ask(10_000)).toMatchObject({ outcome: 'unknown', mayHaveArrived: true });
  expect(sent).toBeLessThan(50);
});

test.each<[string, Answers]>([
  ['no answer', () => {}],
  [
    'a body that stalls',
    (_, res) => void res.writeHead(200, { 'content-type': 'application/json' }).write('{"sellerId":'),
  ],
])('the deadline ends the wait for %s', async (_, answer) => {
  await against(answer);
  const began = performance.now();
  expect(await ask(60)).toMatchObject({ outcome: 'timeout', mayHaveArrived: true });
  expect(performance.now() - began).toBeGreaterThanOrEqual(55);
});

test('a call without time left is not sent, and not held against the source', async () => {
  await against(json({}));
  for (const deadlineMs of [0, -5, 0, 0, 0, 0]) {
    expect(await ask(deadlineMs)).toMatchObject({ outcome: 'timeout', mayHaveArrived: false });
  }
  expect(calls).toBe(0);
  expect((await ask()).outcome).toBe('ok');
});

test('calls beyond the limit wait in a short queue within their deadline, and those beyond that are rejected', async () => {
  await against(() => {}, { concurrency: 2 });
  const answers = await Promise.all([120, 120, 60, 60, 60, 60, 60].map((deadlineMs) => ask(deadlineMs)));
  expect(answers.map((one) => [one.outcome, 'mayHaveArrived' in one && one.mayHaveArrived])).toEqual([
    ...Array(2).fill(['timeout', true]),
    ...Array(2).fill(['timeout', false]),
    ...Array(3).fill(['rejected', false]),
  ]);
  expect(calls).toBe(2);
});

test('a call that is given up frees its slot at once, and one that was waiting is never sent', async () => {
  let isStuck = true;
  await against((req, res) => (isStuck ? undefined : json({})(req, res)), { concurrency: 1 });
  const leaving = new AbortController();
  const [first, second] = [ask(10_000, { signal: leaving.signal }), ask(10_000, { signal: leaving.signal })];
  while (calls === 0) await new Promise((resolve) => setImmediate(resolve));
  isStuck = false;
  leaving.abort();
  expect(await first).toMatchObject({ outcome: 'timeout', mayHaveArrived: true });
  expect(await second).toMatchObject({ outcome: 'timeout', mayHaveArrived: false });
  // The place in the queue is given back a moment after the slot.
  await new Promise((resolve) => setImmediate(resolve));
  expect((await ask(5_000)).outcome).toBe('ok');
  expect((await ask(5_000, { signal: leaving.signal })).outcome).toBe('timeout');
  expect(calls).toBe(2);
});

test('after repeated failures the source is left alone, one call tries, and its success lets all through again', async () => {
  let healthy = false;
  const { isOpen } = await against((req, res) => json({}, healthy ? 200 : 503)(req, res), { breakMs: 50 });
  const results = [];
  for (let i = 0; i < 8; i++) results.push((await ask()).outcome);
  expect(results).toEqual([...Array(5).fill('unknown'), 'open', 'open', 'open']);
  expect(calls).toBe(5);
  expect(await isOpen()).toBe(true);

  healthy = true;
  let first: string;
  // Half-open by itself after 50 ms; until then calls are refused at once.
  do first = (await ask()).outcome;
  while (first === 'open' && (await new Promise((resolve) => setImmediate(() => resolve(true)))));
  expect(first).toBe('ok');
  expect(await outcomes([ask(), ask(), ask()])).toEqual(['ok', 'ok', 'ok']);
  expect(await isOpen()).toBe(false);
});

test('a half-open breaker lets one call through, and the others are not kept waiting for it', async () => {
  let isStuck = false;
  await against((req, res) => (isStuck ? undefined : json({}, 500)(req, res)), { breakMs: 0 });
  for (let i = 0; i < 5; i++) await ask();
  isStuck = true;
  const trying = ask(200);
  expect(await outcomes([ask(5_000), ask(5_000)])).toEqual(['open', 'open']);
  expect((await trying).outcome).toBe('timeout');
  expect(calls).toBe(6);
});

test('refusals and calls that were never sent do not open the breaker', async () => {
  await against(json(problem('duplicate-client', 'is there'), 409), { concurrency: 1 });
  for (let i = 0; i < 10; i++) expect((await ask()).outcome).toBe('refused');
  const all = await outcomes(Array.from({ length: 10 }, () => ask()));
  expect(new Set(all)).toEqual(new Set(['refused', 'rejected']));
  expect((await ask()).outcome).toBe('refused');
});
