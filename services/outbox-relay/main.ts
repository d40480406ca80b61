import { RANGES } from '#contracts/ranges.ts';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { Backoff } from '#platform/backoff.ts';
import { databaseUrl, integerIn, setting } from '#platform/config.ts';
import { databaseCaFile } from '#platform/database-tls.ts';
import { serveHealth } from '#platform/health.ts';
import { KAFKA_SETTINGS, kafkaSettings, openKafka } from '#platform/kafka/client.ts';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import { countPartitions } from '#platform/kafka/topics.ts';
import { pause, within } from '#platform/lifecycle.ts';
import { connect, openPool } from '#platform/postgres.ts';
import { openTracing, TRACING_SETTINGS } from '#platform/tracing.ts';
import { defineRole } from '#role/role.ts';
import { writeToEveryPartition } from '../top-clients/adapters/postgres/idle-partitions.ts';
import {
  countWaiting,
  type LedOutbox,
  lookBelow,
  openOutbox,
  prepareSession,
  type Shard,
  tellWhatNobodyTold,
} from '../top-clients/adapters/postgres/outbox.ts';
import { openOutboxAlarm } from '../top-clients/adapters/postgres/outbox-alarm.ts';
import { readLayout, readProgress } from '../top-clients/adapters/postgres/partition-layout.ts';
import { ensureLayout } from './layout.ts';
import { acquireLease } from './lease.ts';
import { openRelayMetrics } from './metrics.ts';
import { openPublisher } from './publisher.ts';
import { relayRows } from './shard.ts';
import { tracedRelay } from './traces.ts';

const IDLE_PARTITIONS_EVERY_MS = 10 * 60_000;

export const role = defineRole({
  name: 'outbox-relay',
  about:
    'sends the rows of the outbox to Kafka, in order for each seller; any number may run, one leads a shard',
  settings: {
    databaseCaFile: databaseCaFile('TC_DATABASE_CA_FILE'),
    databaseUrl: setting(
      'TC_DATABASE_URL',
      'PostgreSQL address of the source, not through a pooler that shares sessions',
      databaseUrl(),
    ),
    shards: setting(
      'TC_SHARDS',
      'into how many parts the outbox is divided; the same for every relay',
      integerIn(RANGES.relay.shards),
    ),
    roundMs: setting(
      'TC_ROUND_MS',
      'how long rows are gathered for a batch, in ms: longer costs less, and every page waits half of it longer',
      integerIn(RANGES.relay.roundMs),
    ),
    ...KAFKA_SETTINGS,
    ...TRACING_SETTINGS,
  },
  async start(config, { log, version, metrics: registry, releases }) {
    installKafkaCodecs(log, registry);
    const tracing = await openTracing('outbox-relay', config, { log, version, releases });
    const kafka = kafkaSettings(config);
    const metrics = openRelayMetrics(registry, config.shards);
    const stop = new AbortController();
    const database = {
      url: config.databaseUrl,
      caFile: config.databaseCaFile,
      applicationName: 'outbox-relay',
      statementTimeoutMs: 10_000,
      connectTimeoutMs: 3_000,
    };
    /** What each shard waits for before this process can lead it or stand by. */
    const notReady = new Map<number, string>();
    /** The outboxes of the shards that this process leads. */
    const outboxes = new Map<number, LedOutbox>();
    const blocked = new Map<number, string>();

    /** One term: from standing by to the end of the leadership. */
    const serveTerm = async (shard: Shard): Promise<void> => {
      const lease = await acquireLease(
        { ...database, statementTimeoutMs: 2_000 },
        shard,
        stop.signal,
        log,
        () => notReady.delete(shard.index),
      );
      if (lease === null) return;
      log.info({ shard: shard.index, of: shard.of }, 'leads the shard');
      const term = new AbortController();
      const ended = AbortSignal.any([stop.signal, lease.lost, term.signal]);
      const publisher = openPublisher('outbox-relay', kafka, log, lease);
      metrics.leads(shard.index, true);
      lease.lost.addEventListener('abort', () => {
        metrics.leads(shard.index, false);
        publisher.end();
      });
      try {
        const db = await connect({ ...database, pipeline: true, primaryOnly: true }, (err) =>
          term.abort(err),
        );
        try {
          await prepareSession(db);
          const count = () => countPartitions(openKafka('outbox-relay', kafka, log), SELLER_EVENTS.topic);
          if (!(await ensureLayout(db, count, ended, log))) return;
          await tellWhatNobodyTold(pool);
          const outbox = openOutbox(db, shard, log);
          outboxes.set(shard.index, outbox);
          const observer = tracedRelay(metrics.observer(shard.index), tracing);
          await relayRows(
            {
              ...outbox,
              ackAndFetch: async (one) => {
                try {
                  return await outbox.ackAndFetch(one);
                } catch (err) {
                  metrics.failed('ack_and_fetch');
                  throw err;
                }
              },
            },
            publisher,
            {
              ...observer,
              blocked(because) {
                observer.blocked(because);
                if (because === null) blocked.delete(shard.index);
                else blocked.set(shard.index, `shard ${shard.index}: ${because}`);
              },
            },
            ended,
            { isHeld: () => !ended.aborted && lease.isHeld() },
            log,
            { roundMs: config.roundMs, alarm: openOutboxAlarm(db, shard, log), shards: shard.of },
          );
        } finally {
          publisher.end();
          await db.end().catch(() => {});
        }
      } finally {
        outboxes.delete(shard.index);
        blocked.delete(shard.index);
        metrics.leads(shard.index, false);
        await lease.release().catch(() => {});
      }
    };

    const serveShard = async (shard: Shard): Promise<void> => {
      const backoff = new Backoff({ firstMs: 100, longestMs: 1_000, random: null });
      while (!stop.signal.aborted) {
        const startedAt = performance.now();
        try {
          await serveTerm(shard);
        } catch (err) {
          metrics.failed('lead');
          notReady.set(shard.index, `shard ${shard.index}: ${(err as Error).message}`);
          log.error({ err, shard: shard.index }, 'the term of a shard failed; trying again');
        }
        if (performance.now() - startedAt > 10_000) backoff.reset();
        await pause(backoff.next(), stop.signal);
      }
    };

    // Forces a walk along the ids: the table is empty most of the time, so its statistics do not suggest one.
    const pool = openPool({ ...database, maximum: 2, parameters: { enable_seqscan: 'off' } }, log);
    releases.push('database pool', () => pool.end());
    /** By shard, the rows of held sellers below the floor, as of the last look there. */
    const heldBelow = new Map<number, number>();
    const everyShard = async (what: string, ask: (shard: Shard, outbox: LedOutbox) => Promise<void>) => {
      const startedAt = performance.now();
      for (const [index, outbox] of outboxes) {
        try {
          await ask({ index, of: config.shards }, outbox);
        } catch (err) {
          log.warn({ err }, what);
        }
      }
      return performance.now() - startedAt;
    };
    // Counting a long queue reads all of it: never spend more than a twentieth of the time on that.
    const watchWaiting = async () => {
      while (!stop.signal.aborted) {
        const tookMs = await everyShard('could not count the outbox', async (shard, outbox) => {
          const { rows, oldest } = await countWaiting(pool, shard, outbox.below());
          metrics.waiting(shard.index, { rows: rows + (heldBelow.get(shard.index) ?? 0), oldest });
        });
        try {
          metrics.layout(await readLayout(pool), await readProgress(pool));
        } catch (err) {
          log.warn({ err }, 'could not read the partition layout');
        }
        await pause(Math.max(2_000, 20 * tookMs), stop.signal);
      }
    };
    // A safety net: only a row that was written by hand can be there.
    const watchBelow = async () => {
      while (!stop.signal.aborted) {
        const tookMs = await everyShard('could not look below the floor', async (shard, outbox) => {
          const below = outbox.below();
          const { held, missed, first } = await lookBelow(pool, shard, below);
          heldBelow.set(shard.index, held);
          if (missed === 0) return;
          metrics.missed(shard.index, missed);
          log.error({ shard: shard.index, missed, first, floor: below.floor }, 'rows were below the floor');
          outbox.distrust();
        });
        await pause(Math.max(10_000, 20 * tookMs), stop.signal);
      }
    };

    const watchIdlePartitions = async () => {
      while (!stop.signal.aborted) {
        const partitions = await writeToEveryPartition(pool).catch((err: unknown) => {
          log.warn({ err }, 'could not write to the idle partitions');
          return 0;
        });
        if (partitions > 0) log.info({ partitions }, 'writes a marker without a seller to every partition');
        await pause(IDLE_PARTITIONS_EVERY_MS, stop.signal);
      }
    };

    const shards = Array.from({ length: config.shards }, (_, index) => ({ index, of: config.shards }));
    for (const { index } of shards) notReady.set(index, `shard ${index}: connecting`);
    const running = Promise.all([
      ...shards.map(serveShard),
      watchWaiting(),
      watchBelow(),
      watchIdlePartitions(),
    ]);
    releases.push('shards', async () => {
      stop.abort();
      await within(8_000, 'finishing the batches in flight', running);
    });
    const health = await serveHealth(config, {
      notReadyBecause: () => [...notReady.values(), ...blocked.values()][0] ?? null,
      metrics: registry,
      log,
    });
    releases.push('health', () => health.close());
    log.info({ healthPort: health.port, shards: config.shards }, 'relays');
    return 'running';
  },
});
