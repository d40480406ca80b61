/**
 * The system under fault: real PostgreSQL (one server for the source of truth, one for the pages), real Kafka, every
 * role a process of its own under a supervisor, and a gate on every edge between them.
 */

import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { Caller } from '#contracts/callers.ts';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { insertGigs } from '#pages/gig/own-data.ts';
import { viewSchema } from '#pages/projection.ts';
import { insertUserProfiles } from '#pages/user/own-data.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { ensureTopic } from '#platform/kafka/topics.ts';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { CALLER_KEY, credential } from '../../services/local-stack/callers.ts';
import { asItsUser, makeUsers, namesOf } from '../../services/local-stack/database-users.ts';
import { startIssuer, type TestIssuer } from '../../services/local-stack/issuer.ts';
import { type LocalKafka, startKafka } from '../../services/local-stack/kafka.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { type ManagedProcess, startProcess, stopInReverse } from '../../services/local-stack/process.ts';
import { NODE_FLAGS } from '../../services/local-stack/run-role.ts';
import { until } from '../../services/local-stack/until.ts';
import { migratePage, migrateSource } from '../../services/migrate/main.ts';
import { seller } from '../../services/seed/sellers.ts';
import type { Protocol } from './frames.ts';
import { type Gate, openGate } from './gate.ts';

export const PAGES_UNDER_FAULT = ['gig', 'user'] as const;
export type PageUnderFault = (typeof PAGES_UNDER_FAULT)[number];
export const VIEW_SCHEMA = viewSchema('asynchronous', 1);

/** Sellers with a page to look at; all ids that clients use are among them. */
export const SELLERS = 60;

const ROLES = {
  source: { role: 'top-clients', edges: { db: 'source' } },
  'relay-1': { role: 'outbox-relay', edges: { db: 'source', kafka: 'kafka' } },
  'relay-2': { role: 'outbox-relay', edges: { db: 'source', kafka: 'kafka' } },
  'projector-gig-1': { role: 'projector', page: 'gig', edges: { db: 'pages', kafka: 'kafka' } },
  'projector-gig-2': { role: 'projector', page: 'gig', edges: { db: 'pages', kafka: 'kafka' } },
  'projector-user': { role: 'projector', page: 'user', edges: { db: 'pages', kafka: 'kafka' } },
  'page-gig': { role: 'page-server', page: 'gig', edges: { db: 'pages', source: 'source' } },
  'page-gig-synchronous': { role: 'page-server', page: 'gig', edges: { db: 'pages', source: 'source' } },
  'page-user': { role: 'page-server', page: 'user', edges: { db: 'pages', source: 'source' } },
} as const;
export type RoleName = keyof typeof ROLES;
export const ROLE_NAMES = Object.keys(ROLES) as RoleName[];
export type PageServer = Extract<RoleName, `page-${string}`>;

export interface RunningRole {
  readonly name: RoleName;
  readonly process: ManagedProcess;
  /** The edges that lead away from it, by what is at the other end: `db`, `kafka`, `source`. */
  readonly gates: Readonly<Record<string, Gate>>;
  /** `host:port` of its health port. */
  readonly health: string;
  /** All that it exports; '' when it does not answer. */
  metrics(): Promise<string>;
  /** The sum of a metric's series; 0 when it does not answer. */
  metric(name: string): Promise<number>;
  isReady(): Promise<boolean>;
  /** What it says of itself; null when it is ready. */
  notReadyBecause(): Promise<string | null>;
  /** Stops it and starts it with more in its environment, until the next restart with none. */
  restartWith(env: Readonly<Record<string, string>>): Promise<void>;
}

export interface World {
  /** What the roles are run from. */
  readonly main: string;
  readonly folder: string;
  readonly issuer: TestIssuer;
  readonly kafka: LocalKafka;
  /** The server of the source of truth, and that of the pages. */
  readonly postgres: Readonly<Record<'source' | 'pages', LocalPostgres>>;
  /** Straight to the databases, past the gates. */
  readonly source: Pool;
  readonly views: Readonly<Record<PageUnderFault, Pool>>;
  /** Where clients find the source of truth: through the gate while `clientsGate` is in use. */
  sourceUrl(): string;
  readonly clientsGate: { readonly gate: Gate; inUse: boolean };
  readonly pageUrls: Readonly<Record<PageServer, string>>;
  role(name: RoleName): RunningRole;
  /** A third projector of the gig page, without gates, for as long as a fault wants it. Resolves when it is ready or not. */
  startFurtherProjector(): Promise<Pick<ManagedProcess, 'kill' | 'stop'>>;
  /** Resolves when every server answers and every role is ready. @throws after the time, naming who is not */
  untilReady(timeoutMs: number): Promise<void>;
  stop(): Promise<void>;
}

export interface WorldOptions {
  readonly folder: string;
  /** The `main.ts` to run the roles from: the project's, or a mutated copy's. */
  readonly main: string;
  readonly log: (message: string) => void;
  /** For a disk that can fill up: where the data of a server lives instead of in the folder. */
  readonly dataDirs?: Readonly<Partial<Record<'kafka' | 'source' | 'pages', string>>>;
  readonly partitions?: number;
  readonly topicSettings?: Readonly<Record<string, string>>;
}

const SUPERVISED = { max: 10_000, firstDelayMs: 50, maxDelayMs: 500 };
/** Short, so that partitions of a killed projector change hands soon. */
export const SESSION_TIMEOUT_MS = 1_500;

/** What was started is stopped again when a part fails. */
export async function startWorld(options: WorldOptions): Promise<World> {
  const running: { stop(): Promise<unknown> }[] = [];
  try {
    return await start(options, running);
  } catch (err) {
    await stopInReverse(running.splice(0)).catch(() => {});
    throw err;
  }
}

async function start(
  { folder, main, log, dataDirs = {}, partitions = 4, topicSettings = {} }: WorldOptions,
  running: { stop(): Promise<unknown> }[],
): Promise<World> {
  const keep = <T extends { stop(): Promise<unknown> }>(one: T): T => {
    running.push(one);
    return one;
  };
  await mkdir(folder, { recursive: true });
  const kafkaPorts = await listenersFor(ROLE_NAMES.filter((name) => 'kafka' in ROLES[name].edges));
  const starting = [
    startPostgres({ dataDir: dataDirs.source ?? join(folder, 'postgres-source'), restart: SUPERVISED, log }),
    startPostgres({
      dataDir: dataDirs.pages ?? join(folder, 'postgres-pages'),
      // The least there is: 512 kB can be filled in a moment.
      settings: { max_notify_queue_pages: 64 },
      restart: SUPERVISED,
      log,
    }),
    startKafka({
      dataDir: dataDirs.kafka ?? join(folder, 'kafka'),
      port: kafkaPorts.client,
      controllerPort: kafkaPorts.controller,
      // So that compaction is a matter of seconds for the faults that want it.
      properties: { ...kafkaPorts.properties, 'log.cleaner.backoff.ms': 500 },
      restart: SUPERVISED,
      log,
    }),
    startIssuer().then((issuer) => Object.assign(issuer, { stop: () => issuer.close() })),
  ] as const;
  for (const one of starting) void one.then(keep, () => {});
  await Promise.allSettled(starting);
  const [sourceServer, pagesServer, kafka, issuer] = await Promise.all(starting);
  const postgres = { source: sourceServer, pages: pagesServer };

  await Promise.all([
    sourceServer.createDatabase('source'),
    ...PAGES_UNDER_FAULT.map((page) => pagesServer.createDatabase(page)),
    ensureTopic(openKafka('faults', { brokers: [kafka.bootstrap] }, silentLog), {
      topic: SELLER_EVENTS.topic,
      partitions,
      replication: 1,
      settings: { ...SELLER_EVENTS.settings, ...topicSettings },
    }),
  ]);
  const pool = (url: string, searchPath?: readonly string[]) =>
    openPool(
      {
        url,
        applicationName: 'faults',
        maximum: 6,
        statementTimeoutMs: 20_000,
        connectTimeoutMs: 3_000,
        ...(searchPath ? { searchPath } : {}),
      },
      silentLog,
    );
  const source = pool(sourceServer.url('source'));
  const views = Object.fromEntries(
    PAGES_UNDER_FAULT.map((page) => [page, pool(pagesServer.url(page), [VIEW_SCHEMA, 'public'])]),
  ) as Record<PageUnderFault, Pool>;
  keep({ stop: () => Promise.all([source, ...Object.values(views)].map((one) => one.end())) });
  await makeUsers(sourceServer, ['source']);
  await makeUsers(pagesServer, PAGES_UNDER_FAULT);
  await migrateSource(sourceServer.url('source'), silentLog, { users: namesOf('source') });
  for (const page of PAGES_UNDER_FAULT) {
    const view = { delivery: 'asynchronous', version: 1 } as const;
    await migratePage(page, pagesServer.url(page), view, silentLog, { users: namesOf(page) });
  }
  const people = Array.from({ length: SELLERS }, (_, i) => seller(i + 1, SELLERS));
  await insertGigs(
    views.gig,
    people.flatMap(({ gigs }) => gigs),
  );
  await insertUserProfiles(
    views.user,
    people.map(({ profile }) => profile),
  );

  const sourcePort = await freePort();
  const targets = { source: sourcePort, kafka: kafka.port };
  const pageUrls: Partial<Record<PageServer, string>> = {};
  const gateFor = async (protocol: Protocol, port: number, target: number) => {
    const gate = await openGate(protocol, port, target);
    running.push({ stop: () => gate.close() });
    return gate;
  };
  const clientsGate = {
    gate: await gateFor('opaque', await freePort(), sourcePort),
    inUse: false,
  };

  const startRole = async (name: RoleName): Promise<RunningRole> => {
    const { role, edges } = ROLES[name];
    const page = 'page' in ROLES[name] ? (ROLES[name] as { page: string }).page : '';
    const gates: Record<string, Gate> = {};
    for (const [edge, to] of Object.entries(edges) as [string, string][]) {
      const port = edge === 'kafka' ? kafkaPorts.gates[name]! : await freePort();
      const target =
        edge === 'kafka'
          ? kafkaPorts.listeners[name]!
          : edge === 'db'
            ? postgres[to as 'source' | 'pages'].port
            : targets.source;
      gates[edge] = await gateFor(
        edge === 'kafka' ? 'kafka' : edge === 'db' ? 'postgres' : 'opaque',
        port,
        target,
      );
    }
    const healthPort = await freePort();
    const database = (server: LocalPostgres, db: string) =>
      server.url(db).replace(`:${server.port}/`, `:${gates['db']!.port}/`);
    const port = role === 'top-clients' ? sourcePort : await freePort();
    const tokens = {
      TC_JWKS_URL: issuer.jwksUrl,
      TC_JWT_ISSUER: issuer.issuer,
      TC_JWT_AUDIENCE: issuer.audience,
    };
    const env: Record<string, string> =
      role === 'top-clients'
        ? {
            TC_PORT: String(port),
            TC_DATABASE_URL: database(sourceServer, 'source'),
            TC_WRITES_PER_MINUTE: '0',
            TC_REQUESTS_PER_MINUTE: '0',
            TC_CALLER_KEY: CALLER_KEY,
            // At rest nothing may move.
            TC_CANARY_INTERVAL_MS: '0',
            ...tokens,
          }
        : role === 'outbox-relay'
          ? {
              TC_DATABASE_URL: database(sourceServer, 'source'),
              TC_KAFKA_BROKERS: `127.0.0.1:${gates['kafka']!.port}`,
            }
          : role === 'projector'
            ? {
                TC_PAGE: page,
                TC_DATABASE_URL: database(pagesServer, page),
                TC_KAFKA_BROKERS: `127.0.0.1:${gates['kafka']!.port}`,
                TC_SESSION_TIMEOUT_MS: String(SESSION_TIMEOUT_MS),
              }
            : {
                TC_PAGE: page,
                TC_PORT: String(port),
                TC_DELIVERY: name.endsWith('synchronous') ? 'synchronous' : 'asynchronous',
                TC_DATABASE_URL: database(pagesServer, page),
                TC_SOURCE_URL: `http://127.0.0.1:${gates['source']!.port}`,
                TC_SOURCE_CREDENTIAL: credential(page as Caller),
              };
    if (role === 'page-server') pageUrls[name as PageServer] = `http://127.0.0.1:${port}`;
    const launch = (more: Readonly<Record<string, string>>) =>
      startProcess({
        name,
        command: process.execPath,
        args: [...NODE_FLAGS, main, role],
        env: {
          NODE_OPTIONS: undefined,
          NODE_COMPILE_CACHE: join(tmpdir(), 'top-clients-compile-cache'),
          TC_HEALTH_PORT: String(healthPort),
          ...asItsUser(role, env),
          ...more,
        },
        cwd: folder,
        logFile: join(folder, `${name}.log`),
        readyUrl: `http://127.0.0.1:${healthPort}/livez`,
        readyTimeoutMs: 60_000,
        stopTimeoutMs: 20_000,
        restart: SUPERVISED,
        log,
      });
    let current = await launch({});
    running.push({ stop: () => current.stop() });
    return {
      name,
      gates,
      get process() {
        return current;
      },
      health: `127.0.0.1:${healthPort}`,
      isReady: async () => (await notReadyBecause(healthPort)) === null,
      notReadyBecause: () => notReadyBecause(healthPort),
      metrics: () => metricsOf(healthPort),
      metric: async (metric) =>
        seriesIn(await metricsOf(healthPort), metric).reduce((sum, { value }) => sum + value, 0),
      async restartWith(more) {
        await current.stop();
        current = await launch(more);
      },
    };
  };
  const roles = new Map<RoleName, RunningRole>();
  // Three at a time: nine at once on two cores would take each other's time to start.
  for (let at = 0; at < ROLE_NAMES.length; at += 3) {
    const some = await Promise.all(ROLE_NAMES.slice(at, at + 3).map(startRole));
    for (const one of some) roles.set(one.name, one);
  }
  const world: World = {
    main,
    folder,
    issuer,
    kafka,
    postgres,
    source,
    views,
    clientsGate,
    sourceUrl: () => `http://127.0.0.1:${clientsGate.inUse ? clientsGate.gate.port : sourcePort}`,
    pageUrls: pageUrls as Record<PageServer, string>,
    role: (name) => roles.get(name)!,
    startFurtherProjector: async () => {
      const healthPort = await freePort();
      const further = await startProcess({
        name: 'projector-gig-3',
        command: process.execPath,
        args: [...NODE_FLAGS, main, 'projector'],
        env: {
          NODE_OPTIONS: undefined,
          NODE_COMPILE_CACHE: join(tmpdir(), 'top-clients-compile-cache'),
          TC_HEALTH_PORT: String(healthPort),
          TC_PAGE: 'gig',
          ...asItsUser('projector', { TC_DATABASE_URL: pagesServer.url('gig') }),
          TC_KAFKA_BROKERS: kafka.bootstrap,
          TC_SESSION_TIMEOUT_MS: String(SESSION_TIMEOUT_MS),
        },
        cwd: folder,
        logFile: join(folder, 'projector-gig-3.log'),
        readyUrl: `http://127.0.0.1:${healthPort}/livez`,
        readyTimeoutMs: 60_000,
        stopTimeoutMs: 20_000,
        log,
      });
      running.push(further);
      return further;
    },
    async untilReady(timeoutMs) {
      let waitsFor = '';
      await until(
        'everything is ready',
        async () => {
          const states = await Promise.all([
            ...[...roles.values()].map(async (one) => ((await one.isReady()) ? null : one.name)),
            // Ready or not, a page leaves its database alone for 250 ms after the fifth failure in a row.
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
    stop: () => stopInReverse(running.splice(0)),
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

export interface Sample {
  /** As they stand between the braces; '' without any. */
  readonly labels: string;
  readonly value: number;
}

/** The series of a metric in what a role exports. */
export function seriesIn(text: string, metric: string): Sample[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${metric}{`) || line.startsWith(`${metric} `))
    .map((line) => {
      const at = line.lastIndexOf(' ');
      return { labels: line.slice(metric.length + 1, at - 1), value: Number(line.slice(at + 1)) };
    });
}

/** The address of what a page server shows of a seller. */
export const pathOn = (page: PageServer, seller: number): string =>
  page === 'page-user' ? `/users/${seller}` : `/gigs/${seller}`;

async function showsAPage(address: string): Promise<boolean> {
  const answer = await fetch(address, { signal: AbortSignal.timeout(2_000) }).catch(() => null);
  await answer?.body?.cancel();
  return answer?.status === 200;
}

/**
 * A listener of its own for each role that speaks to Kafka: a broker tells a client the address to go on with, and only
 * a listener of its own lets that address be the client's gate.
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
    // Listening is not enough: a broker that has just come back leads no partition yet.
    const { topics } = await admin.fetchTopicMetadata({ topics: [SELLER_EVENTS.topic] });
    return topics.every(({ partitions }) => partitions.every(({ leader }) => leader >= 0));
  } catch {
    return false;
  } finally {
    await admin.disconnect().catch(() => {});
  }
}
