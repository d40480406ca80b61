/** PostgreSQL, Kafka and a token issuer on this machine, and what is started on top; all of it stops in reverse. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Database, userName } from '#contracts/database-users.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { ensureTopic } from '#platform/kafka/topics.ts';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { migrateExternalPage, migratePage, migrateSource } from '../migrate/databases.ts';
import { CALLER_KEY } from './callers.ts';
import { DATABASES, makeUsers } from './database-users.ts';
import { startIssuer, type TestIssuer } from './issuer.ts';
import { type KafkaOptions, type LocalKafka, startKafka } from './kafka.ts';
import { freePort } from './ports.ts';
import { type LocalPostgres, type PostgresOptions, startPostgres } from './postgres.ts';
import { stopInReverse } from './process.ts';
import { type RunningRole, type RunOptions, runRole } from './run-role.ts';
import type { Addresses, Migration, RoleProcess, System } from './system.ts';
import { together } from './together.ts';

export interface LocalSystemOptions {
  /**
   * The folder of data and logs: `<role>.log`, `kafka`, `postgres`. When absent, a temporary one, removed at the end.
   */
  readonly folder?: string;
  readonly postgres?: Partial<PostgresOptions>;
  /** A separate server for the pages' databases; when absent, one server holds all databases. */
  readonly pagesPostgres?: Partial<PostgresOptions>;
  readonly kafka?: Partial<KafkaOptions>;
  /** Options for all roles. */
  readonly run?: Omit<RunOptions, 'logs'>;
}

interface Stoppable {
  stop(): Promise<unknown>;
}

export interface LocalSystem {
  readonly folder: string;
  readonly postgres: { readonly source: LocalPostgres; readonly pages: LocalPostgres };
  readonly kafka: LocalKafka;
  readonly issuer: TestIssuer;
  /** The addresses without proxies in between. Ports come from {@link reserve}. */
  readonly addresses: Addresses;
  /** Takes a free port for each of these processes, once for each name. */
  reserve(...names: string[]): Promise<void>;
  /** Stops this with the rest, before what was started earlier. */
  keep<T extends Stoppable>(one: T): T;
  /** A pool on a database as its owner; it is ended with the rest. */
  pool(database: Database, options: Partial<Parameters<typeof openPool>[0]> & { maximum: number }): Pool;
  /** Creates databases and topic, and migrates them to this version. */
  prepare(system: System): Promise<void>;
  start(process: RoleProcess, options?: Partial<RunOptions>): Promise<RunningRole>;
  /** Starts group after group; resolves when all are ready. After a failure it waits for the rest of the group. */
  startAll(groups: System['roles'], options?: Partial<RunOptions>): Promise<RunningRole[]>;
  stop(): Promise<void>;
}

/** Starts the servers, creates the users of all databases, then does `work`; stops what was started when that fails. */
export async function startLocalSystem<T>(
  options: LocalSystemOptions,
  work: (local: LocalSystem) => Promise<T>,
): Promise<T> {
  const running: Stoppable[] = [];
  const stop = () => stopInReverse(running.splice(0));
  try {
    return await work(await openLocalSystem(options, running, stop));
  } catch (err) {
    // A failure to stop must not hide the reason of the failed start.
    await stop().catch(() => {});
    throw err;
  }
}

async function openLocalSystem(
  { folder: given, postgres = {}, pagesPostgres, kafka = {}, run = {} }: LocalSystemOptions,
  running: Stoppable[],
  stop: () => Promise<void>,
): Promise<LocalSystem> {
  const folder = given ?? (await mkdtemp(join(tmpdir(), 'top-clients-')));
  if (given === undefined) running.push({ stop: () => rm(folder, { recursive: true, force: true }) });
  else await mkdir(folder, { recursive: true });
  const keep = <T extends Stoppable>(one: T): T => {
    running.push(one);
    return one;
  };
  const name = pagesPostgres ? 'postgres-source' : 'postgres';
  const [source, pages, broker, issuer] = await together([
    startPostgres({ dataDir: join(folder, name), ...postgres }).then(keep),
    pagesPostgres
      ? startPostgres({ dataDir: join(folder, 'postgres-pages'), ...pagesPostgres }).then(keep)
      : undefined,
    startKafka({ dataDir: join(folder, 'kafka'), ...kafka }).then(keep),
    startIssuer().then((one) => {
      keep({ stop: () => one.close() });
      return one;
    }),
  ]);
  const servers = { source, pages: pages ?? source };
  const serverOf = (database: string) => (database === 'source' ? servers.source : servers.pages);
  const url = (database: string) => serverOf(database).url(database);
  for (const server of new Set(Object.values(servers))) await makeUsers(server, DATABASES);

  const ports = new Map<string, number>();
  const portOf = (of: string): number => {
    const port = ports.get(of);
    if (port === undefined) throw new Error(`no port was reserved for ${of}`);
    return port;
  };
  const addresses: Addresses = {
    database: (database, user) =>
      serverOf(database).url(database, ...(user === 'owner' ? [] : [userName(user, database)])),
    brokers: () => broker.bootstrap,
    source: () => `http://127.0.0.1:${portOf('top-clients')}`,
    port: portOf,
    healthPort: (of) => portOf(`health of ${of}`),
    issuer,
    callerKey: CALLER_KEY,
  };
  const system: LocalSystem = {
    folder,
    postgres: servers,
    kafka: broker,
    issuer,
    addresses,
    async reserve(...names) {
      for (const of of names.flatMap((one) => [one, `health of ${one}`])) {
        if (!ports.has(of)) ports.set(of, await freePort());
      }
    },
    keep,
    pool(database, more) {
      const pool = openPool(
        {
          url: url(database),
          applicationName: 'local-stack',
          statementTimeoutMs: 60_000,
          connectTimeoutMs: 5_000,
          ...more,
        },
        silentLog,
      );
      keep({ stop: () => pool.end() });
      return pool;
    },
    async prepare({ databases, topic, migrations }) {
      const others = databases.filter((database) => !DATABASES.some((ours) => ours === database));
      await makeUsers(servers.pages, others);
      await together([
        ...databases.map((database) => serverOf(database).createDatabase(database)),
        ensureTopic(openKafka('local-stack', { brokers: [broker.bootstrap] }, silentLog), topic),
      ]);
      // Two migrations of one database would wait for each other.
      const ofOneDatabase = Map.groupBy(migrations, (one) =>
        one.target === 'topics' ? 'topics' : one.database,
      );
      await together(
        [...ofOneDatabase.values()].map(async (some) => {
          for (const one of some) await applyMigration(one, url);
        }),
      );
    },
    start: async (process, more) => keep(await runRole(process, { logs: folder, ...run, ...more })),
    async startAll(groups, more) {
      const started: RunningRole[] = [];
      for (const group of groups) {
        started.push(...(await together(group.map((process) => system.start(process, more)))));
      }
      return started;
    },
    stop,
  };
  return system;
}

/** Migrates like the role `migrate`, but in this process. */
async function applyMigration(migration: Migration, url: (database: string) => string): Promise<void> {
  if (migration.target === 'topics') return;
  if (migration.target === 'external') {
    const { page, view, readers } = migration;
    await migrateExternalPage(page, url(page), view, readers, silentLog);
    return;
  }
  const { target, database, users } = migration;
  if (target === 'source') await migrateSource(url(database), silentLog, { users });
  else await migratePage(target, url(database), migration.view, silentLog, { users });
}
