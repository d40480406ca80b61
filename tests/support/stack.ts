import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Delivery } from '#contracts/delivery.ts';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { ensureTopic } from '#platform/kafka/topics.ts';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { CALLER_KEY, credential } from '../../services/local-stack/callers.ts';
import { asItsUser, makeUsers, namesOf } from '../../services/local-stack/database-users.ts';
import { startIssuer, type TestIssuer } from '../../services/local-stack/issuer.ts';
import { type KafkaOptions, type LocalKafka, startKafka } from '../../services/local-stack/kafka.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { type ManagedProcess, startProcess, stopInReverse } from '../../services/local-stack/process.ts';
import { migratePage, migrateSource } from '../../services/migrate/main.ts';
import { seed } from '../../services/seed/seed.ts';

type BuyerPage = 'gig' | 'user' | 'search';
type PageName = BuyerPage | 'self-view';

const DATABASES = ['source', 'gig', 'user', 'search', 'self_view'] as const;
export type DatabaseName = (typeof DATABASES)[number];

export interface StackOptions {
  /** Which pages to serve; all by default. */
  readonly pages?: readonly PageName[];
  /** How a page for buyers gets the data; asynchronous by default. */
  readonly deliveries?: Readonly<Partial<Record<BuyerPage, Delivery>>>;
  /** Sellers of the demo's generator, from 1. Default 40. */
  readonly sellers?: number;
  /** Partitions of the topic. Default 2. */
  readonly partitions?: number;
  /** Whether each view is watched, by a process `watch-<page>`; no by default. */
  readonly watch?: boolean;
  /** Of the broker, beside the ordinary ones. */
  readonly kafkaProperties?: KafkaOptions['properties'];
  /** Further flags of a role by the name of its process: `{ 'top-clients': { 'writes-per-minute': 5 } }`. */
  readonly flags?: Readonly<Record<string, Readonly<Record<string, string | number>>>>;
}

/** The whole system on free ports of this machine, every role a process of its own. */
export interface Stack {
  /** Public base addresses, without a trailing slash. A page that was not asked for has none. */
  readonly urls: Readonly<Record<'source' | PageName, string>>;
  /** Where all data and logs are: `postgres/pgdata`, `kafka/data`, `<process>.log`. */
  readonly folder: string;
  /** Signs tokens as the demo's issuer does. */
  readonly issuer: TestIssuer;
  readonly postgres: LocalPostgres;
  readonly kafka: LocalKafka;
  /** `top-clients`, `outbox-relay`, `projector-<page>` or the name of a page. Throws when there is none of that name. */
  process(name: string): ManagedProcess;
  /** Every process of a role, as Prometheus finds it. */
  readonly roles: readonly { readonly name: string; readonly role: string; readonly healthPort: number }[];
  /** A small pool on one of the databases, closed with the stack. */
  database(name: DatabaseName): Pool;
  /** The value of a metric of a process, over all its labels; 0 when it was never set. */
  metric(process: string, name: string): Promise<number>;
  /** Stops everything in reverse order and takes the data away. */
  stop(): Promise<void>;
}

const MAIN = fileURLToPath(new URL('../../services/main.ts', import.meta.url));
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Starts everything and resolves when all of it is ready. What was started is stopped again when a part fails. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const folder = await mkdtemp(join(tmpdir(), 'top-clients-stack-'));
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

/** As Promise.all, but a failure waits for the others: what they start must be known before all is stopped. */
async function together<T extends readonly unknown[]>(
  starts: readonly [...{ [K in keyof T]: Promise<T[K]> }],
): Promise<T> {
  await Promise.allSettled(starts);
  return (await Promise.all(starts)) as unknown as T;
}

async function start(
  options: StackOptions,
  folder: string,
  running: { stop(): Promise<unknown> }[],
): Promise<Stack> {
  const pages = options.pages ?? ['gig', 'user', 'search', 'self-view'];
  const deliveryOf = (page: BuyerPage): Delivery => options.deliveries?.[page] ?? 'asynchronous';

  const [postgres, kafka, issuer] = await together([
    startPostgres({ dataDir: join(folder, 'postgres') }).then((one) => {
      running.push(one);
      return one;
    }),
    startKafka({
      dataDir: join(folder, 'kafka'),
      ...(options.kafkaProperties ? { properties: options.kafkaProperties } : {}),
    }).then((one) => {
      running.push(one);
      return one;
    }),
    startIssuer().then((one) => {
      running.push({ stop: () => one.close() });
      return one;
    }),
  ]);

  await Promise.all([
    ...DATABASES.map((name) => postgres.createDatabase(name)),
    ensureTopic(openKafka('stack', { brokers: [kafka.bootstrap] }, silentLog), {
      ...SELLER_EVENTS,
      partitions: options.partitions ?? 2,
      replication: 1,
    }),
  ]);
  await makeUsers(postgres, DATABASES);
  const viewOf = (page: BuyerPage) => {
    const delivery = deliveryOf(page);
    return delivery === 'asynchronous' || delivery === 'hybrid' ? { delivery, version: 1 } : 'none';
  };
  await Promise.all([
    migrateSource(postgres.url('source'), silentLog, { users: namesOf('source') }),
    ...(['gig', 'user', 'search'] as const).map((page) =>
      migratePage(page, postgres.url(page), viewOf(page), silentLog, { users: namesOf(page) }),
    ),
    migratePage('self-view', postgres.url('self_view'), 'none', silentLog, { users: namesOf('self_view') }),
  ]);

  const pools = new Map<DatabaseName, Pool>();
  const database = (name: DatabaseName): Pool => {
    let pool = pools.get(name);
    if (!pool) {
      pool = openPool(
        {
          url: postgres.url(name),
          applicationName: 'stack',
          maximum: 4,
          statementTimeoutMs: 30_000,
          connectTimeoutMs: 5_000,
        },
        silentLog,
      );
      pools.set(name, pool);
    }
    return pool;
  };
  running.push({ stop: () => Promise.all([...pools.values()].map((pool) => pool.end())) });
  await seed(
    {
      source: database('source'),
      gig: database('gig'),
      user: database('user'),
      search: database('search'),
      selfView: database('self_view'),
    },
    options.sellers ?? 40,
    { now: () => new Date(), onProgress: () => {}, signal: new AbortController().signal },
  );

  const ports = Object.fromEntries(
    await Promise.all(
      ['source', 'gig', 'user', 'search', 'self-view'].map(async (name) => [name, await freePort()]),
    ),
  ) as Record<'source' | PageName, number>;
  const urls = Object.fromEntries(
    Object.entries(ports).map(([name, port]) => [name, `http://localhost:${port}`]),
  ) as Stack['urls'];

  const processes = new Map<string, ManagedProcess>();
  const roles: { name: string; role: string; healthPort: number }[] = [];
  const run = async (name: string, role: string, settings: Readonly<Record<string, string | number>>) => {
    const healthPort = await freePort();
    const flags = { 'health-port': healthPort, ...asItsUser(role, settings), ...options.flags?.[name] };
    const process = await startProcess({
      name,
      command: globalThis.process.execPath,
      args: [MAIN, role, ...Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`)],
      cwd: ROOT,
      // What jest needs is not for these.
      env: { NODE_OPTIONS: undefined },
      logFile: join(folder, `${name}.log`),
      readyUrl: `http://127.0.0.1:${healthPort}/readyz`,
    });
    running.push(process);
    processes.set(name, process);
    roles.push({ name, role, healthPort });
  };

  const tokens = {
    'jwks-url': issuer.jwksUrl,
    'jwt-issuer': issuer.issuer,
    'jwt-audience': issuer.audience,
  };
  const sourceUrl = `http://127.0.0.1:${ports.source}`;
  const servePage = (page: PageName, settings: Readonly<Record<string, string | number>>) =>
    run(page, 'page-server', {
      page,
      port: ports[page],
      'source-url': sourceUrl,
      'source-credential': credential(page),
      'gig-url': urls.gig,
      'user-url': urls.user,
      'search-url': urls.search,
      'self-view-url': urls['self-view'],
      ...settings,
    });
  const buyerPages = pages.filter((page) => page !== 'self-view');
  const fed = buyerPages.filter((page) => viewOf(page) !== 'none');
  await together([
    run('top-clients', 'top-clients', {
      port: ports.source,
      'canary-interval-ms': 0,
      'caller-key': CALLER_KEY,
      'database-url': postgres.url('source'),
      ...tokens,
    }),
    ...(fed.length > 0
      ? [
          run('outbox-relay', 'outbox-relay', {
            'database-url': postgres.url('source'),
            'kafka-brokers': kafka.bootstrap,
          }),
        ]
      : []),
    ...fed.map((page) =>
      run(`projector-${page}`, 'projector', {
        page,
        delivery: deliveryOf(page),
        'database-url': postgres.url(page),
        'kafka-brokers': kafka.bootstrap,
      }),
    ),
    ...(options.watch ? fed : []).map((page) =>
      run(`watch-${page}`, 'watch-view', {
        page,
        delivery: deliveryOf(page),
        'database-url': postgres.url(page),
        'source-database-url': postgres.url('source'),
        'kafka-brokers': kafka.bootstrap,
      }),
    ),
    ...buyerPages.map((page) =>
      servePage(page, { delivery: deliveryOf(page), 'database-url': postgres.url(page) }),
    ),
    ...(pages.includes('self-view')
      ? [
          servePage('self-view', {
            'database-url': postgres.url('self_view'),
            'token-url': issuer.tokenUrl,
            ...tokens,
          }),
        ]
      : []),
  ]);

  const process = (name: string): ManagedProcess => {
    const found = processes.get(name);
    if (!found) throw new Error(`there is no process ${name}; there are ${[...processes.keys()].join(', ')}`);
    return found;
  };
  return {
    urls,
    folder,
    issuer,
    postgres,
    kafka,
    process,
    roles,
    database,
    async metric(name, metric) {
      const { name: known } = process(name);
      const { healthPort } = roles.find((role) => role.name === known)!;
      const answer = await fetch(`http://127.0.0.1:${healthPort}/metrics`);
      const values = (await answer.text())
        .split('\n')
        .filter((line) => line.startsWith(`${metric} `) || line.startsWith(`${metric}{`))
        .map((line) => Number(line.slice(line.lastIndexOf(' ') + 1)));
      return values.reduce((sum, value) => sum + value, 0);
    },
    stop: () => stopInReverse(running.splice(0)),
  };
}
