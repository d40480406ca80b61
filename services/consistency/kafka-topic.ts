import type { Admin, Kafka } from '#platform/kafka/client.ts';
import { openPartitionReader, type PartitionReader } from '#platform/kafka/partition-reader.ts';
import type { Log } from '#platform/log.ts';
import type { Topic } from './compare-view.ts';

/** The topic as a comparison asks it. @throws when Kafka cannot be reached */
export async function openKafkaTopic(
  kafka: Kafka,
  topic: string,
  log: Log,
): Promise<Topic & { close(): Promise<void> }> {
  const admin = kafka.admin();
  const reader = openPartitionReader(kafka, topic, log);
  const close = async () => {
    await Promise.allSettled([admin.disconnect(), reader.close()]);
  };
  try {
    await admin.connect();
  } catch (err) {
    await close();
    throw err;
  }
  return { ...kafkaTopic(admin, topic, reader), close };
}

/**
 * Ends by the high watermark. What kafkajs calls the end is the last stable offset: while somebody else's transaction is
 * open, it stands still before messages that are on their way to the view, which would then be taken for missing.
 * @param admin knows which partitions there are
 * @param reader of the same topic
 */
export const kafkaTopic = (
  admin: Pick<Admin, 'fetchTopicOffsets'>,
  topic: string,
  reader: Pick<PartitionReader, 'offsets'>,
): Topic => ({
  async ends() {
    const [all, known] = await Promise.all([admin.fetchTopicOffsets(topic), reader.offsets()]);
    return new Map(
      all.map(({ partition }) => {
        const offsets = known.get(partition);
        if (offsets === undefined) throw new Error(`nobody tells how far partition ${partition} goes`);
        return [partition, { first: offsets.first, next: offsets.highWatermark }];
      }),
    );
  },
});
