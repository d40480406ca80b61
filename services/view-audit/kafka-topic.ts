import type { Kafka } from '#platform/kafka/client.ts';
import { openPartitionReader, type PartitionReader } from '#platform/kafka/partition-reader.ts';
import type { Log } from '#platform/log.ts';
import type { Topic } from './compare-view.ts';

/** The topic as a comparison uses it. The first call connects. */
export function openKafkaTopic(kafka: Kafka, topic: string, log: Log): Topic & { close(): Promise<void> } {
  const reader = openPartitionReader(kafka, topic, log);
  return { ...kafkaTopic(reader), close: () => reader.close() };
}

/**
 * Uses the high watermark as the end of a partition. kafkajs returns the last stable offset: an open transaction holds
 * it back before messages that are on their way to the view, which would then count as missing.
 * @param reader of the topic
 */
export const kafkaTopic = (reader: Pick<PartitionReader, 'offsets'>): Topic => ({
  async ends() {
    return new Map(
      [...(await reader.offsets())].map(([partition, offsets]) => {
        if (offsets === null) throw new Error(`nobody tells how far partition ${partition} goes`);
        return [partition, { first: offsets.first, next: offsets.highWatermark }];
      }),
    );
  },
});
