import type { Database } from '#contracts/database-users.ts';
import type { Delivery } from '#contracts/delivery.ts';
import type { ServedPage } from '#contracts/pages.ts';
import { PAGE_NAMES, type PageName, SERVED_PAGES, type ViewPage } from '#contracts/pages.ts';
import type { Pool } from '#platform/postgres.ts';
import { DATABASES } from '../../services/local-stack/database-users.ts';
import type { TestIssuer } from '../../services/local-stack/issuer.ts';
import type { KafkaOptions, LocalKafka } from '../../services/local-stack/kafka.ts';
import { startLocalSystem } from '../../services/local-stack/local-system.ts';
import type { LocalPostgres } from '../../services/local-stack/postgres.ts';
import type { RunningRole } from '../../services/local-stack/run-role.ts';
import {
  describeSystem,
  nameOf,
  type RoleDeclaration,
  type SystemDeclaration,
  type View,
} from '../../services/local-stack/system.ts';
import { seed } from '../../services/seed/seed.ts';

export interface StackOptions {
  /** Which pages to serve; all by default. */
  readonly pages?: readonly ServedPage[];
  /** Pages of somebody else: each gets a database with a view, and a projector. */
  readonly external?: readonly ViewPage[];
  /** How a page for buyers gets the data; asynchronous by default. */
  readonly deliveries?: Readonly<Partial<Record<PageName, Delivery>>>;
  /** Sellers of the demo's generator, from 1. Default 40. */
  readonly sellers?: number;
  /** Partitions of the topic. Default 2. */
  readonly partitions?: number;
  /** Whether each view has a watcher, a process `watch-<page>`; none by default. */
  readonly watch?: boolean;
  /** Broker properties, added to the usual ones. */
  readonly kafkaProperties?: KafkaOptions['properties'];
  /** Further settings by the name of the process: `{ 'top-clients': { TC_WRITES_PER_MINUTE: 5 } }`. */
  readonly env?: Readonly<Record<string, Readonly<Record<string, string | number>>>>;
}

/** The whole system on free ports of this machine, every role as a separate process. */
export interface Stack {
  /** Public base addresses, without a trailing slash. At that of a page that was not asked for nothing listens. */
  readonly urls: Readonly<Record<'source' | ServedPage, string>>;
  /** The folder of all data and logs: `postgres/pgdata`, `kafka/data`, `<process>.log`. */
  readonly folder: string;
  /** Signs tokens as the demo's issuer does. */
  readonly issuer: TestIssuer;
  readonly postgres: LocalPostgres;
  readonly kafka: LocalKafka;
  /** `top-clients`, `outbox-relay`, `projector-<page>` or the name of a page. Throws when there is no such process. */
  process(name: string): RunningRole;
  /** Every process of a role, in Prometheus' terms. */
  readonly roles: readonly { readonly name: string; readonly role: string; readonly healthPort: number }[];
  /** A small pool on one of the databases, closed with the stack. */
  database(name: Database): Pool;
  /** The value of a metric of a process, over all its labels; 0 when it was never set. */
  metric(process: string, name: string): Promise<number>;
  /** Stops everything in reverse order and removes the data. */
  stop(): Promise<void>;
}

function declare(options: StackOptions): SystemDeclaration {
  const served = options.pages ?? SERVED_PAGES;
  const viewsOf = (page: PageName): View[] => {
    const delivery = options.deliveries?.[page] ?? 'asynchronous';
    return delivery === 'asynchronous' || delivery === 'hybrid' ? [{ delivery }] : [];
  };
  const buyerPages = PAGE_NAMES.filter((page) => served.includes(page));
  const external = Object.fromEntries(
    (options.external ?? []).map((page) => [page, { delivery: 'asynchronous' } as const]),
  );
  const fed: ({ page: ViewPage } & View)[] = [
    ...buyerPages.flatMap((page) => viewsOf(page).map((view) => ({ page, ...view }))),
    ...Object.entries(external).map(([page, view]) => ({ page, ...view })),
  ];
  const roles: RoleDeclaration[] = [
    { role: 'top-clients', env: { TC_CANARY_INTERVAL_MS: 0 } },
    ...(fed.length > 0 ? [{ role: 'outbox-relay' } as const] : []),
    ...fed.map((view) => ({ ...view, role: 'projector', name: `projector-${view.page}` }) as const),
    ...(options.watch ? fed : []).map(
      (view) => ({ ...view, role: 'watch-view', name: `watch-${view.page}` }) as const,
    ),
    ...served.map(
      (page): RoleDeclaration => ({
        role: 'page-server',
        page,
        ...(page === 'self-view' ? {} : { delivery: options.deliveries?.[page] ?? 'asynchronous' }),
      }),
    ),
  ];
  return {
    // Every page has its own data, also a page without a server.
    pages: {
      ...Object.fromEntries(PAGE_NAMES.map((page) => [page, viewsOf(page)])),
      'self-view': [],
    },
    external,
    roles: [roles.map((one) => ({ ...one, env: { ...one.env, ...options.env?.[nameOf(one)] } }))],
    partitions: options.partitions ?? 2,
  };
}

/** Starts everything and resolves when all of it is ready. When a part fails, everything else is stopped again. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const kafka = options.kafkaProperties ? { properties: options.kafkaProperties } : {};
  return startLocalSystem({ kafka }, async (local) => {
    const declaration = declare(options);
    const pages = SERVED_PAGES;
    await local.reserve(...pages, ...declaration.roles.flat().map(nameOf));
    const urlOf = (name: string) => `http://localhost:${local.addresses.port(name)}`;
    const publicUrls = Object.fromEntries(pages.map((page) => [page, urlOf(page)])) as Record<
      ServedPage,
      string
    >;
    const system = describeSystem(declaration, { ...local.addresses, publicUrls });
    await local.prepare(system);
    const pools = Object.fromEntries(
      DATABASES.map((name) => [name, local.pool(name, { maximum: 4, statementTimeoutMs: 30_000 })]),
    ) as Record<Database, Pool>;
    await seed({ ...pools, selfView: pools.self_view }, options.sellers ?? 40, {
      now: () => new Date(),
      onProgress: () => {},
      signal: new AbortController().signal,
    });
    const processes = await local.startAll(system.roles);
    const process = (name: string): RunningRole => {
      const found = processes.find((one) => one.name === name);
      if (found) return found;
      throw new Error(
        `there is no process ${name}; there are ${processes.map((one) => one.name).join(', ')}`,
      );
    };
    return {
      urls: { source: urlOf('top-clients'), ...publicUrls },
      folder: local.folder,
      issuer: local.issuer,
      postgres: local.postgres.source,
      kafka: local.kafka,
      process,
      roles: system.roles.flat(),
      database: (name) => pools[name],
      metric: (name, metric) => process(name).metric(metric),
      stop: local.stop,
    };
  });
}
