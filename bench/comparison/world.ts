/**
 * The measured system: PostgreSQL, Kafka and every role as separate processes, as in production. Each page has one
 * server for each variant, all on the same data.
 */

import { createServer } from 'node:http';
import type { PageName } from '#contracts/pages.ts';
import { insertGigs } from '#pages/gig/own-data.ts';
import { viewSchema } from '#pages/projection.ts';
import { insertListings } from '#pages/search/own-data.ts';
import { insertUserProfiles } from '#pages/user/own-data.ts';
import type { Pool } from '#platform/postgres.ts';
import { openDelayProxy } from '../../services/demo/delay-proxy.ts';
import { type LocalSystem, startLocalSystem } from '../../services/local-stack/local-system.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import type { LocalPostgres } from '../../services/local-stack/postgres.ts';
import type { ManagedProcess } from '../../services/local-stack/process.ts';
import {
  describeRole,
  describeSystem,
  nameOf,
  type RoleDeclaration,
  type SystemDeclaration,
} from '../../services/local-stack/system.ts';
import { until } from '../../services/local-stack/until.ts';
import { clientsOf, seller } from '../../services/seed/sellers.ts';
import { addClients } from '../../services/seed/source.ts';
import { ranksWithClients, sellersByRank } from './sample.ts';
import { type ConditionName, SLOW_MS, VARIANTS, type VariantName } from './variants.ts';

const VIEWS = ['asynchronous', 'hybrid'] as const;
/**
 * One of this many sellers is visited: the others give related gigs, and a choice of those with and without clients.
 */
const SELLERS_PER_VISITED = 4;
const CHUNK = 500;

export interface PageServer {
  readonly url: string;
  readonly pid: number;
  /** Sums of its metrics by name; of renders and calls also by outcome: `topclients_page_renders_total/full`. */
  counters(): Promise<ReadonlyMap<string, number>>;
}

export interface BenchWorld {
  readonly postgres: LocalPostgres;
  /** The visited sellers, the most popular first. */
  readonly ranked: readonly number[];
  /** Those of them who have clients. */
  readonly withClients: readonly number[];
  /** Sellers with clients on the first page of the search for everything. */
  readonly onFirstPage: readonly number[];
  readonly source: Pool;
  server(page: PageName, variant: VariantName): PageServer;
  /** The pid of the source of truth; null while a condition keeps it down. */
  sourcePid(): number | null;
  /** Sets up a condition. The returned function ends it, and resolves when all views have caught up. */
  bringAbout(condition: ConditionName): Promise<() => Promise<void>>;
  /** Bytes of the tables with top clients, indexes included, by database and delivery. */
  bytes(): Promise<Readonly<Record<string, number>>>;
  stop(): Promise<void>;
}

export interface WorldOptions {
  readonly pages: readonly PageName[];
  readonly variants: readonly VariantName[];
  readonly sellers: number;
  /** The share of visits that meet a seller with clients, 0 to 1. */
  readonly share: number;
  readonly log: (message: string) => void;
}

const QUIET = { TC_LOG_LEVEL: 'warn' };
/** Only the measurement writes: the canary is off. */
const SOURCE: RoleDeclaration = { role: 'top-clients', env: { ...QUIET, TC_CANARY_INTERVAL_MS: 0 } };
const serverName = (page: PageName, variant: VariantName) => `${page}-${variant}`;

function declare({ pages, variants }: WorldOptions): SystemDeclaration {
  const feeding: RoleDeclaration[] = [
    { role: 'outbox-relay', env: QUIET },
    ...pages.flatMap((page) =>
      VIEWS.map(
        (delivery): RoleDeclaration => ({
          role: 'projector',
          name: `projector-${page}-${delivery}`,
          page,
          delivery,
          env: QUIET,
        }),
      ),
    ),
  ];
  const serving = pages.flatMap((page) =>
    variants.map(
      (variant): RoleDeclaration => ({
        role: 'page-server',
        name: serverName(page, variant),
        page,
        ...VARIANTS[variant],
        env: {
          ...QUIET,
          // The whole load comes from one address.
          TC_CONNECTIONS: 2_000,
          TC_CONNECTIONS_PER_CLIENT: 1_000,
          TC_REQUESTS_IN_FLIGHT: 1_000,
          TC_REQUESTS_PER_CLIENT: 1_000,
        },
      }),
    ),
  );
  return {
    pages: Object.fromEntries(pages.map((page) => [page, VIEWS.map((delivery) => ({ delivery }))])),
    roles: [feeding, serving],
  };
}

/** @throws the error of a part that does not start; the others are stopped again */
export async function startWorld(options: WorldOptions): Promise<BenchWorld> {
  return startLocalSystem(
    {
      // The default is too few for fifteen page servers at once.
      postgres: { settings: { max_connections: 400 } },
      run: { heap: 'unlimited' },
    },
    (local) => openWorld(local, options),
  );
}

async function openWorld(local: LocalSystem, options: WorldOptions): Promise<BenchWorld> {
  const { pages, log } = options;
  const declaration = declare(options);
  await local.reserve(nameOf(SOURCE), ...declaration.roles.flat().map(nameOf));
  const addresses = { ...local.addresses, host: '127.0.0.1' };
  const system = describeSystem(declaration, addresses);
  await local.prepare(system);
  const limits = {
    applicationName: 'bench',
    maximum: 8,
    statementTimeoutMs: 120_000,
    connectTimeoutMs: 10_000,
  };
  const source = local.pool('source', limits);
  const databases = new Map(pages.map((page) => [page, local.pool(page, limits)]));

  log('filling the databases');
  const { ranked, withClients } = await fill(options, source, databases);

  const publicSource = addresses.port(nameOf(SOURCE));
  const innerSource = await freePort();
  const startSource = (port: number): Promise<ManagedProcess> =>
    local.start(describeRole(SOURCE, { ...addresses, port: () => port }));
  let sourceProcess: ManagedProcess | null = await startSource(publicSource);
  const [feeding, serving] = system.roles.map((group) => group.map((one) => [one]));
  // Kafka's end must not end them: a relay or projector that exits is restarted, as on a cluster.
  await local.startAll(feeding!, { restart: { max: 1_000, maxDelayMs: 1_000 } });
  const settle = () => caughtUp(source, databases);
  log('building the views');
  await settle();
  // The first measurement must not pay for what filling the databases left behind.
  for (const opened of [source, ...databases.values()]) await opened.query('vacuum full analyze');
  await source.query('checkpoint');

  const servers = new Map(
    (await local.startAll(serving!)).map((started): [string, PageServer] => [
      started.name,
      {
        url: `http://127.0.0.1:${addresses.port(started.name)}`,
        get pid() {
          return started.pid;
        },
        counters: async () => countersOf(await started.metrics()),
      },
    ]),
  );

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
    // It listens on the source's own port, so that no proxy is between page and source in other conditions.
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
      const { exited } = local.kafka;
      local.kafka.kill('SIGKILL');
      await exited;
      return () => local.kafka.restart();
    },
  };

  return {
    postgres: local.postgres.source,
    ranked,
    withClients,
    onFirstPage: await firstPage(databases.get('search'), withClients),
    source,
    server(page, variant) {
      const found = servers.get(serverName(page, variant));
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
    stop: local.stop,
  };
}

async function fill(
  { sellers, share }: WorldOptions,
  source: Pool,
  databases: ReadonlyMap<PageName, Pool>,
): Promise<{ ranked: number[]; withClients: number[] }> {
  const withClients = ranksWithClients(sellers, share);
  // Enough sellers to find the needed number of each kind: at least a fifth of all sellers have clients.
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
  // Related gigs belong to sellers who are not visited themselves.
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

/** Waits until every view has the source's version of every seller. */
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
    "select seller_id from search_listings('', 0, 48, 48)",
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

/** Sums over all series of a name, and over those of a name by `result` or `outcome`. Exported for its spec. */
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
