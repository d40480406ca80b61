import { createServer, type RequestListener, type Server } from 'node:http';
import { afterEach, expect, test } from '@jest/globals';
import { problem } from '#contracts/problems.ts';
import { credentialOf } from '#platform/caller-credential.ts';
import { listen } from '#platform/listen.ts';
import { silentLog } from '#platform/log.ts';
import { openMetrics } from '#platform/metrics.ts';
import { openCallerIdentity } from '../source-client/caller-identity.ts';
import { openSourceOfTruth, type SourceOfTruth, type WriteTerms } from './source-of-truth.ts';

const CREDENTIAL = credentialOf('k'.repeat(32), 'self-view');
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function sourceThat(
  answers: RequestListener,
): Promise<{ source: SourceOfTruth; server: Server; url: string }> {
  const server = createServer(answers);
  const url = `http://127.0.0.1:${await listen(server, 0, '127.0.0.1')}`;
  const deps = { log: silentLog, metrics: openMetrics({ processMetrics: false }) };
  const source = openSourceOfTruth(url, openCallerIdentity(CREDENTIAL, 'self-view', deps));
  ends.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  ends.push(() => source.close());
  return { source, server, url };
}

const terms = (signal = AbortSignal.timeout(2_000)): WriteTerms => ({
  token: 'the.seller.token',
  ifMatch: 4,
  idempotencyKey: 'key-1',
  signal,
});
const client = { name: 'Spotify', industry: '', description: '', logo: null, from: null, to: null };

test('a write carries the token, the version it was made for and its key', async () => {
  let seen: unknown;
  const { source } = await sourceThat((req, res) => {
    const { authorization, 'if-match': ifMatch, 'idempotency-key': key, 'content-type': type } = req.headers;
    seen = [req.method, req.url, authorization, ifMatch, key, type];
    res.writeHead(200, { etag: '"5"', 'content-type': 'application/json' }).end('{"id":"c"}');
  });
  const answer = await source.update(7, 'c', client, terms());
  expect(answer).toEqual({ outcome: 'done', value: { version: 5, id: 'c' } });
  expect(seen).toEqual([
    'PATCH',
    '/v1/sellers/7/clients/c',
    'Bearer the.seller.token',
    '"4"',
    'key-1',
    'application/merge-patch+json',
  ]);
});

test('a refusal comes back with its problem and the time to wait', async () => {
  const refusal = problem('too-many-requests', 'wait');
  const { source } = await sourceThat((_req, res) =>
    res
      .writeHead(429, { 'content-type': 'application/problem+json', 'retry-after': '9' })
      .end(JSON.stringify(refusal)),
  );
  expect(await source.remove(7, 'c', terms())).toEqual({
    outcome: 'refused',
    problem: refusal,
    retryAfterSeconds: 9,
  });
});

test('nobody there means that nothing was sent', async () => {
  const { source, server } = await sourceThat(() => {});
  await new Promise((resolve) => server.close(resolve));
  expect((await source.add(7, client, terms())).outcome).toBe('unreachable');
  ends.shift();
});

test('no answer, a broken one, a 503 or a write without a version leave open what was done', async () => {
  const answers: RequestListener[] = [
    () => {},
    (req) => req.socket.destroy(),
    (_req, res) => res.writeHead(503).end(),
    (_req, res) => res.writeHead(201).end(),
    (_req, res) => res.writeHead(400).end('<html>a proxy</html>'),
  ];
  for (const answer of answers) {
    const { source } = await sourceThat(answer);
    const given = await source.add(7, client, terms(AbortSignal.timeout(200)));
    expect([answer.toString(), given.outcome]).toEqual([answer.toString(), 'unknown']);
  }
});

test('after five failures in a row nothing is sent, and after a second it is tried again', async () => {
  let asked = 0;
  let isWell = false;
  const { source } = await sourceThat((_req, res) => {
    asked += 1;
    if (!isWell) return res.writeHead(500).end();
    return res
      .writeHead(200, { 'content-type': 'application/json' })
      .end('{"sellerId":7,"version":1,"clients":[],"updatedAt":null}');
  });
  const read = () => source.read(7, AbortSignal.timeout(2_000));
  for (let i = 0; i < 5; i++) expect((await read()).outcome).toBe('unknown');
  expect((await read()).outcome).toBe('unreachable');
  expect(asked).toBe(5);
  isWell = true;
  const deadline = Date.now() + 10_000;
  while ((await read()).outcome !== 'done') {
    if (Date.now() > deadline) throw new Error('the source was never asked again');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(asked).toBe(6);
});
