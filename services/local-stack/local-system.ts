/** PostgreSQL, Kafka and an issuer of tokens on this machine, and what is started upon them; all of it ends in reverse. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Database, userName } from '#contracts/database-users.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { ensureTopic } from '#platform/kafka/topics.ts';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { migratePage, migrateSource } from '../migrate/main.ts';
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
  /** Where all data and logs are: `<role>.log`, `kafka`, `postgres`. A temporary one, taken away at the end, when absent. */
  readonly folder?: string;
  readonly postgres?: Partial<PostgresOptions>;
  /** A server of their own for the databases of pages; one holds all when absent. */
  readonly pagesPostgres?: Partial<PostgresOptions>;
  readonly kafka?: Partial<KafkaOptions>;
  /** How every role is run. */
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
  /** As everybody reaches everybody when nothing is between them. Ports come by {@link reserve}. */
  readonly addresses: Addresses;
  /** Takes free ports for these processes, each only once. */
  reserve(...names: string[]): Promise<void>;
  /** To be ended with the rest, before what was started earlier. */
  keep<T extends Stoppable>(one: T): T;
  /** Straight to a database as its owner; ended with the rest. */
  pool(database: Database, options: Partial<Parameters<typeof openPool>[0]> & { maximum: number }): Pool;
  /** Makes databases and topic, and brings them to this version. */
  prepare(system: System): Promise<void>;
  start(process: RoleProcess, options?: Partial<RunOptions>): Promise<RunningRole>;
  /** Starts group after group; resolves when all are ready. A failure waits for the others of its group. */
  startAll(groups: System['roles'], options?: Partial<RunOptions>): Promise<RunningRole[]>;
  stop(): Promise<void>;
}

/** Starts the servers, makes the users of all databases, then does `work`; ends what was started when that fails. */
export async function startLocalSystem<T>(
  options: LocalSystemOptions,
  work: (local: LocalSystem) => Promise<T>,
): Promise<T> {
  const running: Stoppable[] = [];
  const stop = () => stopInReverse(running.splice(0));
  try {
    return await work(await openLocalSystem(options, running, stop));
  } catch (err) {
    // What does not stop either is not why it failed.
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
  const serverOf = (database: Database) => (database === 'source' ? servers.source : servers.pages);
  const url = (database: Database) => serverOf(database).url(database);
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
      await together([
        ...databases.map((database) => serverOf(database).createDatabase(database)),
        ensureTopic(openKafka('local-stack', { brokers: [broker.bootstrap] }, silentLog), topic),
      ]);
      // Two of one database would wait for each other.
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

/** As the role `migrate` does it, in this process. */
async function applyMigration(migration: Migration, url: (database: Database) => string): Promise<void> {
  if (migration.target === 'topics') return;
  const { target, database, users } = migration;
  if (target === 'source') await migrateSource(url(database), silentLog, { users });
  else await migratePage(target, url(database), migration.view, silentLog, { users });
}
