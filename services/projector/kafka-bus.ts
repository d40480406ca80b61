import type { Kafka } from '#platform/kafka/client.ts';
import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import type { Bus, BusConsumer, Message, PartitionEnds } from './bus.ts';

export interface KafkaBusSettings {
  readonly topic: string;
  readonly groupId: string;
  /** After this long without a heartbeat the group gives the member's partitions to others, in ms. */
  readonly sessionTimeoutMs: number;
}

// All partitions of one fetch are handed over at once; more than this would only queue inside kafkajs.
const CONCURRENT_PARTITIONS = 256;

/** The bus on a Kafka topic, as one member of a consumer group. */
export function openKafkaBus(kafka: Kafka, settings: KafkaBusSettings, log: Log): Bus {
  const { topic, groupId, sessionTimeoutMs } = settings;
  const consumer = kafka.consumer({
    groupId,
    sessionTimeout: sessionTimeoutMs,
    heartbeatInterval: Math.floor(sessionTimeoutMs / 5),
    rebalanceTimeout: Math.max(10_000, 2 * sessionTimeoutMs),
    // A fetch in flight cannot be called off: stopping and rejoining wait this long when nothing comes.
    maxWaitTimeInMs: 100,
    minBytes: 1,
    maxBytesPerPartition: 1024 * 1024,
    maxBytes: 4 * 1024 * 1024,
    allowAutoTopicCreation: false,
  });
  const stopping = new AbortController();
  const admin = kafka.admin();
  let adminConnected: Promise<void> | undefined;
  /** Counts assignments, so that what was begun for an earlier one can tell. */
  let assignment = 0;
  /** Partitions that were told where to begin in this assignment. */
  const positioned = new Set<number>();

  const join = async (to: BusConsumer, partitions: number[]) => {
    const current = ++assignment;
    positioned.clear();
    // kafkajs fetches right away; a paused partition stays silent until it is known where to begin.
    consumer.pause([{ topic, partitions }]);
    const begin = await to.assigned(partitions);
    if (current !== assignment) return;
    for (const [partition, offset] of begin) {
      consumer.seek({ topic, partition, offset: String(offset) });
      positioned.add(partition);
    }
    consumer.resume([{ topic, partitions: [...begin.keys()] }]);
  };

  return {
    async start(to) {
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
        join(to, payload.memberAssignment[topic] ?? []).catch((err) => to.crashed(err));
      });
      consumer.on(consumer.events.CRASH, ({ payload }) => {
        if (payload.restart) log.warn({ err: payload.error }, 'the consumer failed and starts again');
        else to.crashed(payload.error);
      });
      // Nothing but what compaction or an aborted transaction left: kafkajs skips it without a delivery.
      consumer.on(consumer.events.START_BATCH_PROCESS, ({ payload }) => {
        if (payload.batchSize > 0 || !positioned.has(payload.partition)) return;
        void to.deliver(
          {
            partition: payload.partition,
            from: 0,
            next: Number(payload.lastOffset) + 1,
            end: Number(payload.highWatermark),
            messages: [],
          },
          async () => {},
        );
      });
      for (let wait = 200; ; wait = Math.min(5_000, wait * 2)) {
        try {
          await consumer.connect();
          await consumer.subscribe({ topic, fromBeginning: true });
          break;
        } catch (err) {
          if (stopping.signal.aborted) return;
          log.warn({ err, nextTryMs: wait }, 'cannot reach Kafka or the topic; trying again');
          await pause(wait, stopping.signal);
        }
      }
      if (stopping.signal.aborted) return;
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: true,
        partitionsConsumedConcurrently: CONCURRENT_PARTITIONS,
        async eachBatch({ batch, heartbeat }) {
          // The end of an earlier assignment: this one begins with a seek.
          if (!positioned.has(batch.partition)) return;
          await to.deliver(
            {
              partition: batch.partition,
              from: Number((batch as unknown as { fetchedOffset: string }).fetchedOffset),
              next: Number(batch.lastOffset()) + 1,
              end: Number(batch.highWatermark),
              messages: batch.messages as readonly Message[],
            },
            heartbeat,
          );
        },
      });
    },

    seek: (partition, offset) => consumer.seek({ topic, partition, offset: String(offset) }),

    async commit(positions) {
      await consumer.commitOffsets(
        [...positions].map(([partition, offset]) => ({ topic, partition, offset: String(offset) })),
      );
    },

    async ends() {
      adminConnected ??= admin.connect();
      try {
        await adminConnected;
      } catch (err) {
        adminConnected = undefined;
        throw err;
      }
      const ends = await admin.fetchTopicOffsets(topic);
      return new Map<number, PartitionEnds>(
        ends.map(({ partition, low, high }) => [partition, { first: Number(low), next: Number(high) }]),
      );
    },

    async stop() {
      stopping.abort();
      await consumer.disconnect();
      await admin.disconnect();
    },
  };
}
