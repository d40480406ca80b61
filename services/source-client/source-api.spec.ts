import { createServer, type RequestListener } from 'node:http';
import { afterEach, expect, test } from '@jest/globals';
import { problem } from '#contracts/problems.ts';
import { listen } from '#platform/listen.ts';
import { silentLog } from '#platform/log.ts';
import { plainIdentity } from './caller-identity.ts';
import { openSourceApi, type SourceApi, type WriteTerms } from './source-api.ts';
import { openTransport } from './transport.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function sourceThat(answers: RequestListener): Promise<SourceApi> {
  const server = createServer(answers);
  const url = `http://127.0.0.1:${await listen(server, 0, '127.0.0.1')}`;
  const settings = { url, concurrency: 4, breakMs: 60_000, identity: plainIdentity(null) };
  const transport = openTransport(settings, silentLog);
  ends.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  ends.push(() => transport.close());
  return openSourceApi(transport);
}

const CALL = { deadlineMs: 2_000 };
const TERMS: WriteTerms = { token: 'the.seller.token', ifMatch: 4, idempotencyKey: 'key-1' };
const ID = '0f8d1a3e-6d3c-4b4e-9f3c-1f6d4f0a7f52';
const SPOTIFY = { name: 'Spotify', industry: '', description: '', logo: null, from: null, to: null };

test('a write carries the token, the version it was made for and its key', async () => {
  let seen: unknown;
  const source = await sourceThat((req, res) => {
    const { authorization, 'if-match': ifMatch, 'idempotency-key': key, 'content-type': type } = req.headers;
    seen = [req.method, req.url, authorization, ifMatch, key, type];
    res.writeHead(200, { etag: '"5"', 'content-type': 'application/json' }).end('{"id":"c"}');
  });
  const answer = await source.update(7, 'c', SPOTIFY, TERMS, CALL);
  expect(answer).toEqual({ outcome: 'ok', value: { version: 5, id: 'c' } });
  expect(seen).toEqual([
    'PATCH',
    '/v1/sellers/7/clients/c',
    'Bearer the.seller.token',
    '"4"',
    'key-1',
    'application/merge-patch+json',
  ]);
});

test('a write without terms beside the token sends none, and one that is answered without a body is done', async () => {
  let seen: unknown;
  const source = await sourceThat((req, res) => {
    seen = [req.method, req.url, req.headers['if-match'], req.headers['idempotency-key']];
    res.writeHead(204, { etag: '"6"' }).end();
  });
  expect(await source.remove(7, 'c', { token: 't' }, CALL)).toEqual({
    outcome: 'ok',
    value: { version: 6, id: null },
  });
  expect(seen).toEqual(['DELETE', '/v1/sellers/7/clients/c', undefined, undefined]);
});

test('a write that is answered without a version may have been done', async () => {
  const source = await sourceThat((_, res) => res.writeHead(201).end());
  expect(await source.add(7, SPOTIFY, TERMS, CALL)).toMatchObject({
    outcome: 'unknown',
    mayHaveArrived: true,
  });
});

test('a refused write says why', async () => {
  const refusal = problem('precondition-failed', 'read again');
  const source = await sourceThat((_, res) => res.writeHead(412).end(JSON.stringify(refusal)));
  expect(await source.reorder(7, [ID], TERMS, CALL)).toEqual({
    outcome: 'refused',
    problem: refusal,
    retryAfterSeconds: null,
  });
});

test.each<[string, object]>([
  ['the list of another seller', { sellerId: 8 }],
  ['a client that is none', { clients: [{ id: 'x', name: 'Spotify' }] }],
  ['a version below 0', { version: -1 }],
])('%s is not taken for an answer, and says what is wrong', async (_, over) => {
  const list = { sellerId: 7, version: 1, clients: [{ id: ID, ...SPOTIFY }], updatedAt: null };
  let sent: object = list;
  const source = await sourceThat((_req, res) => res.end(JSON.stringify(sent)));
  expect(await source.list(7, CALL)).toEqual({ outcome: 'ok', value: list });
  sent = { ...list, ...over };
  const answer = await source.list(7, CALL);
  expect(answer).toMatchObject({ outcome: 'unknown', cause: { name: 'NotTheContract' } });
});
