/** The data path on this machine: real PostgreSQL, real Kafka, the roles as processes of their own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { viewSchema } from '#pages/projection.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { ensureTopic } from '#platform/kafka/topics.ts';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { migratePage, migrateSource } from '../migrate/main.ts';
import { asItsUser, makeUsers, namesOf } from './database-users.ts';
import { type KafkaOptions, type LocalKafka, startKafka } from './kafka.ts';
import { freePort } from './ports.ts';
import { type LocalPostgres, type PostgresOptions, startPostgres } from './postgres.ts';
import { type ManagedProcess, type RestartPolicy, runToEnd, startProcess } from './process.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
export const VIEW = viewSchema('asynchronous', 1);

export interface RoleProcess extends ManagedProcess {
  /** The sum of a metric's series whose line contains `labels`; 0 when there is none. */
  metric(name: string, labels?: string): Promise<number>;
  /** Whether there is such a series. */
  has(name: string, labels: string): Promise<boolean>;
  /** What `/readyz` says: `ok`, or why it is not ready. */
  readiness(): Promise<string>;
}

export interface Pipeline {
  readonly folder: string;
  readonly postgres: LocalPostgres;
  readonly kafka: LocalKafka;
  /** The database of the source of truth. */
  readonly source: Pool;
  /** The gig page's database, its asynchronous view first in the search path. */
  readonly view: Pool;
  /** Addresses of the superuser among its settings become those of its own user, which needs no more. */
  startRole(name: string, role: string, options?: RoleOptions): Promise<RoleProcess>;
  /** Runs a role that ends by itself, as `startRole` does; resolves to what it wrote. Throws when it fails. */
  runRole(role: string, env: Readonly<Record<string, string>>): Promise<string>;
  relay(name?: string, options?: RoleOptions): Promise<RoleProcess>;
  /** A projector of the gig page. */
  projector(name?: string, options?: RoleOptions): Promise<RoleProcess>;
  stop(): Promise<void>;
}

export interface RoleOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly restart?: RestartPolicy;
  readonly nodeFlags?: readonly string[];
  /** False returns before the role is ready. */
  readonly ready?: boolean;
}

/** As in a pod of 256 MiB: Node takes more memory, and V8 more threads, the more the machine has. */
export const NODE_FLAGS = ['--max-semi-space-size=8', '--max-old-space-size=192', '--v8-pool-size=1'];

/** Short, so that a projector killed with -9 gives its partitions back soon. */
const SESSION_TIMEOUT_MS = 1_500;

export async function startPipeline(
  options: { partitions?: number; kafka?: Partial<KafkaOptions>; postgres?: Partial<PostgresOptions> } = {},
): Promise<Pipeline> {
  const folder = await mkdtemp(join(tmpdir(), 'top-clients-'));
  const releases: Array<() => Promise<unknown>> = [() => rm(folder, { recursive: true, force: true })];
  const stop = async () => {
    for (const release of releases.reverse()) await release();
  };
  try {
    const [postgres, kafka] = await Promise.all([
      startPostgres({ dataDir: join(folder, 'postgres'), ...options.postgres }),
      startKafka({ dataDir: join(folder, 'kafka'), ...options.kafka }),
    ]);
    releases.push(
      () => postgres.stop(),
      () => kafka.stop(),
    );
    await Promise.all(['source', 'gig'].map((name) => postgres.createDatabase(name)));
    await makeUsers(postgres, ['source', 'gig', 'user', 'search', 'self_view']);
    await migrateSource(postgres.url('source'), silentLog, { users: namesOf('source') });
    const first = { delivery: 'asynchronous', version: 1 } as const;
    await migratePage('gig', postgres.url('gig'), first, silentLog, { users: namesOf('gig') });
    await ensureTopic(openKafka('set-up', { brokers: [kafka.bootstrap] }, silentLog), {
      topic: SELLER_EVENTS.topic,
      partitions: options.partitions ?? SELLER_EVENTS.defaultPartitions,
      replication: 1,
      settings: SELLER_EVENTS.settings,
    });
    const pool = (database: string, maximum: number) =>
      openPool(
        {
          url: postgres.url(database),
          applicationName: 'test',
          maximum,
          statementTimeoutMs: 60_000,
          connectTimeoutMs: 5_000,
          ...(database === 'source' ? {} : { searchPath: [VIEW, 'public'] }),
        },
        silentLog,
      );
    const source = pool('source', 16);
    const view = pool('gig', 8);
    releases.push(
      () => source.end(),
      () => view.end(),
    );

    const startRole: Pipeline['startRole'] = async (
      name,
      role,
      { env = {}, restart, nodeFlags = [], ready = true } = {},
    ) => {
      const healthPort = await freePort();
      const started = await startProcess({
        name,
        command: process.execPath,
        args: [...NODE_FLAGS, ...nodeFlags, MAIN, role],
        env: {
          NODE_OPTIONS: undefined,
          NODE_COMPILE_CACHE: join(tmpdir(), 'top-clients-compile-cache'),
          TC_KAFKA_BROKERS: kafka.bootstrap,
          TC_HEALTH_PORT: String(healthPort),
          ...asItsUser(role, env),
        },
        cwd: folder,
        logFile: join(folder, `${name}.log`),
        readyUrl: `http://127.0.0.1:${healthPort}/${ready ? 'readyz' : 'livez'}`,
        readyTimeoutMs: 60_000,
        stopTimeoutMs: 20_000,
        ...(restart ? { restart } : {}),
      });
      releases.push(() => started.stop());
      const series = async (metricName: string, labels: string) => {
        const answer = await fetch(`http://127.0.0.1:${healthPort}/metrics`, {
          signal: AbortSignal.timeout(5_000),
        });
        return (await answer.text())
          .split('\n')
          .filter((line) => line.startsWith(`${metricName}{`) || line.startsWith(`${metricName} `))
          .filter((line) => line.includes(labels));
      };
      return Object.assign(Object.create(started) as ManagedProcess, {
        readiness: async () => {
          const answer = await fetch(`http://127.0.0.1:${healthPort}/readyz`, {
            signal: AbortSignal.timeout(5_000),
          });
          return (await answer.text()).trim();
        },
        metric: async (metricName: string, labels = '') =>
          (await series(metricName, labels)).reduce(
            (sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)),
            0,
          ),
        has: async (metricName: string, labels: string) => (await series(metricName, labels)).length > 0,
      });
    };
    return {
      folder,
      postgres,
      kafka,
      source,
      view,
      startRole,
      runRole: (role, env) =>
        runToEnd(process.execPath, [MAIN, role], {
          env: { NODE_OPTIONS: undefined, TC_HEALTH_PORT: '0', ...asItsUser(role, env) },
        }),
      relay: (name = 'relay', roleOptions = {}) =>
        startRole(name, 'outbox-relay', {
          ...roleOptions,
          env: { TC_DATABASE_URL: postgres.url('source'), ...roleOptions.env },
        }),
      projector: (name = 'projector', roleOptions = {}) =>
        startRole(name, 'projector', {
          ...roleOptions,
          env: {
            TC_PAGE: 'gig',
            TC_DATABASE_URL: postgres.url('gig'),
            TC_SESSION_TIMEOUT_MS: String(SESSION_TIMEOUT_MS),
            ...roleOptions.env,
          },
        }),
      stop,
    };
  } catch (err) {
    await stop();
    throw err;
  }
}
