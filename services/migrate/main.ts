import { z } from 'zod';
import { SERVED_PAGES, type ServedPage } from '#contracts/pages.ts';
import { ERASED_BYTES_LEAVE_WITHIN_DAYS, SELLER_EVENTS } from '#contracts/topics.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { boolean, ConfigError, databaseUrl, integer, setting } from '#platform/config.ts';
import { databaseCaFile } from '#platform/database-tls.ts';
import type { DatabaseUrl } from '#platform/database-url.ts';
import { KAFKA_SETTINGS, kafkaSettings, openKafka } from '#platform/kafka/client.ts';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import { countPartitions, ensureTopic } from '#platform/kafka/topics.ts';
import type { Log } from '#platform/log.ts';
import { migrate } from '#platform/migrations.ts';
import { connect } from '#platform/postgres.ts';
import { defineRole } from '#role/role.ts';
import { grantUsers, type Users } from './grants.ts';
import { migrateSurface, showView } from './read-surface.ts';
import { USER_SETTINGS, usersIn } from './user-settings.ts';
import { viewScopes } from './view-scopes.ts';

const services = new URL('../', import.meta.url);
const folder = (path: string) => new URL(`${path}/`, services);

/** A page's view is migrated together with the page's own tables; `none` leaves views alone (self-view, off). */
export type ViewToMigrate = { delivery: 'asynchronous' | 'hybrid'; version: number } | 'none';

/** How the owner reaches a database, beside its address, and which users it grants rights to. */
export interface OwnerAccess {
  readonly caFile?: string | undefined;
  /** The users that get the rights they need there; when absent, everybody signs in as the owner. */
  readonly users?: Users;
}

async function withConnection<T>(
  url: string | DatabaseUrl,
  log: Log,
  { caFile }: OwnerAccess,
  work: (client: Awaited<ReturnType<typeof connect>>) => Promise<T>,
): Promise<T> {
  const client = await connect(
    {
      url,
      caFile,
      applicationName: 'migrate',
      statementTimeoutMs: 300_000,
      connectTimeoutMs: 10_000,
      primaryOnly: true,
    },
    (err) => log.error({ err }, 'lost the database'),
  );
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Migrates the database of the source of truth to this version. Safe to repeat and to run concurrently. */
export const migrateSource = (
  url: string | DatabaseUrl,
  log: Log,
  access: OwnerAccess = {},
): Promise<string[]> =>
  withConnection(url, log, access, async (client) => {
    const at = folder('top-clients/adapters/postgres/migrations');
    const applied = await migrate(client, at, log, { scope: 'source' });
    await grantUsers(client, 'source', 'public', access.users ?? {});
    return applied;
  });

/** How long to try again while a long transaction holds the views that a page reads, in ms. */
const SHOW_WITHIN_MS = 60_000;

/**
 * Migrates a page's own tables, and one version of its view, to this version. The first view of a delivery is shown.
 * @param show whether the page is to show the view from now on, instead of what it shows
 */
export const migratePage = (
  page: ServedPage,
  url: string | DatabaseUrl,
  view: ViewToMigrate,
  log: Log,
  access: OwnerAccess = {},
  show = false,
): Promise<string[]> =>
  withConnection(url, log, access, async (client) => {
    const own = page === 'self-view' ? 'seller-portal' : `pages/${page}`;
    const applied = await migrate(client, folder(`${own}/migrations`), log, { scope: page });
    const users = access.users ?? {};
    await grantUsers(client, page === 'self-view' ? 'self-view' : 'page', 'public', users);
    if (page === 'self-view' || view === 'none') return applied;
    const schema = viewSchema(view.delivery, view.version);
    const variables = { schema };
    const [beside, rows] = viewScopes(schema);
    const ofView = [
      ...(await migrate(client, folder('pages/view-migrations'), log, { scope: beside, variables })),
      ...(await migrate(client, projectionsOf(page)[view.delivery].migrations, log, {
        scope: rows,
        variables,
      })),
      ...(await migrate(client, folder('pages/read-surface'), log, { scope: 'read-surface' })),
    ];
    await grantUsers(client, 'view', schema, users);
    await (show ? showView : migrateSurface)(client, page, view, SHOW_WITHIN_MS);
    await grantUsers(client, 'surface', 'top_clients', users);
    return [...applied, ...ofView];
  });

const required = <T>(value: T | undefined, name: string, target: string): T => {
  if (value === undefined) throw new ConfigError(`migrate --target ${target} needs ${name}`);
  return value;
};

const TARGETS = ['source', 'topics', ...SERVED_PAGES] as const;

export const role = defineRole({
  name: 'migrate',
  about: 'brings a database or the topics to this version; safe to repeat and to run concurrently',
  settings: {
    target: setting('TC_TARGET', `what to migrate: ${TARGETS.join(', ')}`, z.enum(TARGETS)),
    databaseCaFile: databaseCaFile('TC_DATABASE_CA_FILE'),
    ...USER_SETTINGS,
    databaseUrl: setting('TC_DATABASE_URL', 'PostgreSQL address of the target', databaseUrl().optional()),
    delivery: setting(
      'TC_DELIVERY',
      'which view to create for a page',
      z.enum(['asynchronous', 'hybrid', 'synchronous', 'off']).default('asynchronous'),
    ),
    viewVersion: setting('TC_VIEW_VERSION', 'version of the view', integer(1, 1_000_000).default(1)),
    show: setting(
      'TC_SHOW',
      'whether the page is to show this view from now on; the first one of a delivery is shown without',
      boolean().default(false),
    ),
    partitions: setting(
      'TC_PARTITIONS',
      'partitions of the topic, when it is created',
      integer(1, 10_000).default(SELLER_EVENTS.defaultPartitions),
    ),
    replication: setting(
      'TC_REPLICATION',
      'copies of the topic, when it is created',
      integer(1, 10).default(1),
    ),
    ...KAFKA_SETTINGS,
    brokers: { ...KAFKA_SETTINGS.brokers, schema: KAFKA_SETTINGS.brokers.schema.optional() },
  },
  async start(config, { log, metrics }) {
    const { target } = config;
    if (target === 'topics') {
      const brokers = required(config.brokers, 'TC_KAFKA_BROKERS', target);
      installKafkaCodecs(log, metrics);
      const kafka = openKafka('migrate', kafkaSettings({ ...config, brokers }), log);
      const { topic, settings, owned } = SELLER_EVENTS;
      const { partitions: wanted, replication } = config;
      const changed = await ensureTopic(
        kafka,
        { topic, partitions: wanted, replication, settings, owned },
        log,
      );
      const changedSettings = Object.keys(changed);
      log.info(
        { target, changedSettings, erasedBytesLeaveWithinDays: ERASED_BYTES_LEAVE_WITHIN_DAYS },
        'the topic has the settings it needs',
      );
      const partitions = await countPartitions(kafka, topic);
      if (partitions !== null && partitions !== wanted) {
        // `migrate` must not grow it: every relay must follow a stored layout before, and sellers must move afterwards.
        const how = 'republish --reason growth has it grow; Kafka takes no partition away';
        log.warn({ partitions, wanted }, `the topic has other partitions than wanted: ${how}`);
      }
      return 'done';
    }
    const url = required(config.databaseUrl, 'TC_DATABASE_URL', target);
    const { delivery, viewVersion } = config;
    const view =
      delivery === 'asynchronous' || delivery === 'hybrid' ? { delivery, version: viewVersion } : null;
    const access = { caFile: config.databaseCaFile, users: usersIn(config) };
    const applied =
      target === 'source'
        ? await migrateSource(url, log, access)
        : await migratePage(
            target,
            url,
            target === 'self-view' || view === null ? 'none' : view,
            log,
            access,
            config.show,
          );
    log.info({ target, applied }, applied.length > 0 ? 'migrated' : 'nothing to migrate');
    return 'done';
  },
});
