/** The example of a page of somebody else, in Python: what it shows, what it says of it, and what it does when things are down. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { parseAllDocuments } from 'yaml';
import { PageViewSpec } from '#cdk8s/api/page-view.ts';
import { RESTRICTED_CONTAINER } from '#cdk8s/constructs/role-pod.ts';
import { HEADERS, TopClientsView } from '#contracts/delivery.ts';
import type { SellerEvent } from '#contracts/events.ts';
import { METRICS } from '#contracts/metrics.ts';
import { ExternalPageName } from '#contracts/pages.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { silentLog } from '#platform/log.ts';
import { type DelayProxy, openDelayProxy } from '../../services/demo/delay-proxy.ts';
import { credential } from '../../services/local-stack/callers.ts';
import { seriesIn, sum } from '../../services/local-stack/exposition.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { type ManagedProcess, startProcess } from '../../services/local-stack/process.ts';
import { pythonWith } from '../../services/local-stack/python.ts';
import { until } from '../../services/local-stack/until.ts';
import { migrateExternalPage } from '../../services/migrate/databases.ts';
import { openViewStore } from '../../services/projector/view-store.ts';
import { type Source, type SourceBench, startSourceBench } from '../support/source.ts';

const EXAMPLE = fileURLToPath(new URL('../../examples/python-page', import.meta.url));
const PAGE = 'shop';
const LABELS = `page="${PAGE}",delivery="asynchronous"`;
const PAGE_DEADLINE_MS = 1_000;
/** Of a machine that does other things, too. */
const SLACK_MS = 1_000;
const projection = projectionsOf(PAGE).asynchronous;

type Clients = SellerEvent['clients'];
const named = (name: string, industry = ''): Clients[number] => ({
  ...{ id: randomUUID(), name, industry, description: '', logo: null, from: null, to: null },
});

let folder: string;
let postgres: LocalPostgres;
let bench: SourceBench;
let source: Source;
let toDatabase: DelayProxy;
let toSource: DelayProxy;
let page: ManagedProcess;
let url: string;
let healthUrl: string;
let readyBefore: number;
let sellers = 0;

async function asAdmin<Row extends pg.QueryResultRow>(statement: string): Promise<Row[]> {
  const client = new pg.Client(postgres.url(PAGE));
  await client.connect();
  try {
    return (await client.query<Row>(statement)).rows;
  } finally {
    await client.end();
  }
}

const view = (version: number) => ({ delivery: 'asynchronous', version }) as const;
const migrateTo = (version: number, showIt: boolean) =>
  migrateExternalPage(PAGE, postgres.url(PAGE, 'top_clients'), view(version), [PAGE], silentLog, {}, showIt);
const build = (version: number) => migrateTo(version, false);
const show = (version: number) => migrateTo(version, true);

/** Writes rows as a projector does. */
async function project(
  events: readonly Pick<SellerEvent, 'sellerId' | 'version' | 'clients'>[],
  version = 1,
) {
  const store = await openViewStore(
    {
      url: postgres.url(PAGE, 'top_clients'),
      applicationName: 'projector',
      statementTimeoutMs: 10_000,
      connectTimeoutMs: 5_000,
      searchPath: [viewSchema('asynchronous', version)],
    },
    projection,
  );
  const committedAt = new Date().toISOString();
  const change = { type: 'seller-erased' } as const;
  await store.upsert(events.map((event) => projection.toRow({ ...event, committedAt, change })));
  await store.close();
}

/** A seller of this test alone. */
async function aSeller(clients: Clients, version = 1): Promise<number> {
  const sellerId = ++sellers;
  await project([{ sellerId, version, clients }]);
  return sellerId;
}

const ask = async (path: string, accept: string, headers: Record<string, string> = {}) => {
  const began = performance.now();
  const answer = await fetch(`${url}${path}`, {
    headers: { accept, ...headers },
    signal: AbortSignal.timeout(10_000),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text, tookMs: performance.now() - began };
};
const html = (path: string) => ask(path, 'text/html,*/*;q=0.8');
const json = async (path: string, headers?: Record<string, string>) => {
  const answer = await ask(path, 'application/json', headers);
  return { ...answer, body: JSON.parse(answer.text) };
};
const shown = async (path: string, headers?: Record<string, string>) => {
  const { status, body } = await json(path, headers);
  expect(status).toBe(200);
  return TopClientsView.parse(body.topClients);
};
const namesOf = ({ clients }: { readonly clients: readonly { readonly name?: string | undefined }[] }) =>
  clients.map(({ name }) => name);
const readiness = async () => (await fetch(`${healthUrl}/readyz`)).status;
const metrics = async () => (await fetch(`${healthUrl}/metrics`)).text();
/** Labels in any order: each client library has one of its own. */
const sorted = (labels: string) => labels.split(',').toSorted().join();
const counted = async (metric: string, labels: string) =>
  sum(seriesIn(await metrics(), metric).filter((one) => sorted(one.labels) === sorted(labels)));
const rendered = (outcome: string) =>
  counted('topclients_page_renders_total', `${LABELS},outcome="${outcome}"`);
const called = (result: string) =>
  counted('topclients_page_source_requests_total', `page="${PAGE}",result="${result}"`);

beforeAll(async () => {
  const bin = await pythonWith('python-page', join(EXAMPLE, 'requirements.txt'));
  folder = await mkdtemp(join(tmpdir(), 'python-page-'));
  await chmod(folder, 0o755);
  postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  await postgres.createUsers(['top_clients', PAGE]);
  await postgres.createDatabase(PAGE);
  bench = await startSourceBench();
  source = await bench.startSource(await bench.database('source'));
  const ports = { database: await freePort(), source: await freePort() };
  toDatabase = await openDelayProxy(ports.database, postgres.port);
  toSource = await openDelayProxy(ports.source, Number(new URL(source.url).port));
  const [port, healthPort] = [await freePort(), await freePort()];
  [url, healthUrl] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${healthPort}`];
  page = await startProcess({
    name: 'python-page',
    command: join(bin, 'python'),
    args: [join(EXAMPLE, 'page.py')],
    logFile: join(folder, 'page.log'),
    readyUrl: `${healthUrl}/livez`,
    env: {
      PYTHONDONTWRITEBYTECODE: '1',
      TC_PAGE: PAGE,
      TC_DATABASE_URL: `postgresql://${PAGE}@127.0.0.1:${ports.database}/${PAGE}`,
      TC_SOURCE_URL: `http://127.0.0.1:${ports.source}`,
      TC_SOURCE_CREDENTIAL: credential(PAGE),
      TC_PORT: String(port),
      TC_HEALTH_PORT: String(healthPort),
    },
  });
  readyBefore = await readiness();
  await asAdmin(`grant create on database ${PAGE} to top_clients`);
  await show(1);
  await until('the page is ready', async () => (await readiness()) === 200);
}, 300_000);
afterAll(async () => {
  await page?.stop();
  await toDatabase?.close();
  await toSource?.close();
  await bench?.stop();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});
afterEach(() => {
  toDatabase.delayMs = 0;
  toSource.delayMs = 0;
});

test('it is ready once its database shows a view, and not before', () => {
  expect(readyBefore).toBe(503);
});

test('it is reached by IPv6 and by IPv4', async () => {
  for (const address of [url, healthUrl].map((one) => one.replace('127.0.0.1', '[::1]')))
    expect((await fetch(`${address}/livez`)).status).toBeLessThan(500);
});

describe('shows', () => {
  test('a whole list, with its version and age, as HTML and as JSON', async () => {
    const clients = [named('Spotify', 'Music'), named('Lego')];
    const seller = await aSeller(clients, 3);
    const { status, headers, body } = await json(`/sellers/${seller}`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ sellerId: seller, topClients: { outcome: 'full', version: 3, total: 2 } });
    expect(TopClientsView.parse(body.topClients).clients).toEqual(clients);
    expect(headers.get('content-type')).toBe('application/json');
    expect(headers.get(HEADERS.outcome)).toBe('full');
    expect(headers.get(HEADERS.version)).toBe('3');
    expect(headers.get(HEADERS.age)).toBe(String(body.topClients.ageMs));
    expect(headers.get('cache-control')).toBe('no-cache');
    expect(headers.get('vary')).toBe(`Accept, ${HEADERS.minVersion}`);
    const page = await html(`/sellers/${seller}`);
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    for (const text of ['Spotify', 'Music', 'Lego', '>S</span>', '>L</span>'])
      expect(page.text).toContain(text);
  });

  test('nothing, and says that this is all, for a seller who never had clients', async () => {
    const { headers, body } = await json('/sellers/1000000');
    expect(body.topClients).toEqual({ outcome: 'full', version: 0, ageMs: null, clients: [], total: 0 });
    expect(headers.get(HEADERS.version)).toBe('0');
    expect(headers.has(HEADERS.age)).toBe(false);
    expect((await html('/sellers/1000000')).text).not.toContain('Trusted by');
  });

  test('names of strangers as text', async () => {
    const hostile = `"><script>alert(1)</script>{{ 7 * 7 }}<img src=x onerror='alert(2)'>&amp;`;
    const seller = await aSeller([named(hostile, '</bdi><b>bold')]);
    const { text, headers } = await html(`/sellers/${seller}`);
    for (const tag of ['<script', '<img', '<b>']) expect(text).not.toContain(tag);
    expect(text).toContain('{{ 7 * 7 }}');
    expect(text).toContain('&amp;amp;');
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(namesOf(await shown(`/sellers/${seller}`))).toEqual([hostile]);
  });

  test('what is written, from the next visit on, and nothing of who was erased', async () => {
    const seller = await aSeller([named('First')]);
    expect(namesOf(await shown(`/sellers/${seller}`))).toEqual(['First']);
    await project([{ sellerId: seller, version: 2, clients: [named('Second')] }]);
    expect(namesOf(await shown(`/sellers/${seller}`))).toEqual(['Second']);
    await project([{ sellerId: seller, version: 3, clients: [] }]);
    expect(await shown(`/sellers/${seller}`)).toMatchObject({ outcome: 'full', version: 3, clients: [] });
    expect((await html(`/sellers/${seller}`)).text).not.toMatch(/First|Second|Trusted by/);
  });

  test('another version of the view, and the one before again, under readers who notice nothing', async () => {
    const seller = await aSeller([named('Before')]);
    const row = { sellerId: seller, version: 2, clients: [named('After')] };
    await build(2);
    await project([row], 2);
    const { pid } = page;
    let isOver = false;
    const seen: number[] = [];
    const reader = async () => {
      while (!isOver) seen.push((await shown(`/sellers/${seller}`)).version ?? -1);
    };
    const readers = Promise.all([reader(), reader()]);
    await until('the readers read', () => seen.length > 20);
    await show(2);
    expect(namesOf(await shown(`/sellers/${seller}`))).toEqual(['After']);
    await project([row]);
    await show(1);
    isOver = true;
    await readers;
    expect(namesOf(await shown(`/sellers/${seller}`))).toEqual(['After']);
    expect([...new Set(seen)]).toEqual([1, 2]);
    expect(seen.toSorted()).toEqual([...seen]);
    expect(page.pid).toBe(pid);
  });
});

test.each(['/sellers/0', '/sellers/me', '/sellers/01', '/sellers/9007199254740992', '/nowhere'])(
  '%s leads nowhere, and it says so in both forms',
  async (path) => {
    expect(await json(path)).toMatchObject({ status: 404, body: { status: 404 } });
    const { status, headers } = await html(path);
    expect([status, headers.get('content-type')]).toEqual([404, 'text/html; charset=utf-8']);
  },
);

describe('for a reader who has seen a version', () => {
  const at = (seller: number, version: number | string) => `/sellers/${seller}?minVersion=${version}`;

  test('the source is not asked where the view has it', async () => {
    const seller = await aSeller([named('There')], 4);
    const before = await called('ok');
    expect(await shown(at(seller, 4))).toMatchObject({ outcome: 'full', version: 4 });
    expect(await called('ok')).toBe(before);
  });

  test('the source is asked where it has not, as the page that it is; there is no version beyond that', async () => {
    const seller = ++sellers;
    const written = await source.call('POST', `/v1/sellers/${seller}/clients`, {
      as: seller,
      body: { name: 'Just written' },
    });
    expect(written.status).toBe(201);
    expect(await shown(`/sellers/${seller}`)).toMatchObject({ outcome: 'full', version: 0 });
    const answer = await shown(at(seller, 1));
    expect(answer).toMatchObject({ outcome: 'full', version: 1, total: 1 });
    expect(namesOf(answer)).toEqual(['Just written']);
    expect(await shown(`/sellers/${seller}`, { [HEADERS.minVersion]: '1' })).toEqual({
      ...answer,
      ageMs: expect.any(Number),
    });
    const senders = await (await fetch(`${source.healthUrl}/metrics`)).text();
    const external = seriesIn(senders, 'topclients_source_senders_total');
    expect(external.find(({ labels }) => labels === 'sender="external"')?.value).toBeGreaterThan(0);
    const { status, body, headers } = await json(at(seller, 2));
    expect(status).toBe(400);
    expect(body.detail).toBe('There is no such version: the list is at version 1.');
    expect(headers.get('content-type')).toBe('application/problem+json');
    expect((await html(at(++sellers, 1))).status).toBe(400);
  });

  test.each(['', '-1', '1.5', '01', 'new', '9007199254740992', '1&minVersion=1', '%D9%A1'])(
    'the version %j is none',
    async (version) => {
      expect(await json(at(1, version))).toMatchObject({ status: 400, body: { status: 400 } });
    },
  );

  test('a source that is late or gone leaves the older list, in time, and it is called stale', async () => {
    const seller = await aSeller([named('Older')], 5);
    const stale = async (result: string) => {
      const before = await called(result);
      const { headers, body, tookMs } = await json(at(seller, 6));
      expect(body.topClients).toMatchObject({ outcome: 'stale', version: 5, total: 1 });
      expect(headers.get(HEADERS.outcome)).toBe('stale');
      expect(headers.get(HEADERS.version)).toBe('5');
      expect(headers.get('cache-control')).toBe('no-store');
      expect(tookMs).toBeLessThan(PAGE_DEADLINE_MS + SLACK_MS);
      expect(await called(result)).toBe(before + 1);
    };
    toSource.delayMs = 10_000;
    await stale('timeout');
    expect((await html(at(seller, 6))).text).toContain('will appear in a moment');
    toSource.delayMs = 0;
    await source.process.stop();
    await stale('error');
    await source.process.restart();
    expect((await json(at(seller, 6))).status).toBe(400);
  });
});

describe('while its database', () => {
  const unavailable = async (path: string) => {
    const { status, headers, body, tookMs } = await json(path);
    expect([status, body.detail]).toEqual([
      503,
      'This page cannot be shown now. Please try again in a moment.',
    ]);
    expect(headers.get('retry-after')).toBe('2');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(tookMs).toBeLessThan(PAGE_DEADLINE_MS + SLACK_MS);
  };
  const back = (path: string) =>
    until('the page is shown again', async () => (await json(path)).status === 200);

  test('hangs, it says in time that it cannot be shown, and is back by itself', async () => {
    const seller = await aSeller([named('Patient')]);
    const before = await rendered('error');
    toDatabase.delayMs = 60_000;
    const path = `/sellers/${seller}`;
    // More than the pool has connections.
    await Promise.all(Array.from({ length: 15 }, () => unavailable(path)));
    expect(await rendered('error')).toBe(before + 15);
    expect(await readiness()).toBe(200);
    toDatabase.delayMs = 0;
    await back(path);
  });

  test('is down, it says so, and is back by itself', async () => {
    const seller = await aSeller([named('Returning')], 2);
    const path = `/sellers/${seller}`;
    const down = postgres.exited;
    // A crash would take rows along that are not flushed yet; a projector writes those again.
    postgres.kill('SIGINT');
    await down;
    await unavailable(path);
    expect((await html(path)).text).toContain('Please try again in a moment.');
    await postgres.restart();
    await back(path);
    expect(namesOf(await shown(path))).toEqual(['Returning']);
  });
});

describe('its metrics', () => {
  test.each([
    'topclients_page_renders_total',
    'topclients_page_render_duration_seconds',
    'topclients_page_source_requests_total',
  ] as const)('%s has the labels of our own pages', async (name) => {
    const { type, labels } = METRICS[name];
    const [first] = seriesIn(await metrics(), type === 'histogram' ? `${name}_count` : name);
    const found = [...first!.labels.matchAll(/(\w+)="/g)].map(([, label]) => label!);
    expect(found.toSorted()).toEqual([...labels].toSorted());
  });

  test('count by outcome, and by the bucket edges of our own pages', async () => {
    const count = () => counted('topclients_page_render_duration_seconds_count', LABELS);
    const [renders, observed] = [await rendered('full'), await count()];
    await shown('/sellers/1000000');
    expect(await rendered('full')).toBe(renders + 1);
    expect(await count()).toBe(observed + 1);
    const buckets = seriesIn(await metrics(), 'topclients_page_render_duration_seconds_bucket');
    const edges = buckets.map(({ labels }) => Number(/le="([\d.]+)"/.exec(labels)?.[1]));
    expect(edges.filter((edge) => !Number.isNaN(edge))).toEqual([
      ...METRICS.topclients_page_render_duration_seconds.buckets,
    ]);
  });
});

describe('the example', () => {
  const read = (name: string) => readFileSync(join(EXAMPLE, name), 'utf8');

  test('is read in one go', () => {
    expect(read('page.py').trimEnd().split('\n').length).toBeLessThan(150);
  });

  test('names only what our cluster takes', () => {
    const objects = parseAllDocuments(read('kubernetes.yaml')).map((document) => document.toJS());
    const { metadata, spec } = objects.find(({ kind }) => kind === 'PageView');
    expect(ExternalPageName.parse(metadata.name)).toBe(PAGE);
    const { callers, readerRoles } = PageViewSpec.parse(spec).external!;
    expect(readerRoles).toEqual([PAGE]);
    const deployment = objects.find(({ kind }) => kind === 'Deployment');
    const pod = deployment.spec.template;
    expect(callers).toEqual([
      {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': deployment.metadata.namespace } },
        podSelector: { matchLabels: pod.metadata.labels },
      },
    ]);
    expect(pod.spec.containers.map((one: Record<string, unknown>) => one['securityContext'])).toEqual([
      RESTRICTED_CONTAINER,
    ]);
  });
});

// The last one: the page is gone afterwards.
test('a request in flight is answered before it stops', async () => {
  const seller = await aSeller([named('In time')]);
  const asked = async () =>
    (
      await asAdmin<{ at: string }>(
        `select max(query_start)::text as at from pg_stat_activity where application_name = '${PAGE}'`,
      )
    )[0]!.at;
  await shown(`/sellers/${seller}`);
  const before = await asked();
  toDatabase.delayMs = 300;
  const answer = shown(`/sellers/${seller}`);
  await until('its database is asked', async () => (await asked()) !== before);
  const { exited } = page;
  page.kill('SIGTERM');
  expect(namesOf(await answer)).toEqual(['In time']);
  expect(await exited).toEqual({ code: null, signal: 'SIGTERM' });
});
