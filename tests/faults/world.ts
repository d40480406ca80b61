/**
 * The system under fault: real PostgreSQL (one server for the source of truth, one for the pages), real Kafka, every
 * role as a separate process under a supervisor, and a gate on every edge between them.
 */

import pg from 'pg';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { insertGigs } from '#pages/gig/own-data.ts';
import { viewSchema } from '#pages/projection.ts';
import { insertUserProfiles } from '#pages/user/own-data.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { silentLog } from '#platform/log.ts';
import type { Pool } from '#platform/postgres.ts';
import { seriesIn, sum } from '../../services/local-stack/exposition.ts';
import type { TestIssuer } from '../../services/local-stack/issuer.ts';
import type { LocalKafka } from '../../services/local-stack/kafka.ts';
import { type LocalSystem, startLocalSystem } from '../../services/local-stack/local-system.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import type { LocalPostgres } from '../../services/local-stack/postgres.ts';
import type { ManagedProcess } from '../../services/local-stack/process.ts';
import {
  type Addresses,
  describeRole,
  describeSystem,
  type RoleDeclaration,
  type SystemDeclaration,
} from '../../services/local-stack/system.ts';
import { until } from '../../services/local-stack/until.ts';
import { seller } from '../../services/seed/sellers.ts';
import { type Gate, openGate } from './gate.ts';

export const PAGES_UNDER_FAULT = ['gig', 'user'] as const;
export type PageUnderFault = (typeof PAGES_UNDER_FAULT)[number];
export const VIEW_SCHEMA = viewSchema('asynchronous', 1);

/** Sellers with a page to look at; they include all ids that clients use. */
export const SELLERS = 60;

/** Short, so that partitions of a killed projector change hands soon. */
export const SESSION_TIMEOUT_MS = 1_500;
const SHORT_SESSION = { TC_SESSION_TIMEOUT_MS: SESSION_TIMEOUT_MS };

const ROLES = {
  source: {
    role: 'top-clients',
    // Without writes nothing may move, so the canary is off.
    env: { TC_WRITES_PER_MINUTE: 0, TC_REQUESTS_PER_MINUTE: 0, TC_CANARY_INTERVAL_MS: 0 },
  },
  'relay-1': { role: 'outbox-relay' },
  'relay-2': { role: 'outbox-relay' },
  'projector-gig-1': { role: 'projector', page: 'gig', env: SHORT_SESSION },
  'projector-gig-2': { role: 'projector', page: 'gig', env: SHORT_SESSION },
  'projector-user': { role: 'projector', page: 'user', env: SHORT_SESSION },
  'page-gig': { role: 'page-server', page: 'gig', delivery: 'asynchronous' },
  'page-gig-synchronous': { role: 'page-server', page: 'gig', delivery: 'synchronous' },
  'page-user': { role: 'page-server', page: 'user', delivery: 'asynchronous' },
} as const satisfies Record<string, RoleDeclaration>;
/** A role's dependencies: each of these edges has a gate. */
const EDGES = {
  'top-clients': ['db'],
  'outbox-relay': ['db', 'kafka'],
  projector: ['db', 'kafka'],
  'page-server': ['db', 'source'],
} as const;
const PROTOCOLS = { db: 'postgres', kafka: 'kafka', source: 'opaque' } as const;
type Edge = keyof typeof PROTOCOLS;
const edgesOf = (name: RoleName): readonly Edge[] => EDGES[ROLES[name].role];
const serverOf = (name: RoleName): 'source' | 'pages' =>
  ['top-clients', 'outbox-relay'].includes(ROLES[name].role) ? 'source' : 'pages';

export type RoleName = keyof typeof ROLES;
export const ROLE_NAMES = Object.keys(ROLES) as RoleName[];
export type PageServer = Extract<RoleName, `page-${string}`>;

export interface RoleUnderFault {
  readonly name: RoleName;
  readonly process: ManagedProcess;
  /** The edges to its dependencies, by dependency: `db`, `kafka`, `source`. */
  readonly gates: Readonly<Record<string, Gate>>;
  /** `host:port` of its health port. */
  readonly health: string;
  /** The text of its `/metrics`; '' when it does not answer. */
  metrics(): Promise<string>;
  /** The sum of a metric's series; 0 when it does not answer. */
  metric(name: string): Promise<number>;
  isReady(): Promise<boolean>;
  /** Why it is not ready by its own report; null when it is ready. */
  notReadyBecause(): Promise<string | null>;
  /** Stops it and starts it with these variables added, until the next restart without any. */
  restartWith(env: Readonly<Record<string, string>>): Promise<void>;
}

export interface FaultWorld {
  /** The `main.ts` that the roles are run from. */
  readonly main: string;
  readonly folder: string;
  readonly issuer: TestIssuer;
  readonly kafka: LocalKafka;
  /** The server of the source of truth, and the pages' server. */
  readonly postgres: Readonly<Record<'source' | 'pages', LocalPostgres>>;
  /** Directly to the databases, without the gates. */
  readonly source: Pool;
  readonly views: Readonly<Record<PageUnderFault, Pool>>;
  /** The address of the source of truth for clients: the gate's while `clientsGate` is in use. */
  sourceUrl(): string;
  readonly clientsGate: { readonly gate: Gate; inUse: boolean };
  readonly pageUrls: Readonly<Record<PageServer, string>>;
  role(name: RoleName): RoleUnderFault;
  /** A third projector of the gig page, without gates, for as long as a fault needs it. Resolves when it is alive. */
  startFurtherProjector(): Promise<Pick<ManagedProcess, 'kill' | 'stop'>>;
  /** Resolves when every server answers and every role is ready. @throws after the time, naming those that are not */
  untilReady(timeoutMs: number): Promise<void>;
  stop(): Promise<void>;
}

export interface WorldOptions {
  readonly folder: string;
  /** The `main.ts` to run the roles from: the project's, or a mutated copy's. */
  readonly main: string;
  readonly log: (message: string) => void;
  /** For a disk that can fill up: where the data of a server is, instead of in the folder. */
  readonly dataDirs?: Readonly<Partial<Record<'kafka' | 'source' | 'pages', string>>>;
  readonly partitions?: number;
  readonly topicSettings?: Readonly<Record<string, string>>;
}

const SUPERVISED = { max: 10_000, firstDelayMs: 50, maxDelayMs: 500 };

/** When a part fails, everything that was started is stopped again. */
export async function startWorld(options: WorldOptions): Promise<FaultWorld> {
  const { folder, main, log, dataDirs = {} } = options;
  const kafkaPorts = await listenersFor(ROLE_NAMES.filter((name) => edgesOf(name).includes('kafka')));
  const server = (dataDir: string | undefined) => ({
    restart: SUPERVISED,
    log,
    ...(dataDir === undefined ? {} : { dataDir }),
  });
  return startLocalSystem(
    {
      folder,
      postgres: server(dataDirs.source),
      // The smallest queue possible: 512 kB can be filled in a moment.
      pagesPostgres: { ...server(dataDirs.pages), settings: { max_notify_queue_pages: 64 } },
      kafka: {
        ...server(dataDirs.kafka),
        port: kafkaPorts.client,
        controllerPort: kafkaPorts.controller,
        // So that compaction takes only seconds for the faults that need it.
        properties: { ...kafkaPorts.properties, 'log.cleaner.backoff.ms': 500 },
      },
      run: { main, log, until: 'alive' },
    },
    (local) => openWorld(local, options, kafkaPorts),
  );
}

async function openWorld(
  local: LocalSystem,
  { folder, main, partitions = 4, topicSettings = {} }: WorldOptions,
  kafkaPorts: Awaited<ReturnType<typeof listenersFor>>,
): Promise<FaultWorld> {
  const { kafka, postgres, issuer } = local;
  await local.reserve(...ROLE_NAMES);
  const sourcePort = local.addresses.port('source');
  const gateTo = async (protocol: (typeof PROTOCOLS)[Edge], port: number, target: number) => {
    const gate = await openGate(protocol, port, target);
    local.keep({ stop: () => gate.close() });
    return gate;
  };
  const clientsGate = { gate: await gateTo('opaque', await freePort(), sourcePort), inUse: false };
  const gates = new Map<string, Partial<Record<Edge, Gate>>>();
  for (const name of ROLE_NAMES) {
    const targets = {
      db: postgres[serverOf(name)].port,
      kafka: kafkaPorts.listeners[name]!,
      source: sourcePort,
    };
    const own: Partial<Record<Edge, Gate>> = {};
    for (const edge of edgesOf(name)) {
      const port = edge === 'kafka' ? kafkaPorts.gates[name]! : await freePort();
      own[edge] = await gateTo(PROTOCOLS[edge], port, targets[edge]);
    }
    gates.set(name, own);
  }
  /** The addresses as without gates, except where a role has a gate. */
  const addresses: Addresses = {
    ...local.addresses,
    database: (database, user, from) => {
      const address = new URL(local.addresses.database(database, user, from));
      const gate = gates.get(from)?.db;
      if (gate) address.port = String(gate.port);
      return address.href;
    },
    brokers: (from) => {
      const gate = gates.get(from)?.kafka;
      return gate ? `127.0.0.1:${gate.port}` : kafka.bootstrap;
    },
    source: (from) => `http://127.0.0.1:${gates.get(from)?.source?.port ?? sourcePort}`,
  };
  const declared = ROLE_NAMES.map((name): RoleDeclaration => ({ ...ROLES[name], name }));
  const declaration: SystemDeclaration = {
    pages: { gig: [{ delivery: 'asynchronous' }], user: [{ delivery: 'asynchronous' }] },
    // Three at a time: nine starts at once would slow each other down on two cores.
    roles: [declared.slice(0, 3), declared.slice(3, 6), declared.slice(6)],
    partitions,
    topicSettings,
  };
  const system = describeSystem(declaration, addresses);
  await local.prepare(system);

  const limits = {
    applicationName: 'faults',
    maximum: 6,
    statementTimeoutMs: 20_000,
    connectTimeoutMs: 3_000,
  };
  const source = local.pool('source', limits);
  const views = Object.fromEntries(
    PAGES_UNDER_FAULT.map((page) => [
      page,
      local.pool(page, { ...limits, searchPath: [VIEW_SCHEMA, 'public'] }),
    ]),
  ) as Record<PageUnderFault, Pool>;
  const people = Array.from({ length: SELLERS }, (_, i) => seller(i + 1, SELLERS));
  await insertGigs(
    views.gig,
    people.flatMap(({ gigs }) => gigs),
  );
  await insertUserProfiles(
    views.user,
    people.map(({ profile }) => profile),
  );

  const current = new Map<string, ManagedProcess>();
  for (const one of await local.startAll(system.roles, { restart: SUPERVISED })) current.set(one.name, one);
  const roles = new Map(
    system.roles.flat().map((described): [string, RoleUnderFault] => {
      const { name, healthPort } = described;
      const one: RoleUnderFault = {
        name: name as RoleName,
        gates: gates.get(name)!,
        get process() {
          return current.get(name)!;
        },
        health: `127.0.0.1:${healthPort}`,
        isReady: async () => (await notReadyBecause(healthPort)) === null,
        notReadyBecause: () => notReadyBecause(healthPort),
        metrics: () => metricsOf(healthPort),
        metric: async (metric) => sum(seriesIn(await metricsOf(healthPort), metric)),
        async restartWith(env) {
          await one.process.stop();
          current.set(name, await local.start(described, { restart: SUPERVISED, env }));
        },
      };
      return [name, one];
    }),
  );
  const pageUrls = Object.fromEntries(
    ROLE_NAMES.filter((name) => ROLES[name].role === 'page-server').map((name) => [
      name,
      `http://127.0.0.1:${local.addresses.port(name)}`,
    ]),
  ) as Record<PageServer, string>;
  const world: FaultWorld = {
    main,
    folder,
    issuer,
    kafka,
    postgres,
    source,
    views,
    clientsGate,
    sourceUrl: () => `http://127.0.0.1:${clientsGate.inUse ? clientsGate.gate.port : sourcePort}`,
    pageUrls,
    role: (name) => roles.get(name)!,
    startFurtherProjector: async () => {
      const further: RoleDeclaration = { ...ROLES['projector-gig-1'], name: 'projector-gig-3' };
      await local.reserve('projector-gig-3');
      return local.start(describeRole(further, addresses));
    },
    async untilReady(timeoutMs) {
      let waitsFor = '';
      await until(
        'everything is ready',
        async () => {
          const states = await Promise.all([
            ...[...roles.values()].map(async (one) => ((await one.isReady()) ? null : one.name)),
            // Ready or not, a page does not use its database for 250 ms after the fifth failure in a row.
            ...Object.entries(pageUrls).map(async ([name, url]) =>
              (await showsAPage(`${url}${pathOn(name as PageServer, 1)}`)) ? null : `a page of ${name}`,
            ),
            brokerAnswers(kafka.bootstrap).then((yes) => (yes ? null : 'Kafka')),
            ...Object.entries(postgres).map(([name, server]) =>
              answers(server.url('postgres')).then((yes) => (yes ? null : `postgres of the ${name}`)),
            ),
          ]);
          const missing = states.filter((name) => name !== null);
          waitsFor = missing.join(', ');
          return missing.length === 0;
        },
        timeoutMs,
        100,
      ).catch((cause: unknown) => {
        throw new Error(`not ready after ${timeoutMs} ms: ${waitsFor}`, { cause });
      });
    },
    stop: local.stop,
  };
  await world.untilReady(60_000);
  return world;
}

const notReadyBecause = (healthPort: number): Promise<string | null> =>
  fetch(`http://127.0.0.1:${healthPort}/readyz`, { signal: AbortSignal.timeout(2_000) }).then(
    async (answer) => (answer.ok ? null : (await answer.text()).trim()),
    () => 'does not answer',
  );

const metricsOf = (healthPort: number): Promise<string> =>
  fetch(`http://127.0.0.1:${healthPort}/metrics`, { signal: AbortSignal.timeout(2_000) })
    .then((answer) => answer.text())
    .catch(() => '');

/** The path of a page that shows a seller. */
export const pathOn = (page: PageServer, seller: number): string =>
  page === 'page-user' ? `/users/${seller}` : `/gigs/${seller}`;

async function showsAPage(address: string): Promise<boolean> {
  const answer = await fetch(address, { signal: AbortSignal.timeout(2_000) }).catch(() => null);
  await answer?.body?.cancel();
  return answer?.status === 200;
}

/**
 * A listener for each role that uses Kafka. A broker tells a client which address to use next. Only with its own
 * listener can that address be the client's gate.
 */
async function listenersFor(names: readonly RoleName[]) {
  const [client, controller] = [await freePort(), await freePort()];
  const listeners: Partial<Record<RoleName, number>> = {};
  const gates: Partial<Record<RoleName, number>> = {};
  for (const name of names) {
    listeners[name] = await freePort();
    gates[name] = await freePort();
  }
  const label = (name: string) => name.toUpperCase().replaceAll('-', '_');
  const at = (ports: Partial<Record<RoleName, number>>) =>
    names.map((name) => `${label(name)}://127.0.0.1:${ports[name]}`);
  return {
    client,
    controller,
    listeners,
    gates,
    properties: {
      listeners: [
        `CLIENT://127.0.0.1:${client}`,
        `CONTROLLER://127.0.0.1:${controller}`,
        ...at(listeners),
      ].join(),
      'advertised.listeners': [`CLIENT://127.0.0.1:${client}`, ...at(gates)].join(),
      'listener.security.protocol.map': ['CLIENT', 'CONTROLLER', ...names.map(label)]
        .map((name) => `${name}:PLAINTEXT`)
        .join(),
    },
  };
}

async function answers(url: string): Promise<boolean> {
  const db = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1_000, query_timeout: 1_000 });
  db.on('error', () => {});
  try {
    await db.connect();
    await db.query('select 1');
    return true;
  } catch {
    return false;
  } finally {
    await db.end().catch(() => {});
  }
}

async function brokerAnswers(bootstrap: string): Promise<boolean> {
  const admin = openKafka('faults-ready', { brokers: [bootstrap] }, silentLog).admin({
    retry: { retries: 0 },
  });
  try {
    await admin.connect();
    // Listening is not enough: a broker that has just restarted leads no partition yet.
    const { topics } = await admin.fetchTopicMetadata({ topics: [SELLER_EVENTS.topic] });
    return topics.every(({ partitions }) => partitions.every(({ leader }) => leader >= 0));
  } catch {
    return false;
  } finally {
    await admin.disconnect().catch(() => {});
  }
}
