/** Plays the topic of the rules to a consumer, and says which rules it kept. */
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { type Kafka, openKafka, type Producer } from '#platform/kafka/client.ts';
import { COMPRESSION } from '#platform/kafka/compression.ts';
import { ensureTopic } from '#platform/kafka/topics.ts';
import { silentLog } from '#platform/log.ts';
import { until } from '../../../services/local-stack/until.ts';
import {
  ACTS,
  breachOf,
  messagesOf,
  PARTITIONS,
  RULES,
  type SellerState,
  type Sent,
  sentinels,
} from './rules.ts';

/** The consumer under test. */
export interface ConsumerUnderTest {
  /** Starts it; the topic is there. */
  start(): Promise<void>;
  /** Ends it as a crash does. */
  kill(): Promise<void>;
  /** @throws when its store cannot be read now */
  state(): Promise<ReadonlyMap<number, SellerState>>;
}

export interface ConsumerVerdict {
  readonly rule: string;
  /** How the rule was broken, and what comes of that; null where it was kept. */
  readonly breach: string | null;
}

/**
 * @param bootstrap a Kafka whose topic is empty, or not there
 * @param patienceMs how long the consumer may take for an act
 * @throws Error when the consumer cannot be started
 */
export async function play(
  bootstrap: string,
  consumer: ConsumerUnderTest,
  { patienceMs, log }: { readonly patienceMs: number; readonly log: (message: string) => void },
): Promise<ConsumerVerdict[]> {
  const kafka = openKafka('conformance', { brokers: [bootstrap] }, silentLog);
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  await createTopic(kafka);
  await producer.connect();
  try {
    for (let act = 0; act < ACTS; act++) {
      if (act === 2) await consumer.kill();
      const messages = [...messagesOf(act), ...sentinels(act)];
      await send(producer, messages);
      log(`act ${act + 1} of ${ACTS}: ${messages.length} messages sent`);
      if (act !== 1) await consumer.start();
      const late = await lateIn(consumer, act, patienceMs);
      // What comes after would be read behind what it has not read now: nothing more can be learnt.
      if (late !== null) return verdicts(await consumer.state().catch(() => new Map()), late);
    }
    return verdicts(await consumer.state(), null);
  } finally {
    await producer.disconnect();
  }
}

async function createTopic(kafka: Kafka): Promise<void> {
  const { topic, settings } = SELLER_EVENTS;
  // As producers compress it: so the codecs are tried.
  const asSent = { ...settings, 'compression.type': 'producer' };
  const wanted = {
    topic,
    partitions: PARTITIONS,
    replication: 1,
    settings: asSent,
    owned: ['compression.type'],
  };
  await ensureTopic(kafka, wanted, silentLog);
}

/** In the order of each partition; consecutive messages of one compression in one request. */
async function send(producer: Producer, messages: readonly Sent[]): Promise<void> {
  for (let at = 0; at < messages.length; ) {
    const { codec } = messages[at]!;
    const end = messages.findIndex((one, i) => i > at && one.codec !== codec);
    const batch = messages.slice(at, end < 0 ? messages.length : end);
    const compression =
      codec === 'none' ? 0 : Number(Object.entries(COMPRESSION).find(([, name]) => name === codec)![0]);
    await producer.send({
      ...{ topic: SELLER_EVENTS.topic, acks: -1, compression },
      messages: batch.map(({ partition, key, value, headers }) => ({ partition, key, value, headers })),
    });
    at += batch.length;
  }
}

/** Which end of the act is not shown in time, in words. */
async function lateIn(consumer: ConsumerUnderTest, act: number, patienceMs: number): Promise<string | null> {
  let missing: readonly Sent[] = [];
  let unread: Error | null = null;
  try {
    await until(
      'the ends of an act are shown',
      async () => {
        try {
          const shown = await consumer.state();
          unread = null;
          missing = sentinels(act).filter(({ key }) => !shown.has(Number(key)));
          return missing.length === 0;
        } catch (err) {
          unread = err as Error;
          return false;
        }
      },
      patienceMs,
      100,
    );
    return null;
  } catch {
    if (unread !== null) return (unread as Error).message;
    const partitions = missing.map(({ partition }) => partition).join(', ');
    return `the last message of partition ${partitions} was not shown within ${patienceMs / 1_000} s of act ${act + 1}: something before it stops the consumer`;
  }
}

const ALL_IS_READ = 'every partition is read to its end';

function verdicts(shown: ReadonlyMap<number, SellerState>, late: string | null): ConsumerVerdict[] {
  return [
    { rule: ALL_IS_READ, breach: late },
    ...RULES.map((rule) => {
      const breach = breachOf(rule, shown);
      return { rule: rule.name, breach: breach === null ? null : `${breach} (${rule.otherwise})` };
    }),
  ];
}
