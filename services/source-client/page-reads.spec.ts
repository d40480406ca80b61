import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { afterEach, expect, test } from '@jest/globals';
import { problem } from '#contracts/problems.ts';
import { drain, listen } from '#platform/listen.ts';
import { silentLog } from '#platform/log.ts';
import { plainIdentity } from './caller-identity.ts';
import { openPageReads, type PageReads } from './page-reads.ts';
import { openTransport, type Transport } from './transport.ts';

const LIST = { sellerId: 1, version: 3, updatedAt: '2026-11-01T10:00:00.000Z', clients: [] as unknown[] };
const SPOTIFY = { id: 'a', name: 'Spotify', industry: '', description: '', logo: null, from: null, to: null };

let server: Server;
let transport: Transport;
let source: PageReads;

async function against(answer: (req: IncomingMessage, res: ServerResponse) => void): Promise<void> {
  server = createServer(answer);
  const url = `http://127.0.0.1:${await listen(server, 0, '127.0.0.1')}/base/`;
  const identity = plainIdentity(null);
  transport = openTransport({ url, concurrency: 8, breakMs: 60_000, identity }, silentLog);
  source = openPageReads(transport);
}
const json =
  (body: unknown, status = 200) =>
  (_: IncomingMessage, res: ServerResponse) =>
    void res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
const call = (deadlineMs = 1_000) => ({ deadlineMs });

afterEach(async () => {
  await transport.close();
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
    outcome: 'ok',
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
  ['nothing', (_: IncomingMessage, res: ServerResponse) => void res.writeHead(204).end()],
  ['what is not JSON', (_: IncomingMessage, res: ServerResponse) => void res.end('<html>')],
])('%s is no answer, and no exception', async (_, answer) => {
  await against(answer);
  expect(await source.list(1, call())).toMatchObject({ outcome: 'unknown', mayHaveArrived: true });
});

test('a refusal is a failure too: what a page asks for everybody may have', async () => {
  let calls = 0;
  await against((req, res) => {
    calls += 1;
    json(problem('too-many-requests', 'wait'), 429)(req, res);
  });
  const outcomes = [];
  for (let i = 0; i < 7; i++) outcomes.push((await source.list(1, call())).outcome);
  expect(outcomes).toEqual([...Array(5).fill('refused'), 'open', 'open']);
  expect(calls).toBe(5);
});

test('many sellers are asked for at once, and an answer that lacks one is none', async () => {
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
  expect(answer.outcome === 'ok' && [...answer.value.keys()]).toEqual([1, 2]);
  expect(bodies).toEqual(['POST /base/v1/top-clients/batch-get {"sellerIds":[1,2]}']);
  expect((await source.lists([1, 2, 3], call())).outcome).toBe('unknown');
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
  const answer = await source.lists([1, 2, 3, 2], call(300));
  // The third is not answered: what came is shown.
  expect(answer.outcome === 'ok' && [...answer.value.keys()]).toEqual([1, 2]);
  expect(asked).toEqual(['{"sellerIds":[1,2,3]}', '{"sellerIds":[2,3]}', '{"sellerIds":[3]}']);
});
