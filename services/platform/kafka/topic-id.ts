import { ByteReader } from './byte-reader.ts';
import type { Broker } from './cluster.ts';

const METADATA = 3;
/** The first version that tells the ids of topics: Kafka 2.8. */
const VERSION = 10;
const NONE = '00000000-0000-0000-0000-000000000000';

export interface TopicDescription {
  /** That Kafka gave the topic when it was made; null where the topic is older than Kafka 2.8. */
  readonly id: string | null;
  /** The broker that leads each partition; below 0 where none does. */
  readonly leaders: ReadonlyMap<number, number>;
}

/**
 * A topic as a broker knows it. One that is made anew under its name has another id.
 * @param broker connected
 * @returns null where the brokers are older than Kafka 2.8
 * @throws Error with Kafka's error number, 3 for a topic that it does not know
 */
export async function describeTopic(broker: Broker, topic: string): Promise<TopicDescription | null> {
  if ((broker.versions[METADATA]?.maxVersion ?? 0) < VERSION) return null;
  const { id, leaders } = (await broker.connectionPool.send({
    request: requestOf(topic),
    response: RESPONSE,
  })) as Decoded;
  return { id: id === NONE ? null : id, leaders };
}

interface Decoded {
  readonly errorCode: number;
  readonly id: string;
  readonly leaders: ReadonlyMap<number, number>;
}

/** What follows the head by kafkajs, which lacks the tagged fields of newer requests: they come first here. */
const requestOf = (topic: string) => ({
  apiKey: METADATA,
  apiVersion: VERSION,
  apiName: 'Metadata',
  encode: async () => {
    const name = Buffer.from(topic);
    const buffer = Buffer.concat([
      NO_TAGS,
      varint(1 + 1), // one topic
      ...[Buffer.alloc(16), varint(name.length + 1), name, NO_TAGS],
      Buffer.from([0, 0, 0]), // creates no topic, does not ask for permissions
      NO_TAGS,
    ]);
    return { buf: buffer, buffer, size: () => buffer.length };
  },
});

const RESPONSE = {
  async decode(bytes: Buffer): Promise<Decoded> {
    const read = new ByteReader(bytes);
    read.skipTags();
    read.skip(4); // how long the broker held the answer back
    for (let brokers = read.varint() - 1; brokers > 0; brokers--) {
      read.skip(4);
      read.skipText();
      read.skip(4);
      read.skipText();
      read.skipTags();
    }
    read.skipText(); // the cluster
    read.skip(4); // its controller
    if (read.varint() - 1 < 1) throw new Error('Kafka says nothing of the topic');
    const errorCode = read.int16();
    read.skipText();
    const id = read.uuid();
    read.skip(1); // whether it is internal
    const leaders = new Map<number, number>();
    for (let partitions = read.varint() - 1; partitions > 0; partitions--) {
      read.skip(2); // what is wrong with it: it then has no leader
      const partition = read.int32();
      leaders.set(partition, read.int32());
      read.skip(4); // the leader's epoch
      // Who has copies, which of them are in sync, and which are offline.
      for (let lists = 0; lists < 3; lists++) read.skip(4 * (read.varint() - 1));
      read.skipTags();
    }
    return { errorCode, id, leaders };
  },
  async parse(decoded: Decoded) {
    const { errorCode } = decoded;
    if (errorCode === 0) return decoded;
    throw Object.assign(new Error(`Kafka does not tell the id of the topic (${errorCode})`), {
      code: errorCode,
    });
  },
};

const NO_TAGS = Buffer.from([0]);

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 0x80; left >>>= 7) bytes.push((left & 0x7f) | 0x80);
  return Buffer.from([...bytes, left]);
}
