/** One trace from the seller's click to the page's database, and a link to it from the render that shows it. */
import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Collector, type ReceivedSpan, startCollector } from '../../services/local-stack/collector.ts';
import { until } from '../../services/local-stack/until.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { readTopic } from '../support/topic.ts';

let collector: Collector;
let stack: Stack;
/** Sellers with a gig and no clients yet: their lists have room. */
let newcomers: number[];

beforeAll(async () => {
  collector = await startCollector();
  // Nothing is chosen by chance: what is recorded is what these tests ask for.
  const traced = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_TRACES_SAMPLER_ARG: 0 };
  const roles = ['top-clients', 'outbox-relay', 'projector-gig', 'gig', 'self-view'];
  stack = await startStack({
    pages: ['gig', 'self-view'],
    env: Object.fromEntries(roles.map((role) => [role, traced])),
  });
  const { rows } = await stack
    .database('source')
    .query<{ seller_id: number }>('select seller_id from seller');
  const known = new Set(rows.map((row) => row.seller_id));
  newcomers = Array.from({ length: 40 }, (_, i) => i + 1).filter((sellerId) => !known.has(sellerId));
  expect(newcomers.length).toBeGreaterThan(3);
}, 90_000);

afterAll(async () => {
  await stack?.stop();
  await collector?.close();
}, 60_000);

const contextOf = (flags: '00' | '01') =>
  `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-${flags}`;
const traceOf = (traceparent: string) => traceparent.slice(3, 35);
const spansOf = (traceparent: string) =>
  collector.spans.filter(({ traceId }) => traceId === traceOf(traceparent));

/** A client is added by the form of the self-view, as by a click. @returns the new version */
async function click(sellerId: number, traceparent: string): Promise<number> {
  const address = `${stack.urls['self-view']}/sellers/${sellerId}`;
  const authorization = `Bearer ${await stack.issuer.token(sellerId)}`;
  const list = await fetch(address, { headers: { authorization, accept: 'application/json' } });
  const { topClients } = (await list.json()) as { topClients: { version: number } };
  const { version } = topClients;
  const answer = await fetch(`${address}/clients`, {
    method: 'POST',
    redirect: 'manual',
    headers: { authorization, traceparent, 'sec-fetch-site': 'same-origin' },
    body: new URLSearchParams({ version: String(version), key: randomUUID(), name: `Brand ${randomUUID()}` }),
  });
  expect(answer.status).toBe(303);
  return version + 1;
}

const gigOf = async (sellerId: number): Promise<number> => {
  const { rows } = await stack
    .database('gig')
    .query<{ gig_id: number }>('select gig_id from gig where seller_id = $1 limit 1', [sellerId]);
  return rows[0]!.gig_id;
};

/** Visits a gig of the seller until it shows the version. */
async function visit(sellerId: number, version: number): Promise<void> {
  const gigId = await gigOf(sellerId);
  await until(`the gig page shows version ${version}`, async () => {
    const answer = await fetch(`${stack.urls.gig}/gigs/${gigId}`);
    await answer.arrayBuffer();
    return Number(answer.headers.get('top-clients-version')) >= version;
  });
}

const messageOf = async (sellerId: number, version: number) =>
  (await readTopic(stack.kafka.bootstrap)).find(
    (one) => one.sellerId === sellerId && one.version === version,
  )!;

/** The span of the render, sought by visiting again: the page learns of a change up to 250 ms after it can show it. */
async function linkedRender(sellerId: number, version: number, traceparent: string): Promise<ReceivedSpan> {
  const linked = () =>
    collector.spans.filter(({ links }) => links.some(({ traceId }) => traceId === traceOf(traceparent)));
  await until(
    'a render is linked',
    async () => {
      if (linked().length === 0) await visit(sellerId, version);
      return linked().length > 0;
    },
    30_000,
    100,
  );
  return linked()[0]!;
}

test('one trace leads from the click through transaction, relay and projector, and the render that shows it is linked', async () => {
  const traceparent = contextOf('01');
  const sellerId = newcomers[0]!;
  const version = await click(sellerId, traceparent);
  await visit(sellerId, version);
  await until('the spans have come', () => {
    const kinds = spansOf(traceparent).map(({ service, kind }) => `${service} ${kind}`);
    return ['outbox-relay producer', 'projector-gig consumer', 'page-self-view server'].every((one) =>
      kinds.includes(one),
    );
  });
  const spans = spansOf(traceparent);
  const only = (what: Partial<ReceivedSpan>): ReceivedSpan => {
    const found = spans.filter((span) =>
      Object.entries(what).every(([member, value]) => span[member as keyof ReceivedSpan] === value),
    );
    expect([what, found.length]).toEqual([what, 1]);
    return found[0]!;
  };

  const form = only({ service: 'page-self-view', kind: 'server' });
  expect(form).toMatchObject({
    name: 'POST /sellers/:sellerId/clients',
    parentSpanId: traceparent.slice(36, 52),
  });
  const call = only({ service: 'page-self-view', kind: 'client', name: 'POST' });
  expect(call.parentSpanId).toBe(form.spanId);
  const request = only({
    service: 'top-clients',
    kind: 'server',
    name: 'POST /v1/sellers/{sellerId}/clients',
  });
  expect(request.parentSpanId).toBe(call.spanId);
  expect(request.attributes).toMatchObject({
    'http.request.method': 'POST',
    'http.route': '/v1/sellers/{sellerId}/clients',
    'http.response.status_code': 201,
  });
  const transaction = only({ service: 'top-clients', kind: 'client' });
  expect(transaction.parentSpanId).toBe(request.spanId);
  const sent = only({ service: 'outbox-relay', kind: 'producer' });
  const applied = only({ service: 'projector-gig', kind: 'consumer' });
  expect([sent.parentSpanId, applied.parentSpanId]).toEqual([transaction.spanId, transaction.spanId]);
  expect(transaction.endedAt).toBeLessThanOrEqual(sent.endedAt + 5);
  expect(sent.startedAt).toBeLessThanOrEqual(applied.endedAt);
  expect(spans.filter(({ failed }) => failed)).toEqual([]);

  // On its way the context is what the transaction stored, to the byte.
  const stored = `00-${traceOf(traceparent)}-${transaction.spanId}-01`;
  const { rows } = await stack
    .database('source')
    .query('select traceparent from seller_event where seller_id = $1 and version = $2', [sellerId, version]);
  expect(rows).toEqual([{ traceparent: stored }]);
  const message = await messageOf(sellerId, version);
  expect(message.headers['traceparent']).toBe(stored);

  const render = await linkedRender(sellerId, version, traceparent);
  expect(render).toMatchObject({
    service: 'page-gig',
    kind: 'server',
    name: 'GET /gigs/:gigId',
    parentSpanId: '',
    links: [{ traceId: traceOf(traceparent), spanId: transaction.spanId }],
    attributes: { 'topclients.delivery': 'asynchronous', 'topclients.outcome': 'full' },
  });
  expect(render.traceId).not.toBe(traceOf(traceparent));
});

test('only the first render that shows a change is linked to it', async () => {
  const [first, second] = [contextOf('01'), contextOf('01')];
  const sellerId = newcomers[1]!;
  const version = await click(sellerId, first);
  await linkedRender(sellerId, version, first);
  for (let i = 0; i < 3; i++) await visit(sellerId, version);
  // A later change, whose link comes after whatever those visits would have left behind.
  await linkedRender(sellerId, await click(sellerId, second), second);
  const linked = collector.spans.filter(({ links }) =>
    links.some(({ traceId }) => traceId === traceOf(first)),
  );
  expect(linked).toHaveLength(1);
});

test('what the caller chose not to record leaves no span, and its context goes all the way to the topic', async () => {
  const [unsampled, sampled] = [contextOf('00'), contextOf('01')];
  const sellerId = newcomers[2]!;
  const quiet = await click(sellerId, unsampled);
  const heard = await click(sellerId, sampled);
  await visit(sellerId, heard);
  // By the time this one is complete the other would be too: every process sends its spans in order.
  await linkedRender(sellerId, heard, sampled);
  await until('the relay has told', () => spansOf(sampled).some(({ service }) => service === 'outbox-relay'));
  expect(spansOf(unsampled)).toEqual([]);
  const message = await messageOf(sellerId, quiet);
  expect(message.headers['traceparent']).toBe(unsampled);
  const { rows } = await stack.database('gig').query(
    `select seller_id from top_clients_asynchronous_v1.trace
    where traceparent like '%' || $1 || '%'`,
    [traceOf(unsampled)],
  );
  expect(rows).toEqual([]);
});

test('a render that nobody chose and that shows nothing new is not recorded', async () => {
  const before = collector.spans.length;
  const gigId = await gigOf(newcomers[3]!);
  for (let i = 0; i < 20; i++) await (await fetch(`${stack.urls.gig}/gigs/${gigId}`)).arrayBuffer();
  const asked = contextOf('01');
  await (await fetch(`${stack.urls.gig}/gigs/${gigId}`, { headers: { traceparent: asked } })).arrayBuffer();
  await until('the last one has come', () => spansOf(asked).length > 0);
  expect(collector.spans.slice(before).map(({ traceId }) => traceId)).toEqual([traceOf(asked)]);
});
