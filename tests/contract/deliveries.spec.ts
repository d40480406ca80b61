/**
 * One suite over every page and delivery, against real PostgreSQL and a source of truth that is well, slow, broken or
 * gone: what the page answers, how fast, and what it says about its data.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { userName } from '#contracts/database-users.ts';
import { TopClientsView } from '#contracts/delivery.ts';
import type { SellerEvent } from '#contracts/events.ts';
import type { PageName } from '#contracts/pages.ts';
import { PAGE_NAMES } from '#contracts/pages.ts';
import { insertGigs } from '#pages/gig/own-data.ts';
import { PAGES } from '#pages/index.ts';
import { NO_INVALIDATION_FEED } from '#pages/page.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { insertListings } from '#pages/search/own-data.ts';
import { insertUserProfiles } from '#pages/user/own-data.ts';
import { Releases } from '#platform/lifecycle.ts';
import { drain, listen } from '#platform/listen.ts';
import { silentLog } from '#platform/log.ts';
import { openPool } from '#platform/postgres.ts';
import { NO_TRACING } from '#platform/span.ts';
import { type Metrics, openMetrics } from '#role/metrics.ts';
import { makeUsers, namesOf } from '../../services/local-stack/database-users.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { migratePage } from '../../services/migrate/databases.ts';
import { OwnDatabase } from '../../services/page-kit/own-database.ts';
import { createPageApp } from '../../services/page-server/app.ts';
import { mountPage } from '../../services/page-server/mount-page.ts';
import { TraceLinks } from '../../services/page-server/trace-links.ts';
import { seller as madeUp } from '../../services/seed/sellers.ts';
import { openCallerIdentity } from '../../services/source-client/caller-identity.ts';
import { openPageReads } from '../../services/source-client/page-reads.ts';
import { openTransport } from '../../services/source-client/transport.ts';

const DELIVERIES = {
  asynchronous: { delivery: 'asynchronous', parallel: false },
  hybrid: { delivery: 'hybrid', parallel: false },
  'synchronous, one after the other': { delivery: 'synchronous', parallel: false },
  'synchronous, in parallel': { delivery: 'synchronous', parallel: true },
  off: { delivery: 'off', parallel: false },
} as const;
type DeliveryName = keyof typeof DELIVERIES;
const EVERY = PAGE_NAMES.flatMap((page) =>
  (Object.keys(DELIVERIES) as DeliveryName[]).map((delivery) => [page, delivery] as const),
);

const PAGE_DEADLINE_MS = 1_000;
const SOURCE_DEADLINE_MS = 150;
// Twice the deadline, for machines that do much else. What is waited for here never comes, so that a page without a
// deadline would not be late, it would hang.
const IN_TIME_MS = 2 * PAGE_DEADLINE_MS;

// Seller 1 has clients, 2 had some once, 3 never had any.
const SELLERS = [1, 2, 3];
const VIEW_VERSION = 3;
const TRUE_VERSION = 4;
const clientsOf = (sellerId: number, version: number) =>
  sellerId === 1
    ? Array.from({ length: version }, (_, i) => ({
        id: `00000000-0000-4000-8000-00000000000${i}`,
        name: i === 0 ? '<b>Bold</b> & "Sons"' : `Brand ${i}`,
        industry: 'Music',
        description: '',
        logo: 'spotify',
        from: null,
        to: null,
      }))
    : [];
const eventOf = (sellerId: number, version = VIEW_VERSION): SellerEvent => ({
  sellerId,
  version,
  committedAt: '2026-11-01T10:00:00.000Z',
  change: { type: 'seller-erased' },
  clients: clientsOf(sellerId, version),
});

/** The source of truth, in whatever state the test wants it. */
const truth = {
  calls: 0,
  behave: healthy as RequestListener,
};
function healthy(...[req, res]: Parameters<RequestListener>): void {
  const list = (sellerId: number) => ({
    sellerId,
    version: sellerId === 3 ? 0 : TRUE_VERSION,
    updatedAt: sellerId === 3 ? null : '2026-11-01T11:00:00.000Z',
    clients: clientsOf(sellerId, TRUE_VERSION),
  });
  const answer = (body: unknown) => {
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  const url = new URL(req.url!, 'http://source');
  const whole = list(Number(/\/v1\/sellers\/(\d+)\//.exec(url.pathname)?.[1]));
  const ids = url.searchParams.get('ids');
  if (url.pathname.endsWith('/top-clients')) answer(whole);
  else if (ids) answer({ ...whole, clients: whole.clients.filter(({ id }) => ids.split(',').includes(id)) });
  else {
    let body = '';
    req.on('data', (chunk) => {
      body += chunk;
    });
    req.on('end', () => answer({ sellers: (JSON.parse(body).sellerIds as number[]).map(list) }));
  }
}
const SICKNESSES: Readonly<Record<string, RequestListener>> = {
  'answers 500': (_, res) => void res.writeHead(500).end('{}'),
  'answers what nobody understands': (_, res) => void res.end('{"clients": [{"name": 7}]'),
  'never answers': () => {},
  'stops in the middle of its answer': (_, res) =>
    void res.writeHead(200, { 'content-type': 'application/json' }).write('{"sellerId":1,'),
  'closes the connection': (req) => void req.socket.destroy(),
};

let folder: string;
let postgres: LocalPostgres;
let source: Server;
let sourcePort: number;
const running: Array<() => Promise<void>> = [];
const address = { gig: '/gigs/1', user: '/users/1', search: '/search' };
let title: Record<PageName, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'deliveries-'));
  postgres = await startPostgres({ dataDir: folder });
  await makeUsers(postgres, PAGE_NAMES);
  for (const page of PAGE_NAMES) {
    await postgres.createDatabase(page);
    for (const delivery of ['asynchronous', 'hybrid'] as const) {
      await migratePage(page, postgres.url(page), { delivery, version: 1 }, silentLog, {
        users: namesOf(page),
      });
      const db = openDatabase(page, delivery);
      const projection = projectionsOf(page)[delivery];
      await projection.upsert(
        db,
        [1, 2].map((id) => projection.toRow(eventOf(id))),
      );
      await db.end();
    }
  }
  const made = SELLERS.map((id) => madeUp(id, SELLERS.length));
  const gigs = made.flatMap((one) => one.gigs.slice(0, 1));
  const listings = made.flatMap((one) => one.listings.slice(0, 1));
  const databases = { gig: openDatabase('gig'), user: openDatabase('user'), search: openDatabase('search') };
  await insertGigs(databases.gig, gigs);
  await insertUserProfiles(
    databases.user,
    made.map((one) => one.profile),
  );
  await insertListings(databases.search, listings);
  for (const db of Object.values(databases)) await db.end();
  title = { gig: gigs[0]!.title, user: made[0]!.profile.display_name, search: listings[0]!.title };
  source = createServer((req, res) => {
    truth.calls += 1;
    truth.behave(req, res);
  });
  sourcePort = await listen(source, 0, '127.0.0.1');
});

afterAll(async () => {
  for (const stop of running.reverse()) await stop();
  source.closeAllConnections();
  await drain(source);
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
});

const openDatabase = (page: PageName, delivery?: 'asynchronous' | 'hybrid', url = postgres.url(page)) =>
  openPool(
    {
      url,
      applicationName: 'deliveries',
      maximum: 4,
      statementTimeoutMs: 0.4 * PAGE_DEADLINE_MS,
      connectTimeoutMs: 0.4 * PAGE_DEADLINE_MS,
      ...(delivery ? { searchPath: [viewSchema(delivery, 1), 'public'] } : {}),
    },
    silentLog,
  );

interface ServedAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly ms: number;
}

/** One page under one delivery, in this process, on a port of its own. */
async function serve(
  page: PageName,
  name: DeliveryName,
  over: { sourceUrl?: string; databaseUrl?: string; versionCallsPerMinute?: number } = {},
): Promise<((path?: string, init?: RequestInit) => Promise<ServedAnswer>) & { metrics: Metrics }> {
  const { delivery, parallel } = DELIVERIES[name];
  const held = delivery === 'asynchronous' || delivery === 'hybrid' ? delivery : undefined;
  const metrics = openMetrics({ processMetrics: false });
  const deps = { log: silentLog, metrics };
  const pool = openDatabase(page, held, over.databaseUrl ?? postgres.url(page, userName('page', page)));
  const transport = openTransport(
    {
      url: over.sourceUrl ?? `http://127.0.0.1:${sourcePort}`,
      concurrency: 16,
      breakMs: 20,
      identity: openCallerIdentity(null, page, deps),
    },
    silentLog,
  );
  const app = createPageApp({
    links: {},
    trustedProxies: ['loopback'],
    log: silentLog,
    metrics,
    tracing: NO_TRACING,
    releases: new Releases(silentLog),
    mount: mountPage(PAGES[page], {
      delivery,
      parallel,
      database: new OwnDatabase(pool, silentLog),
      source: openPageReads(transport),
      feed: NO_INVALIDATION_FEED,
      traceLinks: new TraceLinks(),
      sourceDeadlineMs: SOURCE_DEADLINE_MS,
      pageDeadlineMs: PAGE_DEADLINE_MS,
      versionCallsPerMinute: over.versionCallsPerMinute ?? 0,
    }),
  });
  const server = createServer(app);
  const port = await listen(server, 0, '127.0.0.1');
  running.push(async () => {
    server.closeAllConnections();
    await drain(server);
    await transport.close();
    await pool.end();
  });
  const get = async (path = address[page], init: RequestInit = {}) => {
    const began = performance.now();
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, init);
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, text, ms: performance.now() - began };
  };
  return Object.assign(get, { metrics });
}

const JSON_PLEASE = { headers: { accept: 'application/json' } };
const outcomeOf = (answer: ServedAnswer) => answer.headers.get('top-clients');
/** What the JSON says about seller 1, wherever the page has it. */
function viewIn(answer: ServedAnswer): TopClientsView {
  const body = JSON.parse(answer.text) as {
    topClients?: unknown;
    cards?: Array<{ sellerId: number; topClients: unknown }>;
  };
  return TopClientsView.parse(body.topClients ?? body.cards?.find((card) => card.sellerId === 1)?.topClients);
}
const asksSource = (delivery: DeliveryName) => delivery !== 'asynchronous' && delivery !== 'off';

describe.each(EVERY)('the %s page, %s', (page, delivery) => {
  let get: Awaited<ReturnType<typeof serve>>;
  beforeAll(async () => {
    get = await serve(page, delivery);
    // The first answer of a process pays for its connections.
    await get();
  });

  test('shows the brands, and says that it has them all', async () => {
    truth.behave = healthy;
    const answer = await get();
    expect(answer.status).toBe(200);
    expect(answer.text).toContain(title[page]);
    expect(outcomeOf(answer)).toBe(delivery === 'off' ? null : 'full');
    expect(answer.text.includes('&lt;b&gt;Bold&lt;/b&gt; &amp; &quot;Sons&quot;')).toBe(delivery !== 'off');
    expect(answer.text).not.toContain('<b>Bold');
    expect(answer.headers.get('server-timing')).toMatch(
      /^own;dur=[\d.]+, source;dur=[\d.]+, render;dur=[\d.]+$/,
    );
    expect(answer.headers.get('vary')).toContain('Accept');
    if (page !== 'search' && delivery !== 'off') {
      // A hybrid page is at the version at which its view named the clients.
      const version = delivery.startsWith('synchronous') ? TRUE_VERSION : VIEW_VERSION;
      expect(answer.headers.get('top-clients-version')).toBe(String(version));
      expect(Number(answer.headers.get('top-clients-age'))).toBeGreaterThan(0);
    }
  });

  test('gives the same as JSON', async () => {
    truth.behave = healthy;
    const answer = await get(undefined, JSON_PLEASE);
    expect(answer.headers.get('content-type')).toBe('application/json');
    if (delivery === 'off') return expect(answer.text).not.toContain('topClients');
    const view = viewIn(answer);
    const count = delivery.startsWith('synchronous') || (delivery === 'hybrid' && page === 'search') ? 4 : 3;
    expect(view).toMatchObject({ outcome: 'full', total: count });
    expect(view.clients).toHaveLength(page === 'search' ? 3 : count);
    expect(view.clients[0]?.name).toBe('<b>Bold</b> & "Sons"');
  });

  test('asks the source of truth once a page at most, and only when its delivery has to', async () => {
    truth.behave = healthy;
    truth.calls = 0;
    await get();
    expect(truth.calls).toBe(asksSource(delivery) ? 1 : 0);
    if (page === 'search') return;
    truth.calls = 0;
    for (const sellerId of [2, 3]) {
      const answer = await get(address[page].replace('1', String(sellerId)));
      expect(outcomeOf(answer)).toBe(delivery === 'off' ? null : 'full');
    }
    expect(truth.calls).toBe(delivery.startsWith('synchronous') ? 2 : 0);
  });

  test.each(Object.keys(SICKNESSES))('is whole and in time when the source of truth %s', async (sickness) => {
    truth.behave = SICKNESSES[sickness]!;
    const answer = await get();
    expect(answer.status).toBe(200);
    expect(answer.text).toContain(title[page]);
    expect(answer.ms).toBeLessThan(IN_TIME_MS);
    expect(outcomeOf(answer)).toBe(delivery === 'off' ? null : asksSource(delivery) ? 'missing' : 'full');
    expect(answer.text.includes('Brand 1')).toBe(delivery === 'asynchronous');
    if (delivery === 'off') return;
    const view = viewIn(await get(undefined, JSON_PLEASE));
    if (asksSource(delivery))
      expect(view).toEqual({ outcome: 'missing', version: null, ageMs: null, clients: [], total: 0 });
    else expect(view).toMatchObject({ outcome: 'full', version: VIEW_VERSION });
  });
});

describe.each(PAGE_NAMES)('the %s page without a source of truth', (page) => {
  test.each(Object.keys(DELIVERIES) as DeliveryName[])('is whole, %s', async (delivery) => {
    // A port that is closed: nobody listens on 1.
    const get = await serve(page, delivery, { sourceUrl: 'http://127.0.0.1:1' });
    for (let i = 0; i < 12; i++) {
      const answer = await get();
      expect(answer.status).toBe(200);
      expect(answer.text).toContain(title[page]);
      expect(outcomeOf(answer)).toBe(delivery === 'off' ? null : asksSource(delivery) ? 'missing' : 'full');
    }
  });
});

describe.each(PAGE_NAMES)('minVersion on the %s page', (page) => {
  const atLeast = (version: number) =>
    `${address[page]}?minVersion=${page === 'search' ? `1:${version}` : version}`;
  const versionIn = async (get: Awaited<ReturnType<typeof serve>>, path: string) => {
    const view = viewIn(await get(path, JSON_PLEASE));
    return [view.outcome, view.version];
  };

  test('asynchronous: the view when it is new enough, else the source of truth, else the stale view that says so', async () => {
    const get = await serve(page, 'asynchronous');
    truth.behave = healthy;
    truth.calls = 0;
    expect(await versionIn(get, atLeast(VIEW_VERSION))).toEqual(['full', VIEW_VERSION]);
    expect(truth.calls).toBe(0);
    expect(await versionIn(get, atLeast(TRUE_VERSION))).toEqual(['full', TRUE_VERSION]);
    expect(truth.calls).toBe(1);
    truth.behave = SICKNESSES['never answers']!;
    const stale = await get(atLeast(TRUE_VERSION));
    expect(outcomeOf(stale)).toBe('stale');
    expect(stale.text).toContain('Brand 1');
    expect(stale.ms).toBeLessThan(IN_TIME_MS);
    expect(stale.headers.get('cache-control')).toBe('no-store');
  });

  test('the header says the same', async () => {
    const get = await serve(page, 'asynchronous');
    truth.behave = healthy;
    const value = page === 'search' ? `1:${TRUE_VERSION}` : String(TRUE_VERSION);
    const answer = await get(undefined, {
      headers: { accept: 'application/json', 'top-clients-min-version': value },
    });
    expect(viewIn(answer).version).toBe(TRUE_VERSION);
  });

  test('hybrid: the whole list from the source of truth, else nothing', async () => {
    const get = await serve(page, 'hybrid');
    truth.behave = healthy;
    expect(await versionIn(get, atLeast(TRUE_VERSION))).toEqual(['full', TRUE_VERSION]);
    truth.behave = SICKNESSES['answers 500']!;
    expect(await versionIn(get, atLeast(TRUE_VERSION))).toEqual(['missing', null]);
  });

  test.each([...Object.keys(DELIVERIES)] as DeliveryName[])(
    'a version that the source of truth does not have either is the mistake of who asks, %s',
    async (delivery) => {
      const get = await serve(page, delivery);
      truth.behave = healthy;
      for (const version of [TRUE_VERSION + 1, Number.MAX_SAFE_INTEGER]) {
        const answer = await get(atLeast(version), JSON_PLEASE);
        if (delivery === 'off') {
          expect(answer.status).toBe(200);
          continue;
        }
        expect(answer.status).toBe(400);
        expect(JSON.parse(answer.text)).toMatchObject({
          type: 'urn:top-clients:problem:invalid-request',
          detail: expect.stringContaining(`seller 1 is at version ${TRUE_VERSION}`),
          errors: [{ at: 'minVersion' }],
        });
        const forPeople = await get(atLeast(version));
        expect(forPeople.status).toBe(400);
        expect(forPeople.text).toContain(`is at version ${TRUE_VERSION}`);
      }
      expect(outcomeOf(await get(atLeast(TRUE_VERSION)))).toBe(delivery === 'off' ? null : 'full');
      // No promise of ours was broken.
      const told = await get.metrics.registry.metrics();
      expect(told).not.toMatch(/topclients_page_renders_total{.*outcome="(stale|missing|error)"} [1-9]/);
      if (delivery === 'off') return;
      expect(told).toContain(`topclients_page_min_version_refused_total{page="${page}",result="beyond"} 4`);
    },
  );

  test.each(['asynchronous', 'hybrid'] as const)(
    'who asks again and again for what the view does not have is told to wait, others and other pages go on, %s',
    async (delivery) => {
      const get = await serve(page, delivery, { versionCallsPerMinute: 3 });
      const from = (client: string, path = atLeast(TRUE_VERSION)) =>
        get(path, { headers: { accept: 'application/json', 'x-forwarded-for': client } });
      truth.behave = healthy;
      truth.calls = 0;
      for (let i = 0; i < 3; i++) expect((await from('2001:db8::1')).status).toBe(200);
      for (const path of [atLeast(TRUE_VERSION), atLeast(Number.MAX_SAFE_INTEGER)]) {
        // One network, one client.
        const limited = await from('2001:db8::ffff:1', path);
        expect(limited.status).toBe(429);
        expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0);
        expect(JSON.parse(limited.text)).toMatchObject({
          type: 'urn:top-clients:problem:too-many-requests',
          detail: expect.stringContaining('leave minVersion out'),
        });
      }
      expect(truth.calls).toBe(3);
      // What the view has needs no call, and is had.
      expect((await from('2001:db8::1', atLeast(VIEW_VERSION))).status).toBe(200);
      expect((await from('2001:db8::1', address[page])).status).toBe(200);
      expect((await from('192.0.2.7')).status).toBe(200);
      const told = await get.metrics.registry.metrics();
      expect(told).toContain(`topclients_page_min_version_refused_total{page="${page}",result="limited"} 2`);
    },
  );

  test('what is no version is refused, in words and as a problem document', async () => {
    const get = await serve(page, 'asynchronous');
    for (const nonsense of ['x', '-1', '1.5', page === 'search' ? '7' : '1:7']) {
      const path = `${address[page]}?minVersion=${nonsense}`;
      expect((await get(path)).status).toBe(400);
      const answer = await get(path, JSON_PLEASE);
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
      expect(JSON.parse(answer.text)).toMatchObject({ status: 400, errors: [{ at: 'minVersion' }] });
    }
  });
});

test.each(PAGE_NAMES)(
  'the %s page shows what the view holds at that moment, and nothing of an erased seller',
  async (page) => {
    const get = await serve(page, 'asynchronous');
    const path = address[page].replace('1', '2');
    const db = openDatabase(page, 'asynchronous');
    const { asynchronous: projection } = projectionsOf(page);
    const shows = async () => {
      const { text } = await get(path);
      return ['Early Bird', 'Second Wind'].filter((name) => text.includes(name));
    };
    const brand = (name: string) => ({ ...clientsOf(1, 1)[0]!, name });
    const change = (version: number, ...names: string[]) =>
      projection.upsert(db, [projection.toRow({ ...eventOf(2, version), clients: names.map(brand) })]);

    expect(await shows()).toEqual([]);
    expect(await change(5, 'Early Bird')).toBe(1);
    expect(await shows()).toEqual(['Early Bird']);
    expect(await change(6, 'Second Wind')).toBe(1);
    expect(await shows()).toEqual(['Second Wind']);
    // Late and repeated messages change nothing.
    expect([await change(5, 'Early Bird'), await change(6, 'Early Bird')]).toEqual([0, 0]);
    expect(await shows()).toEqual(['Second Wind']);
    expect(await change(7)).toBe(1);
    expect(await shows()).toEqual([]);
    await db.end();
  },
);

test('in parallel the source of truth is asked while the page still reads; one after the other, only afterwards', async () => {
  truth.behave = healthy;
  const locker = new pg.Client(postgres.url('user'));
  await locker.connect();
  const isWaiting = async () => {
    const { rows } = await locker.query(
      "select from pg_locks where not granted and relation = 'user_profile'::regclass",
    );
    return rows.length > 0;
  };
  const askedMeanwhile = async (name: DeliveryName) => {
    const get = await serve('user', name);
    await get();
    await locker.query('begin');
    await locker.query('lock table user_profile in access exclusive mode');
    truth.calls = 0;
    const answer = get();
    while (!(await isWaiting())) await new Promise((resolve) => setImmediate(resolve));
    if (name === 'synchronous, in parallel') {
      while (truth.calls === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const calls = truth.calls;
    await locker.query('rollback');
    expect(outcomeOf(await answer)).toBe('full');
    return calls;
  };
  expect(await askedMeanwhile('synchronous, in parallel')).toBe(1);
  expect(await askedMeanwhile('synchronous, one after the other')).toBe(0);
  expect(truth.calls).toBe(1);
  await locker.end();
});

describe.each(PAGE_NAMES)('the %s page without its own database', (page) => {
  test('answers 503 at once when the database is gone', async () => {
    const get = await serve(page, 'asynchronous', { databaseUrl: 'postgres://postgres@127.0.0.1:1/none' });
    for (let i = 0; i < 8; i++) {
      const answer = await get();
      expect(answer.status).toBe(503);
      expect(answer.headers.get('retry-after')).toBe('2');
      expect(answer.text).toContain('We will be right back');
      expect(answer.ms).toBeLessThan(IN_TIME_MS);
    }
    const problem = await get(undefined, JSON_PLEASE);
    expect(problem.headers.get('content-type')).toBe('application/problem+json');
    expect(JSON.parse(problem.text)).toMatchObject({ status: 503 });
  });

  test.each(Object.keys(DELIVERIES) as DeliveryName[])(
    'answers 503 within its deadline when the database hangs, and heals by itself, %s',
    async (delivery) => {
      truth.behave = healthy;
      const get = await serve(page, delivery);
      expect((await get()).status).toBe(200);
      const locker = new pg.Client(postgres.url(page));
      await locker.connect();
      await locker.query('begin');
      await locker.query(
        page === 'gig'
          ? 'lock table gig in access exclusive mode'
          : page === 'user'
            ? 'lock table user_profile in access exclusive mode'
            : 'lock table listing in access exclusive mode',
      );
      // More than the pool has connections: the others wait for one, and not for ever.
      const answers = await Promise.all(Array.from({ length: 12 }, () => get()));
      await locker.query('rollback');
      await locker.end();
      for (const answer of answers) {
        expect(answer.status).toBe(503);
        expect(answer.ms).toBeLessThan(IN_TIME_MS);
      }
      let healed = await get();
      while (healed.status !== 200) healed = await get();
      expect(healed.text).toContain(title[page]);
    },
  );
});

describe.each(PAGE_NAMES)('addresses of the %s page', (page) => {
  const nowhere = {
    gig: ['/gigs/999', '/gigs/0', '/gigs/x', '/gigs/1.5', '/gigs/99999999999999999999', '/gigs', '/users/1'],
    user: ['/users/999', '/users/0', '/users/x', '/users/-1', '/users', '/gigs/1'],
    search: ['/search?page=2', '/search?page=22', '/search/1', '/gigs/1'],
  }[page];
  const refused = {
    gig: ['/gigs/1?minVersion=1&minVersion=2', '/gigs/%E0%A4%A'],
    user: ['/users/1?minVersion=1&minVersion=2', '/users/%E0%A4%A'],
    search: [
      '/search?page=0',
      '/search?page=x',
      '/search?q=%00',
      `/search?q=${'a'.repeat(201)}`,
      '/search?q=a&q=b',
    ],
  }[page];

  test.each(nowhere)('%s is a 404 page', async (path) => {
    const get = await serve(page, 'asynchronous');
    const answer = await get(path);
    expect(answer.status).toBe(404);
    expect(answer.text).toContain('There is nothing here');
    expect(JSON.parse((await get(path, JSON_PLEASE)).text)).toMatchObject({
      status: 404,
      type: expect.any(String),
    });
  });

  test.each(refused)('%s is refused with what to change', async (path) => {
    const get = await serve(page, 'asynchronous');
    expect((await get(path)).status).toBe(400);
    expect(JSON.parse((await get(path, JSON_PLEASE)).text)).toMatchObject({ status: 400 });
  });

  test('another method is 405, another media type 406', async () => {
    const get = await serve(page, 'asynchronous');
    const posted = await get(undefined, { method: 'POST' });
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    expect((await get(undefined, { headers: { accept: 'image/png' } })).status).toBe(406);
    const head = await get(undefined, { method: 'HEAD' });
    expect([head.status, head.text, outcomeOf(head)]).toEqual([200, '', 'full']);
  });

  test('every answer forbids foreign and inline code', async () => {
    const get = await serve(page, 'asynchronous');
    const answers = [
      ...[undefined, '/', '/nowhere', '/logos/spotify.svg', '/assets/site.css'].map((path) => get(path)),
      get(`${address[page]}${address[page].includes('?') ? '&' : '?'}minVersion=x`),
      get(undefined, { method: 'POST' }),
      get(undefined, { headers: { accept: 'image/png' } }),
      get(undefined, JSON_PLEASE),
    ];
    for (const { headers } of await Promise.all(answers)) {
      expect(headers.get('x-request-id')).toMatch(/^[\w-]{36}$/);
      expect(headers.get('content-security-policy')).toContain("default-src 'none'");
      expect(headers.get('content-security-policy')).not.toContain('unsafe');
      expect(headers.get('x-content-type-options')).toBe('nosniff');
    }
    expect((await get('/logos/spotify.svg')).headers.get('content-type')).toBe('image/svg+xml');
    expect((await get('/logos/no_such_brand.svg')).status).toBe(404);
    expect((await get('/logos/..%2f..%2fpackage.svg')).status).toBe(404);
  });
});
