/**
 * Page servers over a real primary and a real streaming standby: which of the two dies, and how, no visit fails. Between the
 * page servers and each of them stands an address that can lead to another server, as a Service of a cluster does.
 */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { userName } from '#contracts/database-users.ts';
import { insertGigs } from '#pages/gig/own-data.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { insertListings } from '#pages/search/own-data.ts';
import { pause } from '#platform/lifecycle.ts';
import { listen } from '#platform/listen.ts';
import { silentLog } from '#platform/log.ts';
import { openPool } from '#platform/postgres.ts';
import { resetConnection } from '#platform/sockets.ts';
import { makeUsers, namesOf } from '../../services/local-stack/database-users.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { type RunningRole, runRole } from '../../services/local-stack/run-role.ts';
import { together } from '../../services/local-stack/together.ts';
import { until } from '../../services/local-stack/until.ts';
import { migratePage } from '../../services/migrate/databases.ts';
import { seller as madeUp } from '../../services/seed/sellers.ts';

jest.setTimeout(60_000);

const PAGES = { gig: '/gigs/1', search: '/search' } as const;
type Name = keyof typeof PAGES;
const NAMES = Object.keys(PAGES) as Name[];
/** What the objective of a page allows it. Machines that do much else get more; a page that hung would be later. */
const DEADLINE_MS = 1_000;
/** And the machine does not: what was written is there afterwards, and a start after a crash is quick. */
const PROCESSES_DIE = { fsync: false };
/** Visits that a fault has to be survived by, of each page. */
const ENOUGH = 40;

let folder: string;
let primary: LocalPostgres;
let standby: LocalPostgres;
let nextStandby: LocalPostgres;
let service: Service;
let replicaService: Service;
const servers = new Map<Name, RunningRole>();

/** The address of whoever is the primary, or a standby. Connections stay with whom they were led to. */
interface Service extends Server {
  port: number;
  leadsTo: number;
}

async function openService(leadsTo: number): Promise<Service> {
  const open = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect({ port: opened.leadsTo, host: '127.0.0.1' });
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one);
      one.pipe(other);
      one.once('error', () => resetConnection(other));
      one.once('close', () => {
        open.delete(one);
        other.destroy();
      });
    }
  });
  server.once('close', () => {
    for (const socket of open) socket.destroy();
  });
  const opened = Object.assign(server, { port: await listen(server, 0, '127.0.0.1'), leadsTo });
  return opened;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'read-replica-'));
  primary = await startPostgres({ dataDir: join(folder, 'primary'), settings: PROCESSES_DIE });
  await makeUsers(primary, NAMES);
  const made = [1, 2, 3].map((id) => madeUp(id, 3));
  for (const page of NAMES) {
    await primary.createDatabase(page);
    const view = { delivery: 'asynchronous', version: 1 } as const;
    await migratePage(page, primary.url(page), view, silentLog, { users: namesOf(page) });
    const db = openOwner(page, primary);
    if (page === 'gig')
      await insertGigs(
        db,
        made.flatMap(({ gigs }) => gigs.slice(0, 1)),
      );
    else
      await insertListings(
        db,
        made.flatMap(({ listings }) => listings.slice(0, 1)),
      );
    await db.end();
    await write(page, primary, 1);
  }
  standby = await startPostgres({
    dataDir: join(folder, 'standby'),
    standbyOf: primary,
    settings: PROCESSES_DIE,
  });
  service = await openService(primary.port);
  replicaService = await openService(standby.port);
  await together(
    NAMES.map(async (page) => {
      const [httpPort, healthPort] = [await freePort(), await freePort()];
      const user = userName('page', page);
      const addressOf = (postgres: LocalPostgres, { port }: Service) => {
        const address = new URL(postgres.url(page, user));
        address.port = String(port);
        return address.href;
      };
      const env = {
        TC_PAGE: page,
        TC_PORT: String(httpPort),
        TC_HEALTH_PORT: String(healthPort),
        TC_DATABASE_URL: addressOf(primary, service),
        TC_DATABASE_REPLICA_URL: addressOf(standby, replicaService),
        TC_REPLICA_LAG_MS: '3000',
        // Nobody is there.
        TC_SOURCE_URL: 'http://127.0.0.1:1',
      };
      servers.set(
        page,
        await runRole({ name: page, role: 'page-server', port: httpPort, healthPort, env }, { logs: folder }),
      );
    }),
  );
}, 120_000);
afterAll(async () => {
  for (const server of servers.values()) await server.stop();
  service?.close();
  replicaService?.close();
  await nextStandby?.stop();
  await standby?.stop();
  await primary?.stop();
  await rm(folder, { recursive: true, force: true });
});

const openOwner = (page: Name, postgres: LocalPostgres) =>
  openPool(
    {
      url: postgres.url(page),
      applicationName: 'spec',
      maximum: 1,
      statementTimeoutMs: 10_000,
      connectTimeoutMs: 5_000,
      searchPath: [viewSchema('asynchronous', 1), 'public'],
    },
    silentLog,
  );

/** Writes the version of seller 1 as a projector does. */
async function write(page: Name, postgres: LocalPostgres, version: number): Promise<void> {
  const projection = projectionsOf(page).asynchronous;
  const db = openOwner(page, postgres);
  const event = {
    sellerId: 1,
    version,
    committedAt: '2026-11-28T10:00:00.000Z',
    change: { type: 'seller-erased' as const },
    clients: [],
  };
  await projection.upsert(db, [projection.toRow(event)]);
  await db.end();
}

interface Visit {
  readonly page: Name;
  readonly visitor: number;
  readonly status: number;
  /** Of seller 1. */
  readonly version: number | null;
  readonly ofReplica: boolean;
  readonly ms: number;
}

async function visit(page: Name, visitor = 0): Promise<Visit> {
  const began = performance.now();
  const answer = await fetch(servers.get(page)!.url + PAGES[page], {
    headers: { accept: 'application/json' },
  });
  const body = (await answer.json()) as {
    topClients?: { version: number };
    cards?: { sellerId: number; topClients: { version: number } }[];
  };
  const shown = body.topClients ?? body.cards?.find(({ sellerId }) => sellerId === 1)?.topClients;
  return {
    page,
    visitor,
    status: answer.status,
    version: shown?.version ?? null,
    ofReplica: answer.headers.get('server-timing')?.includes('desc="replica"') ?? false,
    ms: performance.now() - began,
  };
}

/** Visits both pages all the time, by two visitors each, while `work` goes on. */
async function visited(work: (soFar: readonly Visit[]) => Promise<void>): Promise<readonly Visit[]> {
  const visits: Visit[] = [];
  let goesOn = true;
  const visitors = [...NAMES, ...NAMES].map(async (page, visitor) => {
    while (goesOn) visits.push(await visit(page, visitor));
  });
  try {
    await work(visits);
  } finally {
    goesOn = false;
    await Promise.all(visitors);
  }
  return visits;
}

/** Waits until each page was visited often enough from now on, and answered from where it should. */
async function enough(visits: readonly Visit[], from: 'primary' | 'replica'): Promise<void> {
  const seen = visits.length;
  const are = (page: Name) =>
    visits.slice(seen).filter((one) => one.page === page && one.ofReplica === (from === 'replica')).length;
  await until(`each page was answered ${ENOUGH} times from the ${from}`, () =>
    NAMES.every((page) => are(page) >= ENOUGH),
  );
}

function expectNoFailure(visits: readonly Visit[]): void {
  const failed = visits.filter(({ status, version }) => status !== 200 || version === null);
  if (failed.length > 0) {
    const said = [...servers.values()].map(({ logFile }) =>
      readFileSync(logFile, 'utf8').split('\n').slice(-40),
    );
    throw new Error(`${JSON.stringify(failed)}\n${said.flat().join('\n')}`);
  }
  expect(Math.max(...visits.map(({ ms }) => ms))).toBeLessThan(4 * DEADLINE_MS);
  // No visitor of a page with a cache goes back in time.
  const byVisitor = Map.groupBy(
    visits.filter(({ page }) => page === 'gig'),
    ({ visitor }) => visitor,
  );
  for (const one of byVisitor.values()) {
    const versions = one.map(({ version }) => version!);
    expect(versions).toEqual([...versions].sort((x, y) => x - y));
  }
}

const isConnected = async () =>
  (await servers.get('gig')!.metric('topclients_page_cache_invalidation_connected')) === 1;

/** The servers know how far the standby is. */
const isFollowed = async () => {
  for (const server of servers.values()) {
    const at = await server.metric('topclients_page_replica_current_timestamp_seconds');
    if (Date.now() / 1_000 - at > 1.5) return false;
  }
  return true;
};

test('while all is well the primary answers', async () => {
  await until('the standby is known', isFollowed);
  await until('the cache is invalidated by notifications', isConnected);
  const visits = await visited((soFar) => enough(soFar, 'primary'));
  expectNoFailure(visits);
  expect(
    await servers.get('gig')!.metric('topclients_page_database_reads_total', 'server="primary"'),
  ).toBeGreaterThan(0);
});

test.each(['SIGKILL', 'SIGSTOP'] as const)('no visit fails while the standby gets %s', async (signal) => {
  const visits = await visited(async (soFar) => {
    standby.killAll(signal);
    await enough(soFar, 'primary');
    if (signal === 'SIGSTOP') standby.killAll('SIGCONT');
    else await standby.restart();
    await until('the standby is known again', isFollowed);
    // What was still asked of it has failed by then, and the circuit breaker lets try it again: the next fault is another one.
    await pause(DEADLINE_MS + 500);
  });
  expectNoFailure(visits);
});

let version = 1;

test.each<[string, () => unknown, () => unknown]>([
  ['is killed', () => primary.killAll('SIGKILL'), () => primary.restart()],
  ['hangs, with every connection to it', () => primary.killAll('SIGSTOP'), () => primary.killAll('SIGCONT')],
  // A fast shutdown: sessions get 57P01. Restarted at once, so that a part of the visits finds it starting.
  ['is restarted', () => primary.restart(), () => {}],
])('no visit fails while the primary %s, and it answers again afterwards', async (how, harm, heal) => {
  const visits = await visited(async (soFar) => {
    await harm();
    if (how !== 'is restarted') await enough(soFar, 'replica');
    await heal();
    await enough(soFar, 'primary');
    await until('notifications arrive again', isConnected);
    // What the standby answered is not cached.
    version += 1;
    for (const page of NAMES) await write(page, primary, version);
    const seen = soFar.length;
    await until('both pages show the change', () =>
      NAMES.every((page) => soFar.slice(seen).some((one) => one.page === page && one.version === version)),
    );
  });
  expectNoFailure(visits);
});

test('a standby that is too far behind is not read', async () => {
  const stopReplay = openOwner('gig', standby);
  await stopReplay.query('select pg_wal_replay_pause()');
  version += 1;
  await write('gig', primary, version);
  await until('the standby is found behind', async () => {
    const at = await servers.get('gig')!.metric('topclients_page_replica_current_timestamp_seconds');
    return Date.now() / 1_000 - at > 5;
  });
  const before = await servers.get('gig')!.metric('topclients_page_database_reads_total', 'server="replica"');
  primary.killAll('SIGKILL');
  await until('the page is refused rather than old', async () => (await visit('gig')).status === 503);
  expect(await servers.get('gig')!.metric('topclients_page_database_reads_total', 'server="replica"')).toBe(
    before,
  );
  // It has received all of it.
  await stopReplay.query('select pg_wal_replay_resume()');
  await stopReplay.end();
  await until('the page is shown from it', async () => {
    const shown = await visit('gig');
    return shown.ofReplica && shown.version === version;
  });
});

test('when the standby takes over, the same address leads to it, and all is as before', async () => {
  const visits = await visited(async (soFar) => {
    await standby.promote();
    service.leadsTo = standby.port;
    await enough(soFar, 'primary');
    await until('notifications arrive again', isConnected);
    version += 1;
    await write('gig', standby, version);
    await until('the change is shown', () => soFar.some((one) => one.version === version));
  });
  expectNoFailure(visits);
});

test('and what stayed connected with it as a standby goes to the next one, so that it may fail too', async () => {
  nextStandby = await startPostgres({
    dataDir: join(folder, 'next-standby'),
    standbyOf: standby,
    settings: PROCESSES_DIE,
  });
  replicaService.leadsTo = nextStandby.port;
  const asked = openOwner('gig', nextStandby);
  await until('each page is connected with the next standby', async () => {
    const { rows } = await asked.query<{ databases: number }>(
      'select count(distinct datname)::int as databases from pg_stat_activity where usename <> current_user',
    );
    return rows[0]!.databases === NAMES.length;
  });
  await asked.end();
  const visits = await visited(async (soFar) => {
    standby.killAll('SIGSTOP');
    await enough(soFar, 'replica');
    standby.killAll('SIGCONT');
    await enough(soFar, 'primary');
  });
  expectNoFailure(visits);
});
