import { SELLER_EVENTS } from '#contracts/topics.ts';
import { boolean, setting } from '#platform/config.ts';
import { KAFKA_SETTINGS, kafkaSettings, openKafka } from '#platform/kafka/client.ts';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import { openPartitionReader } from '#platform/kafka/partition-reader.ts';
import { connect, openPool } from '#platform/postgres.ts';
import { newTraceparent } from '#platform/traceparent.ts';
import { defineRole } from '#role/role.ts';
import { publishedOnTopic } from './adapters/kafka/published-versions.ts';
import { postgresRestoredStore } from './adapters/postgres/lost-versions.ts';
import { REPUBLISH_SETTINGS } from './adapters/postgres/republish-settings.ts';
import { postgresSellers } from './adapters/postgres/sellers.ts';
import { eraseSeller, resumeAfterRestore } from './app/index.ts';

const CONNECTION = { applicationName: 'after-restore', statementTimeoutMs: 30_000, connectTimeoutMs: 10_000 };

export const role = defineRole({
  name: 'after-restore',
  about:
    'after the source was restored to an earlier point: erases again who was erased since, and raises versions of sellers above what the topic tells of them, so that every reader follows; can be run again',
  settings: {
    ...REPUBLISH_SETTINGS,
    dryRun: setting(
      'TC_DRY_RUN',
      'true only says how much the source has lost, and changes nothing',
      boolean().default(false),
    ),
    ...KAFKA_SETTINGS,
  },
  async start(config, { log, metrics, releases, fail }) {
    const stopping = new AbortController();
    releases.push('the run', () => stopping.abort(new Error('was stopped')));
    installKafkaCodecs(log, metrics);
    const address = { ...CONNECTION, url: config.databaseUrl, caFile: config.databaseCaFile };
    const db = await connect({ ...address, primaryOnly: true }, fail);
    releases.push('the database', () => db.end());
    const pool = openPool({ ...address, maximum: 1, pipeline: true }, log);
    releases.push('the pool', () => pool.end());
    const reader = openPartitionReader(
      openKafka('after-restore', kafkaSettings(config), log),
      SELLER_EVENTS.topic,
      log,
    );
    releases.push('the reader', () => reader.close());
    const sellers = postgresSellers(pool);
    const erase = async (sellerId: number) => {
      const request = { sellerId, expectedVersions: null, idempotency: null, traceparent: newTraceparent() };
      const result = await eraseSeller(sellers, request);
      if (!('decided' in result)) throw new Error(`seller ${sellerId} was not erased: ${result.kind}`);
    };
    const { dryRun, sellersPerSecond, mostWaiting } = config;
    const resumed = await resumeAfterRestore(
      publishedOnTopic(reader),
      postgresRestoredStore(db),
      erase,
      { dryRun, sellersPerSecond, mostWaiting, signal: stopping.signal },
      log,
    );
    if (!dryRun) log.info(resumed, 'nothing that was published is ahead of the source any more');
    return 'done';
  },
});
