/** What stands on the topic of seller events, and what has to hold for it. */
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { type KafkaMessage, openKafka } from '#platform/kafka/client.ts';
import { silentLog } from '#platform/log.ts';

export interface TopicMessage {
  readonly partition: number;
  readonly offset: number;
  readonly sellerId: number;
  /** From `ce_id`; null where there is none. */
  readonly version: number | null;
  readonly value: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Puts messages on the topic past the relay, as a stranger or an old copy of it would.
 * @param requests the messages of each request to Kafka, sent one after the other
 */
export async function produceByHand(
  bootstrap: string,
  ...requests: ReadonlyArray<readonly KafkaMessage[]>
): Promise<void> {
  const producer = openKafka('by-hand', { brokers: [bootstrap] }, silentLog).producer({
    allowAutoTopicCreation: false,
  });
  await producer.connect();
  try {
    for (const messages of requests) {
      await producer.send({ topic: SELLER_EVENTS.topic, messages: messages.map((one) => ({ ...one })) });
    }
  } finally {
    await producer.disconnect();
  }
}

/** Everything on the topic, each partition in order. */
export async function readTopic(bootstrap: string): Promise<TopicMessage[]> {
  const kafka = openKafka('reader', { brokers: [bootstrap] }, silentLog);
  const { topic } = SELLER_EVENTS;
  const admin = kafka.admin();
  await admin.connect();
  const left = new Map(
    (await admin.fetchTopicOffsets(topic)).flatMap(({ partition, low, high }) =>
      Number(high) > Number(low) ? [[partition, Number(high)]] : [],
    ),
  );
  const groupId = `reader-${process.pid}-${performance.now()}`;
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 50 });
  const messages: TopicMessage[] = [];
  try {
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    const done = Promise.withResolvers<void>();
    if (left.size === 0) done.resolve();
    await consumer.run({
      autoCommit: false,
      async eachBatch({ batch }) {
        for (const { offset, key, value, headers = {} } of batch.messages) {
          const texts = Object.fromEntries(
            Object.entries(headers).map(([name, text]) => [name, String(text)]),
          );
          messages.push({
            partition: batch.partition,
            offset: Number(offset),
            sellerId: Number(key),
            version: texts['ce_id'] ? Number(texts['ce_id'].split('/')[1]) : null,
            value: value?.toString() ?? null,
            headers: texts,
          });
        }
        if (Number(batch.lastOffset()) + 1 >= (left.get(batch.partition) ?? 0)) left.delete(batch.partition);
        if (left.size === 0) done.resolve();
      },
    });
    await done.promise;
    return messages;
  } finally {
    await consumer.disconnect();
    await admin.disconnect();
  }
}

/**
 * What breaks the order of a seller's versions: one that appears before its predecessor ever did, or an older one
 * that stands last, where compaction would make it the one that remains. Repetitions are allowed. Empty when all holds.
 */
export function disorderIn(messages: readonly TopicMessage[]): string[] {
  const faults: string[] = [];
  const highest = new Map<number, number>();
  const last = new Map<number, number>();
  const home = new Map<number, number>();
  for (const { sellerId, version, partition, offset } of messages) {
    if (version === null) continue;
    const before = highest.get(sellerId) ?? version - 1;
    if (version > before + 1) {
      faults.push(`seller ${sellerId}: version ${version} at ${partition}/${offset} comes after ${before}`);
    }
    if ((home.get(sellerId) ?? partition) !== partition)
      faults.push(`seller ${sellerId} changed its partition`);
    home.set(sellerId, partition);
    highest.set(sellerId, Math.max(before, version));
    last.set(sellerId, version);
  }
  for (const [sellerId, version] of last) {
    if (version < highest.get(sellerId)!)
      faults.push(`seller ${sellerId}: an old version ${version} stands last`);
  }
  return faults;
}
