/**
 * What every answer of every server says about keeping it: each address there is, as people and programs ask for it.
 * The addresses come from the routers themselves, so that none is left out.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Express } from 'express';
import { openApiDocument } from '#contracts/openapi.ts';
import { PAGE_NAMES } from '#contracts/pages.ts';
import { PAGES } from '#pages/index.ts';
import type { Mount, PageContext } from '#pages/mount.ts';
import { NO_INVALIDATION_FEED } from '#pages/page.ts';
import { serveHealth } from '#platform/health.ts';
import { openHttpServer, USUAL_LIMITS } from '#platform/http-server.ts';
import { Releases } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import { openPool } from '#platform/postgres.ts';
import { openTracing } from '#platform/tracing.ts';
import { type Metrics, openMetrics } from '#role/metrics.ts';
import { identityConfig } from '../../services/auth/testing/identity.ts';
import { openIdentity } from '../../services/auth/verifier.ts';
import { portsFrom } from '../../services/demo/addresses.ts';
import { allExamples } from '../../services/demo/examples.ts';
import { openLab } from '../../services/demo/lab/server.ts';
import { openIssuer } from '../../services/issuer/issuer.ts';
import { credential } from '../../services/local-stack/callers.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import { until } from '../../services/local-stack/until.ts';
import { migratePage } from '../../services/migrate/databases.ts';
import { OwnDatabase } from '../../services/page-kit/own-database.ts';
import { createPageApp } from '../../services/page-server/app.ts';
import { mountPage } from '../../services/page-server/mount-page.ts';
import { TraceLinks } from '../../services/page-server/trace-links.ts';
import { seed } from '../../services/seed/seed.ts';
import { mountSelfView } from '../../services/seller-portal/index.ts';
import { openCallerIdentity } from '../../services/source-client/caller-identity.ts';
import { openPageReads } from '../../services/source-client/page-reads.ts';
import { openTransport } from '../../services/source-client/transport.ts';
import { type Source, type SourceBench, startSourceBench } from '../support/source.ts';

let bench: SourceBench;
let source: Source;
const releases = new Releases(silentLog);

beforeAll(async () => {
  bench = await startSourceBench();
  releases.push('the bench', () => bench.stop());
  source = await bench.startSource(await bench.database('source'));
  for (const page of ['gig', 'user', 'search', 'self-view'] as const) {
    await bench.postgres.createDatabase(databaseOf(page));
    await migratePage(page, bench.postgres.url(databaseOf(page)), 'none', silentLog);
  }
  const [own, gig, user, search, selfView] = ['source', 'gig', 'user', 'search', 'self_view'].map(open);
  const databases = { source: own!, gig: gig!, user: user!, search: search!, selfView: selfView! };
  const options = { now: () => new Date(), onProgress: () => {}, signal: new AbortController().signal };
  await seed(databases, 3, options);
}, 60_000);
afterAll(() => releases.unwind());

const databaseOf = (page: string) => page.replace('-', '_');
function open(name: string) {
  const limits = { maximum: 4, statementTimeoutMs: 5_000, connectTimeoutMs: 5_000 };
  const pool = openPool({ url: bench.postgres.url(name), applicationName: 'headers', ...limits }, silentLog);
  releases.push(`pool of ${name}`, () => pool.end());
  return pool;
}

interface Served {
  readonly url: string;
  readonly app: Express;
  readonly metrics: Metrics;
}

async function serve(mount: Mount): Promise<Served> {
  const metrics = openMetrics({ processMetrics: false });
  const tracing = await openTracing('headers', {} as never, { log: silentLog, version: '0.0.0', releases });
  const app = createPageApp({ links: {}, log: silentLog, metrics, tracing, releases, mount });
  const edge = openHttpServer(app, { port: 'http', limits: USUAL_LIMITS, metrics, log: silentLog });
  return { url: await listening(edge), app, metrics };
}
async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  releases.push('a server', () => {
    server.closeAllConnections();
    return server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** `GET /sellers/:sellerId`, … of an app and of the routers in it. */
function routesOf(layers: readonly Layer[]): string[] {
  return layers.flatMap(({ route, handle }) => {
    if (route) {
      const methods = new Set(route.stack.map(({ method }) => (method ?? 'all').toUpperCase()));
      return [...methods].map((method) => `${method} ${route.path}`);
    }
    return handle?.stack ? routesOf(handle.stack) : [];
  });
}
interface Layer {
  readonly route?: { readonly path: unknown; readonly stack: readonly { readonly method?: string }[] };
  readonly handle?: { readonly stack?: readonly Layer[] };
}
const layersOf = (app: Express) => (app.router as unknown as { stack: readonly Layer[] }).stack;

/** An address of `asked` fits the route. */
function isAsked(route: string, asked: readonly string[]): boolean {
  const [method, path] = route.split(' ') as [string, string];
  // What takes any method or any address is met by all the others.
  if (path.startsWith('/.*')) return true;
  const pattern = new RegExp(`^${path.replace(/:\w+/g, '[^/]+')}$`);
  return asked.some((one) => {
    const [by, to] = one.split(' ') as [string, string];
    return (method === 'ALL' || by === method) && pattern.test(to.split('?')[0]!);
  });
}

interface Wanted {
  readonly token?: string;
  readonly accept?: string;
  readonly headers?: Readonly<Record<string, string>>;
}
async function ask(url: string, asked: string, { token, accept, headers }: Wanted = {}) {
  const [method, path] = asked.split(' ') as [string, string];
  const answer = await fetch(url + path, {
    method,
    redirect: 'manual',
    headers: {
      accept: accept ?? 'text/html',
      ...(token ? { authorization: `Bearer ${token}` } : {}),
      ...(method === 'POST' ? { 'content-type': 'application/x-www-form-urlencoded' } : {}),
      ...headers,
    },
    ...(method === 'POST' ? { body: 'name=Nike' } : {}),
  });
  await answer.text();
  return answer;
}
const isLasting = (cacheControl: string | null) => /^public, /.test(cacheControl ?? '');
const SAFE = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': expect.stringContaining("default-src 'none'"),
};
const said = (answer: Response, names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name, answer.headers.get(name)]));

describe('the self-view', () => {
  const CLIENT = '00000000-0000-4000-8000-000000000001';
  const PRIVATE = [
    'GET /',
    'GET /sellers/1',
    'GET /sellers/1?changed=1',
    'GET /sellers/nobody',
    'GET /sellers/1/clients',
    'GET /sellers/1/order',
    'GET /sellers/1/undo',
    `GET /sellers/1/clients/${CLIENT}`,
    `GET /sellers/1/clients/${CLIENT}/edit`,
    `GET /sellers/1/clients/${CLIENT}/remove`,
    'GET /brands?q=spotify',
    'GET /sign-in',
    'POST /sign-in',
    'POST /sign-out',
    'POST /sellers/1/clients',
    `POST /sellers/1/clients/${CLIENT}`,
    `POST /sellers/1/clients/${CLIENT}/remove`,
    'POST /sellers/1/order',
    'POST /sellers/1/undo',
    'GET /nowhere',
    'DELETE /sellers/1',
    'GET /%zz',
    'GET /assets/self-view/nothing.js',
    'GET /logos/no_such_brand.svg',
  ];
  const LASTING = [
    'GET /assets/self-view/client.js',
    'GET /assets/self-view/self-view.css',
    'GET /assets/site.css',
    'GET /logos/spotify.svg',
  ];
  const start = () =>
    serve((router, context) =>
      mountSelfView(router, {
        ...context,
        config: {
          databaseUrl: bench.postgres.url('self_view'),
          databasePool: 4,
          sourceUrl: source.url,
          sourceDeadlineMs: 1_000,
          pageDeadlineMs: 5_000,
          tokenUrl: bench.issuer.tokenUrl,
          databaseCaFile: undefined,
          selfViewUrl: undefined,
        },
        identity: openCallerIdentity(credential('self-view'), 'self-view', context),
        verifier: tokensOf(context),
      }),
    );
  const tokensOf = (context: PageContext) => {
    const identity = openIdentity(identityConfig(bench.issuer), context);
    releases.push('the keys of tokens', identity.close);
    return identity;
  };
  let selfView: Served;
  let own: string;
  beforeAll(async () => {
    selfView = await start();
    own = await bench.issuer.token(1);
  });

  test('has no address that is not asked for here', () => {
    const routes = routesOf(layersOf(selfView.app));
    expect(routes.length).toBeGreaterThan(15);
    expect(routes.filter((route) => !isAsked(route, [...PRIVATE, ...LASTING]))).toEqual([]);
    expect(isAsked('GET /sellers/:sellerId/secrets', PRIVATE)).toBe(false);
  });

  test.each(PRIVATE)('%s may not be kept by anybody, whoever asks', async (asked) => {
    const token = own;
    const headers = { 'sec-fetch-site': 'same-origin' };
    const sent: Wanted[] = [
      { headers },
      { headers, token },
      { headers, token, accept: 'application/json' },
      { headers, token: await bench.issuer.token(2) },
      { token, headers: { 'sec-fetch-site': 'cross-site', origin: 'https://elsewhere.example' } },
    ];
    for (const wanted of sent) {
      const answer = await ask(selfView.url, asked, wanted);
      const names = ['cache-control', ...Object.keys(SAFE), 'x-request-id'];
      expect(said(answer, names)).toEqual({
        'cache-control': 'no-store',
        ...SAFE,
        'x-request-id': expect.any(String),
      });
      const vary = (answer.headers.get('vary') ?? '').toLowerCase().split(/, */);
      expect(vary).toEqual(expect.arrayContaining(['cookie', 'accept', 'authorization']));
      expect(answer.headers.get('server-timing') ?? '').not.toContain('NaN');
    }
  });

  test.each(LASTING)('%s may be kept by everybody', async (asked) => {
    const answer = await ask(selfView.url, asked, { token: own });
    expect(answer.status).toBe(200);
    expect(isLasting(answer.headers.get('cache-control'))).toBe(true);
    expect(answer.headers.get('vary') ?? '').not.toMatch(/cookie/i);
  });

  test('each list that is shown is counted, and timed', async () => {
    const series = async () => {
      const text = await selfView.metrics.registry.metrics();
      const value = (name: string) =>
        Number(new RegExp(`^${name.replace(/[{}]/g, '\\$&')} (\\S+)$`, 'm').exec(text)?.[1]);
      const labels = 'page="self-view",delivery="synchronous"';
      return {
        full: value(`topclients_page_renders_total{${labels},outcome="full"}`),
        timed: value(`topclients_page_render_duration_seconds_count{${labels}}`),
      };
    };
    const before = await series();
    const shown = await ask(selfView.url, 'GET /sellers/1', { token: own });
    expect(shown.headers.get('server-timing')).toMatch(/^source;dur=\d+\.\d, page;dur=\d+\.\d$/);
    await ask(selfView.url, 'GET /sellers/1', { token: own, accept: 'application/json' });
    await ask(selfView.url, 'GET /sellers/1');
    expect(await series()).toEqual({ full: before.full + 2, timed: before.timed + 2 });
  });

  test('an erasure reaches what undo remembers', async () => {
    const db = open('self_view');
    const seller = 4_711;
    const sent = new URLSearchParams({ version: '0', key: CLIENT, name: 'A secret brand' });
    const answer = await fetch(`${selfView.url}/sellers/${seller}/clients`, {
      method: 'POST',
      redirect: 'manual',
      headers: {
        authorization: `Bearer ${await bench.issuer.token(seller)}`,
        'sec-fetch-site': 'same-origin',
      },
      body: sent,
    });
    expect(answer.headers.get('location')).toBe(`/sellers/${seller}?changed=1`);
    const kept = async () => (await db.query('select title from change where seller_id = $1', [seller])).rows;
    expect(await kept()).toEqual([{ title: 'A secret brand was added' }]);
    const token = await bench.issuer.token('operator', { scope: 'top-clients:erase' });
    expect((await source.call('DELETE', `/v1/sellers/${seller}`, { token })).status).toBe(202);
    // Another replica, for one that has just looked waits for some seconds.
    await start();
    await until('the record is empty', async () => (await kept()).length === 0);
  });
});

describe.each(PAGE_NAMES)('the %s page', (name) => {
  const path = { gig: '/gigs/1', user: '/users/1', search: '/search' }[name];
  const asked = [
    'GET /',
    `GET ${path}`,
    `POST ${path}`,
    `GET ${path}?minVersion=x`,
    `GET ${path}?a=1&a=2`,
    'GET /nowhere',
    'GET /%zz',
  ];
  let page: Served;
  beforeAll(async () => {
    const database = new OwnDatabase(open(name), silentLog);
    page = await serve((router, context) => {
      const identity = openCallerIdentity(null, name, context);
      const settings = { url: source.url, concurrency: 4, breakMs: 500, identity };
      const transport = openTransport(settings, silentLog);
      releases.push('the source', transport.close);
      mountPage(PAGES[name], {
        delivery: 'synchronous',
        parallel: true,
        database,
        source: openPageReads(transport),
        feed: NO_INVALIDATION_FEED,
        traceLinks: new TraceLinks(),
        sourceDeadlineMs: 2_000,
        pageDeadlineMs: 5_000,
        versionCallsPerMinute: 0,
      })(router, context);
    });
  });

  test('has no address that is not asked for here', () => {
    const assets = ['GET /assets/site.css', 'GET /logos/spotify.svg'];
    const routes = routesOf(layersOf(page.app));
    expect(routes.filter((route) => !isAsked(route, [...asked, ...assets]))).toEqual([]);
    expect(routes).toContain(`GET ${PAGES[name].path}`);
  });

  test.each(['text/html', 'application/json'])(
    'says of every answer as %s how long it may stand',
    async (accept) => {
      for (const one of asked) {
        const answer = await ask(page.url, one, { accept });
        const isRefusal = answer.status >= 400;
        const names = ['cache-control', ...Object.keys(SAFE), 'x-request-id'];
        expect({ one, ...said(answer, names) }).toEqual({
          one,
          'cache-control': isRefusal ? 'no-store' : 'no-cache',
          ...SAFE,
          'x-request-id': expect.any(String),
        });
        if (one !== 'GET /')
          expect({ one, vary: answer.headers.get('vary') }).toEqual({
            one,
            vary: expect.stringMatching(/accept/i),
          });
        expect(answer.headers.get('server-timing') ?? '').not.toContain('NaN');
      }
    },
  );
});

describe('the source of truth', () => {
  const ADDRESSES = Object.entries(openApiDocument().paths ?? {}).flatMap(([template, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} /v1${template}`),
  );
  beforeAll(async () => {
    const answer = await source.call('POST', '/v1/sellers/2/clients', {
      as: 2,
      body: { name: 'Of the list' },
    });
    expect(answer.status).toBe(201);
  });

  test.each(ADDRESSES)('%s says how long its answer may stand, for everybody and nobody', async (asked) => {
    const [method, template] = asked.split(' ') as [string, string];
    const { clients } = (await source.call('GET', '/v1/sellers/2/top-clients')).body;
    const erasing = { token: await bench.issuer.token(3, { scope: 'top-clients:erase' }) };
    const { erasureId } = (await source.call('DELETE', '/v1/sellers/3', erasing)).body;
    const ids = clients.map(({ id }: { id: string }) => id);
    const path =
      template.replace('{sellerId}', '2').replace('{clientId}', ids[0]).replace('{erasureId}', erasureId) +
      (asked === 'GET /v1/sellers/{sellerId}/clients' ? `?ids=${ids[0]}` : '') +
      (asked === 'GET /v1/erasures' ? '?since=2026-01-01T00:00:00Z' : '');
    const body = {
      'POST /v1/sellers/{sellerId}/clients': { name: 'Of the headers' },
      'PUT /v1/sellers/{sellerId}/clients/order': { clientIds: ids },
      'PATCH /v1/sellers/{sellerId}/clients/{clientId}': { industry: 'Headers' },
      'POST /v1/top-clients/batch-get': { sellerIds: [2] },
      'POST /v1/erasures': { erasures: [] },
    }[asked];
    const token = await bench.issuer.token(2, { scope: 'top-clients:erase' });
    for (const as of [{ token }, {}]) {
      const headers: Record<string, string> =
        'token' in as ? { 'top-clients-caller': credential('self-view') } : {};
      const answer = await source.call(method, path, { ...as, headers, ...(body ? { body } : {}) });
      const isRead = method === 'GET' || asked.endsWith('/batch-get');
      if ('token' in as) expect(answer.status).toBeLessThan(300);
      // Nothing is kept of what not everybody may see.
      const isPrivate = template.startsWith('/v1/erasures') || (asked.endsWith('/history') && 'token' in as);
      const mayBeKept = answer.status < 300 && isRead && !isPrivate;
      const kept = mayBeKept ? /^(private, )?no-cache$/ : /^no-store$/;
      expect(answer.headers.get('cache-control')).toMatch(kept);
    }
  });

  test('a refusal may not be kept', async () => {
    for (const path of ['/', '/v1/nowhere', '/v1/sellers/x/top-clients', '/%zz']) {
      const answer = await source.call('GET', path);
      expect({ path, kept: answer.headers.get('cache-control') }).toEqual({ path, kept: 'no-store' });
    }
  });
});

describe('the issuer, the lab and the health port', () => {
  test('every answer says how long it may stand', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'headers-'));
    releases.push('the folder', () => rm(folder, { recursive: true }));
    const issuer = await openIssuer(join(folder, 'key.jwk'), 'http://issuer');
    const port = await freePort();
    const lab = await openLab({
      host: '127.0.0.1',
      ports: { ...portsFrom(port), lab: port },
      sellers: 3,
      issuer,
      keepers: new Map(),
      proxy: { delayMs: 0, close: async () => {} },
      metrics: () => ({ state: 'starting' }),
      examples: allExamples({ state: 'preparing' }),
    });
    releases.push('the lab', lab.close);
    const metrics = openMetrics({ processMetrics: false });
    const health = await serveHealth(
      { healthPort: 0, healthHost: '127.0.0.1' },
      { notReadyBecause: () => null, metrics, log: silentLog },
    );
    releases.push('health', health.close);
    const answers = async (at: number, asked: readonly string[]) => {
      const found: Record<string, string | null> = {};
      for (const one of asked) {
        const answer = await ask(`http://localhost:${at}`, one, {
          headers: { origin: `http://localhost:${at}` },
        });
        found[one] = answer.headers.get('cache-control');
      }
      return found;
    };
    expect(
      await answers(port, [
        'GET /',
        'GET /metrics-lab',
        'GET /metrics-lab/state',
        'GET /lab/state',
        'POST /lab/switches',
        'POST /lab/writes',
        'GET /token?seller=1',
        'GET /token',
        'POST /token',
        'GET /.well-known/jwks.json',
        'GET /nowhere',
      ]),
    ).toEqual({
      'GET /': 'no-store',
      'GET /metrics-lab': 'no-store',
      'GET /metrics-lab/state': 'no-store',
      'GET /lab/state': 'no-store',
      'POST /lab/switches': 'no-store',
      'POST /lab/writes': 'no-store',
      'GET /token?seller=1': 'no-store',
      'GET /token': 'no-store',
      'POST /token': 'no-store',
      'GET /.well-known/jwks.json': 'public, max-age=60',
      'GET /nowhere': 'no-store',
    });
    const ports = ['GET /livez', 'GET /readyz', 'GET /metrics', 'GET /nowhere'];
    expect(await answers(health.port, ports)).toEqual(
      Object.fromEntries(ports.map((one) => [one, 'no-store'])),
    );
  });
});
