/**
 * What is measured: PostgreSQL, Kafka and every role as processes of their own, as in production, and for each page one
 * server a variant, all of them on the same data.
 */

import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { insertGigs } from '#pages/gig/own-data.ts';
import { viewSchema } from '#pages/projection.ts';
import { insertListings } from '#pages/search/own-data.ts';
import { insertUserProfiles } from '#pages/user/own-data.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { ensureTopic } from '#platform/kafka/topics.ts';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { openDelayProxy } from '../../services/demo/delay-proxy.ts';
import { CALLER_KEY, credential } from '../../services/local-stack/callers.ts';
import { asItsUser, makeUsers, namesOf } from '../../services/local-stack/database-users.ts';
import { startIssuer } from '../../services/local-stack/issuer.ts';
import { startKafka } from '../../services/local-stack/kafka.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { type ManagedProcess, startProcess, stopInReverse } from '../../services/local-stack/process.ts';
import { until } from '../../services/local-stack/until.ts';
import { migratePage, migrateSource } from '../../services/migrate/main.ts';
import { clientsOf, seller } from '../../services/seed/sellers.ts';
import { addClients } from '../../services/seed/source.ts';
import { ranksWithClients, sellersByRank } from './sample.ts';
import { type ConditionName, type PageName, SLOW_MS, VARIANTS, type VariantName } from './variants.ts';

const MAIN = fileURLToPath(new URL('../../services/main.ts', import.meta.url));
const VIEWS = ['asynchronous', 'hybrid'] as const;
/** One visited seller in so many: the others lend related gigs, and choice among those with and without clients. */
const SELLERS_PER_VISITED = 4;
const CHUNK = 500;

export interface PageServer {
  readonly url: string;
  readonly pid: number;
  /** Sums of its metrics by name and, of renders and calls, by outcome: `topclients_page_renders_total/full`. */
  counters(): Promise<ReadonlyMap<string, number>>;
}

export interface World {
  readonly postgres: LocalPostgres;
  /** The sellers that are visited, the most popular first. */
  readonly ranked: readonly number[];
  /** Those of them who have clients. */
  readonly withClients: readonly number[];
  /** Sellers with clients who stand on the first page of the search for everything. */
  readonly onFirstPage: readonly number[];
  readonly source: Pool;
  server(page: PageName, variant: VariantName): PageServer;
  /** Of the source of truth; null while a condition keeps it down. */
  sourcePid(): number | null;
  /** Brings a condition about; the returned function heals it, and resolves when all views have caught up. */
  bringAbout(condition: ConditionName): Promise<() => Promise<void>>;
  /** Bytes of the tables that hold top clients, with their indexes, by database and delivery. */
  bytes(): Promise<Readonly<Record<string, number>>>;
  stop(): Promise<void>;
}

export interface WorldOptions {
  readonly pages: readonly PageName[];
  readonly variants: readonly VariantName[];
  readonly sellers: number;
  /** Of the visits that meet a seller with clients, 0 to 1. */
  readonly share: number;
  readonly log: (message: string) => void;
}

/** @throws what a part throws that does not start; what had been started is stopped again */
export async function startWorld(options: WorldOptions): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'top-clients-bench-'));
  const running: { stop(): Promise<unknown> }[] = [
    { stop: () => rm(folder, { recursive: true, force: true }) },
  ];
  try {
    return await start(options, folder, running);
  } catch (err) {
    await stopInReverse(running);
    throw err;
  }
}

async function start(
  options: WorldOptions,
  folder: string,
  running: { stop(): Promise<unknown> }[],
): Promise<World> {
  const { pages, log } = options;
  // The default is too few for fifteen page servers at once.
  const postgres = await startPostgres({
    dataDir: join(folder, 'postgres'),
    settings: { max_connections: 400 },
  });
  running.push(postgres);
  const kafka = await startKafka({ dataDir: join(folder, 'kafka') });
  running.push(kafka);
  const issuer = await startIssuer();
  running.push({ stop: () => issuer.close() });

  await Promise.all(['source', ...pages].map((name) => postgres.createDatabase(name)));
  await ensureTopic(openKafka('bench', { brokers: [kafka.bootstrap] }, silentLog), {
    ...SELLER_EVENTS,
    partitions: SELLER_EVENTS.defaultPartitions,
    replication: 1,
  });
  await makeUsers(postgres, ['source', ...pages]);
  await migrateSource(postgres.url('source'), silentLog, { users: namesOf('source') });
  for (const page of pages) {
    for (const delivery of VIEWS)
      await migratePage(page, postgres.url(page), { delivery, version: 1 }, silentLog, {
        users: namesOf(page),
      });
  }
  const pool = (database: string): Pool => {
    const opened = openPool(
      {
        url: postgres.url(database),
        applicationName: 'bench',
        maximum: 8,
        statementTimeoutMs: 120_000,
        connectTimeoutMs: 10_000,
      },
      silentLog,
    );
    running.push({ stop: () => opened.end() });
    return opened;
  };
  const source = pool('source');
  const databases = new Map(pages.map((page) => [page, pool(page)]));

  log('filling the databases');
  const { ranked, withClients } = await fill(options, source, databases);

  const role = async (name: string, program: string, env: Readonly<Record<string, string | number>>) => {
    const healthPort = await freePort();
    const started = await startProcess({
      name,
      command: process.execPath,
      args: [MAIN, program],
      cwd: folder,
      env: {
        NODE_OPTIONS: undefined,
        NODE_COMPILE_CACHE: join(tmpdir(), 'top-clients-compile-cache'),
        TC_HEALTH_PORT: String(healthPort),
        TC_LOG_LEVEL: 'warn',
        ...Object.fromEntries(
          Object.entries(asItsUser(program, env)).map(([key, value]) => [key, String(value)]),
        ),
      },
      logFile: join(folder, `${name}.log`),
      readyUrl: `http://127.0.0.1:${healthPort}/readyz`,
      readyTimeoutMs: 60_000,
      // Kafka's end must not be theirs: a relay or projector that gives up comes back, as on a cluster.
      ...(program === 'outbox-relay' || program === 'projector'
        ? { restart: { max: 1_000, maxDelayMs: 1_000 } }
        : {}),
    });
    running.push(started);
    return { started, healthPort };
  };

  const publicSource = await freePort();
  const innerSource = await freePort();
  const startSource = async (port: number): Promise<ManagedProcess> =>
    (
      await role('top-clients', 'top-clients', {
        TC_PORT: port,
        TC_DATABASE_URL: postgres.url('source'),
        TC_JWKS_URL: issuer.jwksUrl,
        TC_JWT_ISSUER: issuer.issuer,
        TC_JWT_AUDIENCE: issuer.audience,
        TC_CALLER_KEY: CALLER_KEY,
        // Only what is measured is written.
        TC_CANARY_INTERVAL_MS: 0,
      })
    ).started;
  let sourceProcess: ManagedProcess | null = await startSource(publicSource);
  await role('outbox-relay', 'outbox-relay', {
    TC_DATABASE_URL: postgres.url('source'),
    TC_KAFKA_BROKERS: kafka.bootstrap,
  });
  for (const page of pages) {
    for (const delivery of VIEWS) {
      await role(`projector-${page}-${delivery}`, 'projector', {
        TC_PAGE: page,
        TC_DELIVERY: delivery,
        TC_DATABASE_URL: postgres.url(page),
        TC_KAFKA_BROKERS: kafka.bootstrap,
      });
    }
  }
  const settle = () => caughtUp(source, databases);
  log('building the views');
  await settle();
  // What filling left behind is not for the first measurement to pay.
  for (const opened of [source, ...databases.values()]) await opened.query('vacuum full analyze');
  await source.query('checkpoint');

  const servers = new Map<string, PageServer>();
  for (const page of pages) {
    for (const variant of options.variants) {
      const port = await freePort();
      const { delivery, parallel } = VARIANTS[variant];
      const { started, healthPort } = await role(`${page}-${variant}`, 'page-server', {
        TC_PAGE: page,
        TC_DELIVERY: delivery,
        ...(parallel === undefined ? {} : { TC_PARALLEL: String(parallel) }),
        TC_PORT: port,
        TC_HOST: '127.0.0.1',
        // All of the load comes from one address.
        TC_CONNECTIONS: 2_000,
        TC_CONNECTIONS_PER_CLIENT: 1_000,
        TC_REQUESTS_IN_FLIGHT: 1_000,
        TC_REQUESTS_PER_CLIENT: 1_000,
        TC_DATABASE_URL: postgres.url(page),
        TC_SOURCE_URL: `http://127.0.0.1:${publicSource}`,
        TC_SOURCE_CREDENTIAL: credential(page),
      });
      servers.set(`${page}/${variant}`, {
        url: `http://127.0.0.1:${port}`,
        get pid() {
          return started.pid;
        },
        counters: async () => {
          const answer = await fetch(`http://127.0.0.1:${healthPort}/metrics`, {
            signal: AbortSignal.timeout(10_000),
          });
          return countersOf(await answer.text());
        },
      });
    }
  }

  async function killSource(): Promise<void> {
    await sourceProcess?.stop();
    sourceProcess = null;
  }

  const conditions: Record<ConditionName, () => Promise<() => Promise<void>>> = {
    healthy: async () => async () => {},
    'source-killed': async () => {
      sourceProcess?.kill('SIGKILL');
      await killSource();
      return async () => {};
    },
    // On the source's own port, so that nothing stands between page and source while all is well.
    'source-slow': async () => {
      await killSource();
      sourceProcess = await startSource(innerSource);
      const proxy = await openDelayProxy(publicSource, innerSource);
      proxy.delayMs = SLOW_MS;
      return () => proxy.close();
    },
    'source-500': async () => {
      await killSource();
      const broken = createServer((req, res) => {
        req.resume();
        res.writeHead(500, { 'content-type': 'application/problem+json' }).end('{"status":500}');
      });
      await new Promise<void>((resolve, reject) => {
        broken.once('error', reject).listen(publicSource, '127.0.0.1', resolve);
      });
      return () =>
        new Promise((resolve) => {
          broken.close(() => resolve());
          broken.closeAllConnections();
        });
    },
    'kafka-down': async () => {
      const exited = kafka.exited;
      kafka.kill('SIGKILL');
      await exited;
      return () => kafka.restart();
    },
  };

  return {
    postgres,
    ranked,
    withClients,
    onFirstPage: await firstPage(databases.get('search'), withClients),
    source,
    server(page, variant) {
      const found = servers.get(`${page}/${variant}`);
      if (!found) throw new Error(`there is no server of ${page} under ${variant}`);
      return found;
    },
    sourcePid: () => sourceProcess?.pid ?? null,
    async bringAbout(condition) {
      const heal = await conditions[condition]();
      return async () => {
        await heal();
        if (condition.startsWith('source-')) {
          await killSource();
          sourceProcess = await startSource(publicSource);
        }
        await settle();
      };
    },
    bytes: () => bytesOf(source, databases),
    stop: () => stopInReverse(running.splice(0)),
  };
}

async function fill(
  { sellers, share }: WorldOptions,
  source: Pool,
  databases: ReadonlyMap<PageName, Pool>,
): Promise<{ ranked: number[]; withClients: number[] }> {
  const withClients = ranksWithClients(sellers, share);
  // Far enough to find as many of each kind as are needed: at least a fifth of all sellers have clients.
  const all = Array.from({ length: sellers * SELLERS_PER_VISITED + 1_000 }, (_, i) => 10 + i);
  const some = all.filter((id) => clientsOf(id).length > 0);
  const none = all.filter((id) => clientsOf(id).length === 0);
  const ranked = sellersByRank(withClients, { some, none });
  const last = all.at(-1)!;
  const chosen = ranked.filter((_, rank) => withClients[rank]);
  const now = new Date().toISOString();
  for (let at = 0; at < chosen.length; at += CHUNK)
    await addClients(source, chosen.slice(at, at + CHUNK), now);
  const [gig, user, search] = [databases.get('gig'), databases.get('user'), databases.get('search')];
  // Related gigs lead to sellers who are not visited themselves.
  if (gig) {
    for (let at = 0; at < all.length; at += CHUNK) {
      await insertGigs(
        gig,
        all.slice(at, at + CHUNK).flatMap((id) => seller(id, last).gigs),
      );
    }
  }
  for (let at = 0; at < ranked.length; at += CHUNK) {
    const made = ranked.slice(at, at + CHUNK).map((id) => seller(id, last));
    if (user)
      await insertUserProfiles(
        user,
        made.map((one) => one.profile),
      );
    if (search)
      await insertListings(
        search,
        made.flatMap((one) => one.listings),
      );
  }
  return { ranked, withClients: chosen };
}

const TABLE = (delivery: (typeof VIEWS)[number]) => `${viewSchema(delivery, 1)}.top_clients`;

/** Until every view has the version of every seller that the source has. */
async function caughtUp(source: Pool, databases: ReadonlyMap<PageName, Pool>): Promise<void> {
  const sum = async (db: Pool, table: string) => {
    const { rows } = await db.query(`select coalesce(sum(version), 0)::bigint as sum from ${table}`);
    return Number(rows[0].sum);
  };
  await until(
    'every view has caught up',
    async () => {
      const wanted = await sum(source, 'seller');
      for (const db of databases.values()) {
        for (const delivery of VIEWS) if ((await sum(db, TABLE(delivery))) !== wanted) return false;
      }
      return true;
    },
    180_000,
    200,
  );
}

async function firstPage(search: Pool | undefined, withClients: readonly number[]): Promise<number[]> {
  if (!search) return [];
  const { rows } = await search.query<{ seller_id: number }>(
    "select seller_id from find_listings('', 0, 48)",
  );
  const known = new Set(withClients);
  return [...new Set(rows.map((row) => row.seller_id))].filter((id) => known.has(id));
}

async function bytesOf(
  source: Pool,
  databases: ReadonlyMap<PageName, Pool>,
): Promise<Record<string, number>> {
  const size = async (db: Pool, tables: readonly string[]) => {
    const { rows } = await db.query(
      'select sum(pg_total_relation_size(name::regclass))::bigint as bytes from unnest($1::text[]) as name',
      [tables],
    );
    return Number(rows[0].bytes);
  };
  const result: Record<string, number> = {
    'source: state': await size(source, ['seller']),
    'source: event log': await size(source, ['seller_event']),
  };
  for (const [page, db] of databases) {
    for (const delivery of VIEWS) result[`${page}: ${delivery}`] = await size(db, [TABLE(delivery)]);
  }
  return result;
}

/** Sums over all series of a name, and over those of a name with a `result` or `outcome`. Exported for its spec. */
export function countersOf(exposition: string): Map<string, number> {
  const sums = new Map<string, number>();
  for (const line of exposition.split('\n')) {
    const found = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) continue;
    const [, name, labels = '', value] = found;
    const kind = /(?:outcome|result)="([^"]*)"/.exec(labels)?.[1];
    for (const key of kind === undefined ? [name!] : [name!, `${name}/${kind}`]) {
      sums.set(key, (sums.get(key) ?? 0) + Number(value));
    }
  }
  return sums;
}
