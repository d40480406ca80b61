import { z } from 'zod';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { boolean, ConfigError, integer, milliseconds, setting } from '#platform/config.ts';
import type { DatabaseUrl } from '#platform/database-url.ts';
import { KAFKA_SETTINGS, kafkaSettings, openKafka } from '#platform/kafka/client.ts';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import { countPartitions, growTopic } from '#platform/kafka/topics.ts';
import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { connect, isUnavailable, type Queryable, UnfitDatabase } from '#platform/postgres.ts';
import { defineRole } from '#role/role.ts';
import { REPUBLISH_SETTINGS } from '../top-clients/adapters/postgres/republish-settings.ts';
import { type GrowingTopic, growPartitions } from './growth.ts';
import { beginRun, finishRun, type RunOptions } from './run.ts';

// Any constant will do, as long as every run takes the same one.
const LOCK = 7_461_002_920;
/**
 * Statement timeout, lock timeout, deadlock, serialisation: the server is too busy. 25006: read-only, in a failover.
 */
const BUSY = new Set(['57014', '55P03', '40P01', '40001', '25006']);
const AGAIN_MS = 2_000;
const TELL_EVERY_MS = 10_000;

export const role = defineRole({
  name: 'republish',
  about:
    "publishes sellers' newest states again through the outbox: to fill a topic that was lost, or to have it grow; goes on where it was when it is started again",
  settings: {
    ...REPUBLISH_SETTINGS,
    reason: setting(
      'TC_REASON',
      'request: all sellers, or a range of them; growth: those who move because the topic gets more partitions',
      z.enum(['request', 'growth']).default('request'),
    ),
    request: setting(
      'TC_REQUEST',
      'name of a run: the same name goes on with it, or finds it done; needed for --reason request',
      z.string().min(1).max(200).optional(),
    ),
    firstSeller: setting(
      'TC_FIRST_SELLER',
      'the first seller id to publish again',
      integer(0, Number.MAX_SAFE_INTEGER).default(0),
    ),
    lastSeller: setting(
      'TC_LAST_SELLER',
      'the last seller id to publish again',
      integer(0, Number.MAX_SAFE_INTEGER).default(Number.MAX_SAFE_INTEGER),
    ),
    partitions: setting(
      'TC_PARTITIONS',
      'how many partitions messages shall be divided by; needed for --reason growth',
      integer(1, 1_000_000).optional(),
    ),
    growTopic: setting(
      'TC_GROW_TOPIC',
      'whether to give the topic its partitions; false waits until it has them',
      boolean().default(true),
    ),
    movedFrom: setting(
      'TC_MOVED_FROM',
      'the number of partitions before the topic was grown by other means, to put that right',
      integer(1, 1_000_000).optional(),
    ),
    settleMs: setting(
      'TC_SETTLE_MS',
      'between a new layout and the first seller published by it, in ms; a former relay leader has long stopped then',
      milliseconds().default(10_000),
    ),
    ...KAFKA_SETTINGS,
    // Only a growth uses Kafka.
    brokers: { ...KAFKA_SETTINGS.brokers, schema: KAFKA_SETTINGS.brokers.schema.optional() },
  },
  async start(config, { log, metrics, releases }) {
    const { brokers, request, partitions } = config;
    const stopping = new AbortController();
    releases.push('the run', () => stopping.abort(new Error('was stopped')));
    const options: RunOptions = {
      sellersPerSecond: config.sellersPerSecond,
      mostWaiting: config.mostWaiting,
      signal: stopping.signal,
      onProgress: telling(log),
    };
    if (config.reason === 'growth') {
      if (!brokers) throw new ConfigError('republish --reason growth needs TC_KAFKA_BROKERS');
      if (!partitions) throw new ConfigError('republish --reason growth needs TC_PARTITIONS');
      installKafkaCodecs(log, metrics);
      const kafka = openKafka('republish', kafkaSettings({ ...config, brokers }), log);
      const topic: GrowingTopic = {
        count: () => countPartitions(kafka, SELLER_EVENTS.topic),
        grow: config.growTopic
          ? async (count) => void (await growTopic(kafka, { topic: SELLER_EVENTS.topic, partitions: count }))
          : null,
      };
      const { movedFrom, settleMs } = config;
      const wanted = { ...options, partitions, movedFrom, settleMs };
      const layout = await persistently(config, log, stopping.signal, (db) =>
        growPartitions(db, topic, wanted, log),
      );
      log.info({ partitions: layout.partitions }, 'the partitions are as they shall be');
      return 'done';
    }
    if (!request) throw new ConfigError('republish --reason request needs TC_REQUEST, a name for the run');
    const range = { request, first: config.firstSeller, last: config.lastSeller };
    const sellers = await persistently(config, log, stopping.signal, async (db) => {
      await beginRun(db, range);
      return finishRun(db, request, options);
    });
    log.info({ request, sellers }, 'all states are in the outbox again');
    return 'done';
  },
});

function telling(log: Log): NonNullable<RunOptions['onProgress']> {
  let told = performance.now();
  return (done, sellers) => {
    if (performance.now() - told < TELL_EVERY_MS) return;
    told = performance.now();
    log.info({ done, sellers }, 'publishes again');
  };
}

/** Runs `work` on a session that no other run uses, and again on a new session when the database was unavailable. */
async function persistently<T>(
  database: { readonly databaseUrl: string | DatabaseUrl; readonly databaseCaFile?: string | undefined },
  log: Log,
  signal: AbortSignal,
  work: (db: Queryable) => Promise<T>,
): Promise<T> {
  for (;;) {
    signal.throwIfAborted();
    try {
      const db = await connect(
        {
          url: database.databaseUrl,
          caFile: database.databaseCaFile,
          applicationName: 'republish',
          statementTimeoutMs: 30_000,
          connectTimeoutMs: 5_000,
          primaryOnly: true,
        },
        () => {}, // Its next query reports the loss.
      );
      try {
        await lockRuns(db, log, signal);
        return await work(db);
      } finally {
        await db.end().catch(() => {});
      }
    } catch (err) {
      // An unfit database needs somebody to change it; a failover passes.
      if (err instanceof UnfitDatabase && !BUSY.has((err as { code?: string }).code ?? '')) throw err;
      if (!isUnavailable(err) && !BUSY.has((err as { code?: string }).code ?? '')) throw err;
      log.warn({ err }, 'the database cannot be used; trying again');
      await pause(AGAIN_MS, signal);
    }
  }
}

/** One run at a time. The lock belongs to the session, so it is released when the process is killed. */
async function lockRuns(db: Queryable, log: Log, signal: AbortSignal): Promise<void> {
  for (let told = false; ; ) {
    signal.throwIfAborted();
    const { rows } = await db.query<{ got: boolean }>('select pg_try_advisory_lock($1) as got', [LOCK]);
    if (rows[0]!.got) return;
    if (!told) log.info('another run is under way; waiting for it');
    told = true;
    await pause(500, signal);
  }
}
