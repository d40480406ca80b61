import type { Kafka } from 'kafkajs';

/**
 * How many partitions a topic has; null when there is none of that name. Asks for all topics, since asking for one by
 * name may create it.
 */
export async function countPartitions(kafka: Kafka, topic: string): Promise<number | null> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    const { topics } = await admin.fetchTopicMetadata();
    return topics.find(({ name }) => name === topic)?.partitions.length ?? null;
  } finally {
    await admin.disconnect();
  }
}

/**
 * Adds partitions to a topic until it has so many. Keys hash elsewhere from then on for every producer that counts
 * them. Safe to repeat: a topic that has as many or more is left as it is.
 */
export async function growTopic(
  kafka: Kafka,
  { topic, partitions: count }: { readonly topic: string; readonly partitions: number },
): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    await admin.createPartitions({ topicPartitions: [{ topic, count }], timeout: 20_000 });
  } catch (err) {
    // Somebody else was faster.
    if (((await countPartitions(kafka, topic)) ?? 0) < count) throw err;
  } finally {
    await admin.disconnect();
  }
}
