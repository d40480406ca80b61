import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { type Collector, startCollector } from '../local-stack/collector.ts';
import { ConfigError } from './config.ts';
import { Releases } from './lifecycle.ts';
import { silentLog } from './log.ts';
import { NO_TRACING, type Tracing } from './span.ts';
import { isSampled, isTraceparent } from './traceparent.ts';
import { openTracing } from './tracing.ts';

const SAMPLED = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const UNSAMPLED = SAMPLED.replace(/1$/, '0');

let collector: Collector;
let releases: Releases;
beforeEach(async () => {
  collector = await startCollector();
  releases = new Releases(silentLog);
});
afterEach(async () => {
  await releases.unwind();
  await collector.close();
});

const open = (traceRatio: number, otlpHeaders = ''): Promise<Tracing> =>
  openTracing(
    'spec',
    { otlpEndpoint: collector.url, otlpHeaders, traceRatio },
    { log: silentLog, version: '1.2.3', releases },
  );
/** What has arrived once the process has let go of its traces. */
const received = async () => {
  await releases.unwind();
  return collector.spans;
};

test('without an endpoint nothing is traced, and the context of a caller goes through', async () => {
  const config = { otlpEndpoint: undefined, otlpHeaders: '', traceRatio: 1 };
  const tracing = await openTracing('spec', config, { log: silentLog, version: '1', releases });
  expect(tracing).toBe(NO_TRACING);
  expect(tracing.serve(undefined, 'GET').traceparent).toBeNull();
  expect(tracing.serve('nonsense', 'GET').traceparent).toBeNull();
  expect(tracing.serve(SAMPLED, 'GET').begin('client', 'GET').traceparent).toBe(SAMPLED);
});

test('of requests whose caller has not decided as many are recorded as configured', async () => {
  const [all, none] = [await open(1), await open(0)];
  expect(all.serve(undefined, 'GET').isRecorded).toBe(true);
  expect(all.serve('nonsense', 'GET').isRecorded).toBe(true);
  expect(none.serve(undefined, 'GET').isRecorded).toBe(false);
  const some = await open(0.5);
  const recorded = Array.from({ length: 1_000 }, () => some.serve(undefined, 'GET').isRecorded);
  const share = recorded.filter(Boolean).length / recorded.length;
  expect(share).toBeGreaterThan(0.3);
  expect(share).toBeLessThan(0.7);
});

test('the decision of a caller is followed, either way', async () => {
  expect((await open(0)).serve(SAMPLED, 'GET').isRecorded).toBe(true);
  const quiet = (await open(1)).serve(UNSAMPLED, 'GET');
  expect([quiet.isRecorded, quiet.traceparent]).toEqual([false, UNSAMPLED]);
});

test('what was not chosen tells whom it asks not to choose either', async () => {
  const { traceparent } = (await open(0)).serve(undefined, 'GET').begin('client', 'GET');
  expect([isTraceparent(traceparent!), isSampled(traceparent!)]).toEqual([true, false]);
});

test('spans arrive with their parents, names, attributes, links and failures', async () => {
  const tracing = await open(0);
  const server = tracing.serve(SAMPLED, 'GET');
  const client = server.begin('client', 'POST', { 'url.full': 'http://a/' });
  server.link(SAMPLED);
  client.end({ error: 'timeout' });
  server.end({ name: 'GET /gigs/:gigId', attributes: { 'http.response.status_code': 200 } });
  tracing.record({
    kind: 'consumer',
    name: 'late',
    parent: client.traceparent,
    tookMs: 250,
    attributes: { 'topclients.seller.id': 7 },
  });
  tracing.record({ kind: 'server', name: 'root', parent: null, links: [SAMPLED], tookMs: 1, attributes: {} });
  const spans = new Map((await received()).map((span) => [span.name, span]));
  const [root, call] = [spans.get('GET /gigs/:gigId')!, spans.get('POST')!];
  const link = { traceId: SAMPLED.slice(3, 35), spanId: SAMPLED.slice(36, 52) };
  expect(root).toMatchObject({
    service: 'spec',
    kind: 'server',
    traceId: link.traceId,
    parentSpanId: link.spanId,
    attributes: { 'http.response.status_code': 200 },
    links: [link],
    failed: false,
  });
  expect(server.traceparent).toBe(`00-${root.traceId}-${root.spanId}-01`);
  expect(call).toMatchObject({ kind: 'client', parentSpanId: root.spanId, failed: true });
  expect(call.attributes).toEqual({ 'url.full': 'http://a/', 'error.type': 'timeout' });
  const late = spans.get('late')!;
  expect(late).toMatchObject({ kind: 'consumer', parentSpanId: call.spanId, traceId: link.traceId });
  expect(late.endedAt - late.startedAt).toBeCloseTo(250, 0);
  expect(spans.get('root')).toMatchObject({ parentSpanId: '', links: [link] });
  expect(spans.get('root')!.traceId).not.toBe(link.traceId);
});

test('headers for the collector that are no list of name=value end the start, without telling their text', async () => {
  const refused = await open(1, 'a=b,secret').catch((err: unknown) => err);
  expect(refused).toBeInstanceOf(ConfigError);
  expect((refused as Error).message).not.toContain('secret');
});
