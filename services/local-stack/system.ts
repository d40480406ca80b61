/**
 * The whole system on one machine, from one declaration: the demo, the specs and the measurements start what is
 * declared here. Pure: it starts nothing, and takes every address as an argument.
 */
import type { Caller } from '#contracts/callers.ts';
import {
  type DatabaseProgram,
  type DatabaseUser,
  USER_OF_PROGRAM,
  userName,
} from '#contracts/database-users.ts';
import type { Delivery } from '#contracts/delivery.ts';
import {
  PAGE_NAMES,
  type PageName,
  type ServedPage,
  settingOfPage,
  type ViewPage,
} from '#contracts/pages.ts';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { credentialOf } from '../auth/caller-credential.ts';
import type { Users } from '../migrate/grants.ts';
import { namesOf } from './database-users.ts';

export type Environment = Readonly<Record<string, string>>;

/** A view in a page's database. */
export interface View {
  readonly delivery: 'asynchronous' | 'hybrid';
  /** Default 1. */
  readonly version?: number;
}

/** One process. Its name identifies it in messages and names its log; a default is derived when none is given. */
export type RoleDeclaration = {
  readonly name?: string;
  /** Further settings, or replacements of those chosen here. */
  readonly env?: Readonly<Record<string, string | number>>;
} & (
  | { readonly role: 'top-clients' }
  | { readonly role: 'outbox-relay' }
  | ({ readonly role: 'projector'; readonly page: ViewPage } & Partial<View>)
  | ({ readonly role: 'watch-view'; readonly page: ViewPage } & Partial<View>)
  | {
      readonly role: 'page-server';
      readonly page: ServedPage;
      readonly delivery?: Delivery;
      /** Whether a synchronous page asks the source beside its own query. */
      readonly parallel?: boolean;
    }
);

export interface SystemDeclaration {
  /** The pages with a database, each with the views that are built in it. */
  readonly pages: Readonly<Partial<Record<ServedPage, readonly View[]>>>;
  /** Pages of others, each with the view that is built in a database of its own. No server of ours shows them. */
  readonly external?: Readonly<Record<ViewPage, View>>;
  /** The roles of a group start and stop together; groups start one after the other. */
  readonly roles: readonly (readonly RoleDeclaration[])[];
  /** Partitions of the event topic. */
  readonly partitions?: number;
  readonly topicSettings?: Readonly<Record<string, string>>;
}

/** All addresses. A proxy between two processes appears here as the address that one of them uses. */
export interface Addresses {
  /** The address of a database for a user of it, or for its owner; `from` is the process that connects. */
  database(database: string, user: DatabaseUser | 'owner', from: string): string;
  /** `host:port` of Kafka. */
  brokers(from: string): string;
  /** The source of truth, for pages. */
  source(from: string): string;
  /** The port on which a process serves. */
  port(name: string): number;
  healthPort(name: string): number;
  /** The address on which serving processes listen; the role's default when absent. */
  readonly host?: string;
  /** The pages' addresses for browsers, used in links; the role's default when absent. */
  readonly publicUrls?: Readonly<Partial<Record<ServedPage, string>>>;
  readonly issuer: {
    readonly jwksUrl: string;
    readonly issuer: string;
    readonly audience: string;
    readonly tokenUrl: string;
  };
  /** The key from which pages' credentials are made. */
  readonly callerKey: string;
  /** Where every trace is sent, by OTLP over HTTP. */
  readonly otlp?: string | undefined;
}

/** A run of `node services/main.ts <role>` with these settings; it ends by itself. */
export interface RoleTask {
  readonly name: string;
  readonly role: string;
  readonly env: Environment;
}

/** A role that runs until it is stopped. */
export interface RoleProcess extends RoleTask {
  /** The port of its health checks. */
  readonly healthPort: number;
  /** The port on which it serves; absent when it serves nobody. */
  readonly port?: number;
}

/** Migrates a database or the topic to this version; safe to repeat. */
export type Migration = RoleTask & {
  readonly role: 'migrate';
} & (
    | { readonly target: 'topics' }
    | { readonly target: 'source'; readonly database: 'source'; readonly users: Users }
    | ExternalMigration
    | {
        readonly target: ServedPage;
        readonly database: string;
        readonly users: Users;
        readonly view: Required<View> | 'none';
      }
  );

/** Makes the view of a page of somebody else, in its database. */
export interface ExternalMigration extends RoleTask {
  readonly role: 'migrate';
  readonly target: 'external';
  readonly page: ViewPage;
  readonly database: string;
  readonly readers: readonly string[];
  readonly view: Required<View>;
}

export interface System {
  readonly databases: readonly string[];
  readonly topic: {
    readonly topic: string;
    readonly partitions: number;
    readonly replication: number;
    readonly settings: Readonly<Record<string, string>>;
  };
  readonly migrations: readonly Migration[];
  readonly roles: readonly (readonly RoleProcess[])[];
}

export const databaseOf = (page: ServedPage | ViewPage): string =>
  page === 'self-view' ? 'self_view' : page;

/** The default name of a process. */
export function nameOf(one: RoleDeclaration): string {
  if (one.name !== undefined) return one.name;
  const hybrid = 'delivery' in one && one.delivery === 'hybrid' ? '-hybrid' : '';
  switch (one.role) {
    case 'top-clients':
    case 'outbox-relay':
      return one.role;
    case 'projector':
      return `projector-${one.page}${hybrid}`;
    case 'watch-view':
      return `watch-${one.page}${hybrid}`;
    case 'page-server':
      return one.page;
  }
}

export function describeSystem(declaration: SystemDeclaration, at: Addresses): System {
  const { pages, external = {}, roles, topicSettings = {} } = declaration;
  const { partitions = SELLER_EVENTS.defaultPartitions } = declaration;
  const names = Object.keys(pages) as ServedPage[];
  return {
    databases: ['source', ...names.map(databaseOf), ...Object.keys(external)],
    topic: {
      topic: SELLER_EVENTS.topic,
      partitions,
      replication: 1,
      settings: { ...SELLER_EVENTS.settings, ...topicSettings },
    },
    migrations: [
      {
        name: 'migrate-topics',
        role: 'migrate',
        target: 'topics',
        env: settings({
          TC_TARGET: 'topics',
          TC_KAFKA_BROKERS: at.brokers('migrate-topics'),
          TC_PARTITIONS: declaration.partitions,
        }),
      },
      {
        name: 'migrate-source',
        role: 'migrate',
        target: 'source',
        database: 'source',
        users: namesOf('source'),
        env: migrationOf('source', 'source', at),
      },
      ...names.flatMap((page) => migrationsOf(page, pages[page] ?? [], at)),
      ...Object.entries(external).map(([page, view]) => migrationOfExternal(page, view, at)),
    ],
    roles: roles.map((group) => group.map((one) => describeRole(one, at))),
  };
}

/** The page's own tables are migrated with each of its views, or alone. */
function migrationsOf(page: ServedPage, views: readonly View[], at: Addresses): Migration[] {
  const database = databaseOf(page);
  const all = views.length > 0 ? views : (['none'] as const);
  return all.map((one) => {
    const view = one === 'none' ? one : { delivery: one.delivery, version: one.version ?? 1 };
    const ofView = view === 'none' || one === all[0] ? '' : `-${view.delivery}`;
    return {
      name: `migrate-${page}${ofView}${view !== 'none' && view.version > 1 ? `-v${view.version}` : ''}`,
      role: 'migrate',
      target: page,
      database,
      users: namesOf(database),
      view,
      env: {
        ...migrationOf(page, database, at),
        ...settings(
          view !== 'none'
            ? { TC_DELIVERY: view.delivery, TC_VIEW_VERSION: view.version }
            : page === 'self-view'
              ? {}
              : { TC_DELIVERY: 'off' },
        ),
      },
    };
  });
}

/** @param page the name of a page of somebody else, and of its database */
export function migrationOfExternal(
  page: ViewPage,
  { delivery, version = 1 }: View,
  at: Addresses,
): ExternalMigration {
  const readers = [userName('page', page)];
  const name = `migrate-${page}`;
  return {
    ...{ name, role: 'migrate', target: 'external', page, database: page, readers },
    view: { delivery, version },
    env: settings({
      TC_TARGET: page,
      TC_EXTERNAL: true,
      TC_READER_ROLES: readers.join(),
      TC_DATABASE_URL: at.database(page, 'owner', name),
      TC_DELIVERY: delivery,
      TC_VIEW_VERSION: version,
    }),
  };
}

const migrationOf = (target: string, database: string, at: Addresses): Environment =>
  settings({
    TC_TARGET: target,
    TC_DATABASE_URL: at.database(database, 'owner', `migrate-${target}`),
    ...Object.fromEntries(
      Object.entries(namesOf(database)).map(([user, name]) => [`TC_${user.toUpperCase()}_USER`, name]),
    ),
  });

/** The task that fills every database with made-up sellers. */
export const describeSeed = (sellers: number, at: Addresses): RoleTask => ({
  name: 'seed',
  role: 'seed',
  env: settings({
    TC_SELLERS: sellers,
    TC_SOURCE_DATABASE_URL: at.database('source', 'owner', 'seed'),
    ...settingsByPage('DATABASE_URL', (page) => at.database(page, 'owner', 'seed')),
    TC_SELF_VIEW_DATABASE_URL: at.database('self_view', 'owner', 'seed'),
  }),
});

/** One process as it is started; only this function knows the names of all settings. */
export function describeRole(one: RoleDeclaration, at: Addresses): RoleProcess {
  const name = nameOf(one);
  const healthPort = at.healthPort(name);
  const serves = one.role === 'top-clients' || one.role === 'page-server';
  return {
    name,
    role: one.role,
    healthPort,
    ...(serves ? { port: at.port(name) } : {}),
    env: settings({
      ...settingsOf(one, name, at),
      TC_HEALTH_PORT: healthPort,
      TC_HEALTH_HOST: '127.0.0.1',
      ...one.env,
    }),
  };
}

function settingsOf(one: RoleDeclaration, name: string, at: Addresses): Settings {
  const databaseFor = (program: DatabaseProgram, database: string) =>
    at.database(database, USER_OF_PROGRAM[program], name);
  // In a database of somebody else, one user has made all that is ours there, and works with it.
  const viewFor = (program: DatabaseProgram, page: ViewPage) =>
    isOurs(page) ? databaseFor(program, databaseOf(page)) : at.database(page, 'owner', name);
  // Here people look at their own few requests, so every trace is sampled, not one in a hundred.
  const traces = at.otlp && { OTEL_EXPORTER_OTLP_ENDPOINT: at.otlp, OTEL_TRACES_SAMPLER_ARG: 1 };
  const tokens = {
    TC_JWKS_URL: at.issuer.jwksUrl,
    TC_JWT_ISSUER: at.issuer.issuer,
    TC_JWT_AUDIENCE: at.issuer.audience,
  };
  switch (one.role) {
    case 'top-clients':
      return {
        TC_PORT: at.port(name),
        TC_HOST: at.host,
        TC_DATABASE_URL: databaseFor('top-clients', 'source'),
        TC_CALLER_KEY: at.callerKey,
        ...tokens,
        ...traces,
      };
    case 'outbox-relay':
      return {
        TC_DATABASE_URL: databaseFor('outbox-relay', 'source'),
        TC_KAFKA_BROKERS: at.brokers(name),
        ...traces,
      };
    case 'projector':
      return {
        TC_PAGE: one.page,
        TC_DELIVERY: one.delivery,
        TC_VIEW_VERSION: one.version,
        TC_DATABASE_URL: viewFor('projector', one.page),
        TC_KAFKA_BROKERS: at.brokers(name),
        ...traces,
      };
    case 'watch-view':
      return {
        TC_PAGE: one.page,
        TC_DELIVERY: one.delivery,
        TC_VIEW_VERSION: one.version,
        TC_DATABASE_URL: viewFor('watch-view', one.page),
        TC_SOURCE_DATABASE_URL: databaseFor('watch-view', 'source'),
        TC_KAFKA_BROKERS: at.brokers(name),
      };
    case 'page-server':
      return {
        TC_PAGE: one.page,
        TC_PORT: at.port(name),
        TC_HOST: at.host,
        TC_DELIVERY: one.delivery,
        TC_PARALLEL: one.parallel,
        TC_DATABASE_URL: databaseFor('page-server', databaseOf(one.page)),
        TC_SOURCE_URL: at.source(name),
        TC_SOURCE_CREDENTIAL: credentialOf(at.callerKey, one.page satisfies Caller),
        ...settingsByPage('URL', (page) => at.publicUrls?.[page]),
        TC_SELF_VIEW_URL: at.publicUrls?.['self-view'],
        ...(one.page === 'self-view' ? { TC_TOKEN_URL: at.issuer.tokenUrl, ...tokens } : {}),
        ...traces,
      };
  }
}

const isOurs = (page: ViewPage): boolean => PAGE_NAMES.some((name) => name === page);

type Settings = Readonly<Record<string, string | number | boolean | undefined>>;

/** A setting for each page, as `TC_GIG_URL`. */
const settingsByPage = (what: string, of: (page: PageName) => Settings[string]): Settings =>
  Object.fromEntries(PAGE_NAMES.map((page) => [settingOfPage(page, what), of(page)]));

/** Leaves out undefined settings: the role has a default for them. */
const settings = (all: Settings): Environment =>
  Object.fromEntries(
    Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
  );
