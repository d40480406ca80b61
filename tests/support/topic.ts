/** The contents of the topic of seller events, and the rules they must keep. */
import { MOVED_TYPE } from '#contracts/events.ts';
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
 * Puts messages on the topic without the relay, as a stranger or an old relay would.
 * @param requests the messages of each Kafka request, sent one after the other
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
    // A batch that cannot be read: without this the wait would never end.
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      if (!payload.restart) done.reject(payload.error);
    });
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
 * Violations of the order of a seller's versions: a version that appears before its predecessor, or an older one that
 * is last, so that compaction would keep it. Repetitions are allowed. A seller may have moved to another partition; the
 * old one then ends with the marker of the move. Empty when there is no violation.
 * @param messages in order within each partition, with the partitions mixed in any way
 */
export function disorderIn(messages: readonly TopicMessage[]): string[] {
  const faults: string[] = [];
  for (const [sellerId, ofSeller] of Map.groupBy(messages, (one) => one.sellerId)) {
    const told = (what: string) => faults.push(`seller ${sellerId}${what}`);
    let highest: number | null = null;
    let last: number | null = null;
    for (const { version, partition, offset } of inOrderOfMoves(ofSeller, told)) {
      if (version === null) continue;
      const before: number = highest ?? version - 1;
      if (version > before + 1) told(`: version ${version} at ${partition}/${offset} comes after ${before}`);
      highest = Math.max(before, version);
      last = version;
    }
    if (highest !== null && last! < highest) told(`: an old version ${last} stands last`);
  }
  return faults;
}

const isMarker = ({ headers }: TopicMessage) => headers['ce_type'] === MOVED_TYPE;

/** The seller's messages, partition after partition in the order of its moves, without the markers. */
function inOrderOfMoves(ofSeller: readonly TopicMessage[], told: (what: string) => void): TopicMessage[] {
  const homes = [...Map.groupBy(ofSeller, ({ partition }) => partition).values()];
  const left = (home: TopicMessage[]) => home.findLast(isMarker);
  const current = homes.filter((home) => !left(home));
  if (current.length > 1) told(' changed its partition');
  const moved = homes.flatMap((home) => {
    const marker = left(home);
    if (!marker) return [];
    if (home.at(-1) !== marker) told(`: partition ${marker.partition} goes on behind the marker of the move`);
    return [{ home, version: marker.version ?? 0 }];
  });
  moved.sort((a, b) => a.version - b.version);
  return [...moved.flatMap(({ home }) => home), ...current.flat()].filter((one) => !isMarker(one));
}
