import { z } from 'zod';
import { ExternalPageName, SERVED_PAGES, type ServedPage } from '#contracts/pages.ts';
import { RANGES } from '#contracts/ranges.ts';
import { ERASED_BYTES_LEAVE_WITHIN_DAYS, SELLER_EVENTS } from '#contracts/topics.ts';
import { boolean, ConfigError, databaseUrl, integer, integerIn, list, setting } from '#platform/config.ts';
import { databaseCaFile } from '#platform/database-tls.ts';
import { KAFKA_SETTINGS, kafkaSettings, openKafka } from '#platform/kafka/client.ts';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import { countPartitions, ensureTopic } from '#platform/kafka/topics.ts';
import { defineRole } from '#role/role.ts';
import { migrateExternalPage, migratePage, migrateSource } from './databases.ts';
import { USER_SETTINGS, usersIn } from './user-settings.ts';

const required = <T>(value: T | undefined, name: string, target: string): T => {
  if (value === undefined) throw new ConfigError(`migrate --target ${target} needs ${name}`);
  return value;
};

const TARGETS: readonly string[] = ['source', 'topics', ...SERVED_PAGES];

/** @throws ConfigError for a name that is nobody's, or somebody else's */
function assertTarget({ target, external }: { readonly target: string; readonly external: boolean }): void {
  if (!external) {
    if (TARGETS.includes(target)) return;
    throw new ConfigError(
      `TC_TARGET is not one of ${TARGETS.join(', ')}; for a page of yours set TC_EXTERNAL=true`,
    );
  }
  const { error } = ExternalPageName.safeParse(target);
  if (error) throw new ConfigError(`TC_TARGET, the name of a page of yours, ${error.issues[0]!.message}`);
}

export const role = defineRole({
  name: 'migrate',
  about: 'brings a database or the topics to this version; safe to repeat and to run concurrently',
  settings: {
    target: setting('TC_TARGET', `what to migrate: ${TARGETS.join(', ')}, or a page of yours`, z.string()),
    external: setting(
      'TC_EXTERNAL',
      'whether the target is a page of yours: then only its views are migrated, in schemas of their own',
      boolean().default(false),
    ),
    readerRoles: setting(
      'TC_READER_ROLES',
      'of a page of yours: roles of the database that may read its lists, comma-separated',
      list().default([]),
    ),
    databaseCaFile: databaseCaFile('TC_DATABASE_CA_FILE'),
    ...USER_SETTINGS,
    databaseUrl: setting('TC_DATABASE_URL', 'PostgreSQL address of the target', databaseUrl().optional()),
    delivery: setting(
      'TC_DELIVERY',
      'which view to create for a page',
      z.enum(['asynchronous', 'hybrid', 'synchronous', 'off']).default('asynchronous'),
    ),
    viewVersion: setting('TC_VIEW_VERSION', 'version of the view', integerIn(RANGES.view.version)),
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
    assertTarget(config);
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
    const { show } = config;
    const applied = config.external
      ? await migrateExternalPage(
          target,
          url,
          required(view ?? undefined, 'TC_DELIVERY asynchronous or hybrid', target),
          config.readerRoles,
          log,
          access,
          show,
        )
      : target === 'source'
        ? await migrateSource(url, log, access)
        : await migratePage(
            target as ServedPage,
            url,
            target === 'self-view' || view === null ? 'none' : view,
            log,
            access,
            show,
          );
    log.info({ target, applied }, applied.length > 0 ? 'migrated' : 'nothing to migrate');
    return 'done';
  },
});
