/** The data path on this machine: real PostgreSQL, real Kafka, and the roles as separate processes. */
import { viewSchema } from '#pages/projection.ts';
import type { Pool } from '#platform/postgres.ts';
import { asItsUser } from './database-users.ts';
import type { KafkaOptions, LocalKafka } from './kafka.ts';
import { startLocalSystem } from './local-system.ts';
import { freePort } from './ports.ts';
import type { LocalPostgres, PostgresOptions } from './postgres.ts';
import { type RestartPolicy, runToEnd } from './process.ts';
import { commandOf, type RunningRole, surroundings } from './run-role.ts';
import {
  describeRole,
  describeSystem,
  type RoleDeclaration,
  type RoleProcess,
  type SystemDeclaration,
} from './system.ts';

export const VIEW = viewSchema('asynchronous', 1);
/** One page; roles are started when asked for. */
const DATA_PATH: SystemDeclaration = { pages: { gig: [{ delivery: 'asynchronous' }] }, roles: [] };

export interface Pipeline {
  readonly folder: string;
  readonly postgres: LocalPostgres;
  readonly kafka: LocalKafka;
  /** The server of the pages' databases: the same one, unless they have one of their own. */
  readonly pagesPostgres: LocalPostgres;
  /** The database of the source of truth. */
  readonly source: Pool;
  /** The gig page's database, with its asynchronous view first in the search path. */
  readonly view: Pool;
  /** Starts a role with the settings that it has in the whole system, on ports of its own. */
  start(role: RoleDeclaration, options?: RoleOptions): Promise<RunningRole>;
  /** Starts a role with these settings. Addresses of the superuser among them become those of the role's own user. */
  startRole(name: string, role: string, options?: RoleOptions): Promise<RunningRole>;
  /** Like `startRole` for a role that ends by itself; resolves to its output. Throws when it fails. */
  runRole(role: string, env: Readonly<Record<string, string>>): Promise<string>;
  relay(name?: string, options?: RoleOptions): Promise<RunningRole>;
  /** Starts a projector of the gig page. */
  projector(name?: string, options?: RoleOptions): Promise<RunningRole>;
  stop(): Promise<void>;
}

export interface RoleOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly restart?: RestartPolicy;
  /** Added to the flags of every role. */
  readonly nodeFlags?: readonly string[];
  /** False returns before the role is ready. */
  readonly ready?: boolean;
  /** The `main.ts` to run it from; the project's when absent. */
  readonly main?: string;
}

/** Short, so that a projector killed with -9 loses its partitions soon. */
const SESSION_TIMEOUT_MS = 1_500;

export interface PipelineOptions {
  readonly partitions?: number;
  /** Further pages, with their views. */
  readonly pages?: SystemDeclaration['pages'];
  readonly kafka?: Partial<KafkaOptions>;
  readonly postgres?: Partial<PostgresOptions>;
  /** A server of their own for the pages' databases; when absent, they are on the source's. */
  readonly pagesPostgres?: Partial<PostgresOptions>;
}

export async function startPipeline(options: PipelineOptions = {}): Promise<Pipeline> {
  const { partitions, pages, kafka = {}, postgres = {}, pagesPostgres } = options;
  return startLocalSystem({ kafka, postgres, ...(pagesPostgres ? { pagesPostgres } : {}) }, async (local) => {
    const declaration = {
      ...DATA_PATH,
      pages: { ...DATA_PATH.pages, ...pages },
      ...(partitions === undefined ? {} : { partitions }),
    };
    await local.prepare(describeSystem(declaration, local.addresses));

    const launch = (process: RoleProcess, { env = {}, nodeFlags, restart, ready, main }: RoleOptions) =>
      local.start(process, {
        env: asItsUser(process.role, env),
        ...(nodeFlags ? { nodeFlags } : {}),
        ...(main ? { main } : {}),
        until: ready === false ? 'alive' : 'ready',
        ...(restart ? { restart } : {}),
      });
    let sourcePort: number | undefined;
    const start: Pipeline['start'] = async (one, roleOptions = {}) => {
      // Two roles of the same name may run at once.
      const [port, healthPort] = [await freePort(), await freePort()];
      if (one.role === 'top-clients') sourcePort = port;
      const at = {
        ...local.addresses,
        port: () => port,
        healthPort: () => healthPort,
        // Before a source is started, this port refuses connections.
        source: () => `http://127.0.0.1:${sourcePort ?? 1}`,
      };
      return launch(describeRole(one, at), roleOptions);
    };
    const startRole: Pipeline['startRole'] = async (name, role, roleOptions = {}) => {
      const healthPort = await freePort();
      const env = { TC_KAFKA_BROKERS: local.kafka.bootstrap, TC_HEALTH_PORT: String(healthPort) };
      return launch({ name, role, healthPort, env }, roleOptions);
    };
    return {
      folder: local.folder,
      postgres: local.postgres.source,
      pagesPostgres: local.postgres.pages,
      kafka: local.kafka,
      source: local.pool('source', { maximum: 16 }),
      view: local.pool('gig', { maximum: 8, searchPath: [VIEW, 'public'] }),
      start,
      startRole,
      runRole: (role, env) => {
        const { command, args } = commandOf(role, { heap: 'unlimited' });
        return runToEnd(command, args, {
          env: { ...surroundings(), TC_HEALTH_PORT: '0', ...asItsUser(role, env) },
        });
      },
      relay: (name = 'relay', roleOptions = {}) => start({ role: 'outbox-relay', name }, roleOptions),
      projector: (name = 'projector', roleOptions = {}) =>
        start(
          { role: 'projector', name, page: 'gig', env: { TC_SESSION_TIMEOUT_MS: SESSION_TIMEOUT_MS } },
          roleOptions,
        ),
      stop: local.stop,
    };
  });
}
