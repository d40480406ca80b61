import { ByteReader } from './byte-reader.ts';
import type { Broker } from './cluster.ts';

const METADATA = 3;
/** The first version that tells the ids of topics: Kafka 2.8. */
const VERSION = 10;
const NONE = '00000000-0000-0000-0000-000000000000';

/**
 * The id that Kafka gave the topic when it was made. A topic that is made anew under its name has another.
 * @param broker connected
 * @returns null where the brokers, or the topic, are older than Kafka 2.8
 * @throws Error with Kafka's error number, 3 for a topic that it does not know
 */
export async function topicIdOf(broker: Broker, topic: string): Promise<string | null> {
  if ((broker.versions[METADATA]?.maxVersion ?? 0) < VERSION) return null;
  const { id } = (await broker.connectionPool.send({ request: requestOf(topic), response: RESPONSE })) as {
    id: string;
  };
  return id === NONE ? null : id;
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
  async decode(bytes: Buffer) {
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
    return { errorCode, id: read.uuid() };
  },
  async parse(decoded: { readonly errorCode: number; readonly id: string }) {
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
