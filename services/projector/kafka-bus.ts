import type { Kafka } from '#platform/kafka/client.ts';
import { openPartitionReader } from '#platform/kafka/partition-reader.ts';
import type { Log } from '#platform/log.ts';
import type { Bus } from './bus.ts';

export interface KafkaBusSettings {
  readonly topic: string;
  /** The consumer group for which offsets are committed. It has no members. */
  readonly groupId: string;
}

/** The bus on a Kafka topic, read by its partitions. */
export function openKafkaBus(kafka: Kafka, { topic, groupId }: KafkaBusSettings, log: Log): Bus {
  const reader = openPartitionReader(kafka, topic, log);
  return {
    read: (to, signal) => reader.read(to, signal),
    commit: (positions) => reader.commit(groupId, positions),
    async ends() {
      const offsets = await reader.ends();
      return new Map(
        [...offsets].map(([partition, one]) => [
          partition,
          one && { first: one.first, next: one.lastStable, end: one.highWatermark },
        ]),
      );
    },
    topicId: () => reader.topicId(),
    close: () => reader.close(),
  };
}
