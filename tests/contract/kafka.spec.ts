/** What the room of Kafka does, on a real broker. */
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { patchTopicConfigs } from '#platform/kafka/alter-configs.ts';
import { type Kafka, type KafkaMessage, openKafka } from '#platform/kafka/client.ts';
import { LARGEST_BATCH_BYTES } from '#platform/kafka/compression.ts';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import { openPartitionReader, type Reading } from '#platform/kafka/partition-reader.ts';
import type { FetchedRecord } from '#platform/kafka/record-decoder.ts';
import { ensureTopic, growTopic } from '#platform/kafka/topics.ts';
import { type Log, silentLog } from '#platform/log.ts';
import { brokerJars, findJava, type LocalKafka, startKafka } from '../../services/local-stack/kafka.ts';
import { runToEnd } from '../../services/local-stack/process.ts';
import { until } from '../../services/local-stack/until.ts';

let folder: string;
let broker: LocalKafka;
let kafka: Kafka;
const codecs = installKafkaCodecs(silentLog);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kafka-contract-'));
  broker = await startKafka({ dataDir: join(folder, 'kafka') });
  kafka = openKafka('contract', { brokers: [broker.bootstrap] }, silentLog);
}, 60_000);
afterAll(async () => {
  await broker?.stop();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

async function withAdmin<T>(work: (admin: ReturnType<Kafka['admin']>) => Promise<T>): Promise<T> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

async function createTopic(topic: string, settings: Readonly<Record<string, string>> = {}): Promise<void> {
  await ensureTopic(kafka, { topic, partitions: 1, replication: 1, settings });
}

async function send(topic: string, messages: readonly KafkaMessage[]): Promise<void> {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  try {
    await producer.send({ topic, acks: -1, messages: [...messages] });
  } finally {
    await producer.disconnect();
  }
}

/** The first `count` messages of a topic with one partition, as a projector reads them. */
async function receive(topic: string, count: number): Promise<FetchedRecord[]> {
  const reader = openPartitionReader(kafka, topic, silentLog);
  const stop = new AbortController();
  const messages: FetchedRecord[] = [];
  let next = 0;
  try {
    await new Promise<void>((resolve, reject) => {
      const reading: Reading = {
        positions: () => new Map([[0, next]]),
        changed: () => new Promise(() => {}),
        deliver(batch) {
          messages.push(...batch.messages);
          next = batch.next;
          if (messages.length >= count) resolve();
        },
        outOfRange: (partition, asked) => reject(new Error(`${partition} does not hold ${asked}`)),
        unreadable: (_, err) => reject(err),
      };
      reader.read(reading, stop.signal).catch(reject);
    });
    return messages;
  } finally {
    stop.abort();
    await reader.close();
  }
}

const events = (count: number): KafkaMessage[] =>
  Array.from({ length: count }, (_, i) => ({
    key: String(i % 7),
    value: i % 5 === 4 ? null : JSON.stringify({ sellerId: i, name: 'Northwind Traders '.repeat(5) }),
    timestamp: String(1_795_428_000_000 + i),
    headers: { ce_id: `${i}/1`, ce_type: 'some.type' },
  }));
const readable = (messages: readonly FetchedRecord[]) =>
  messages.map(({ key, value, timestamp, headers }) => ({
    key: String(key),
    value: value === null ? null : String(value),
    timestamp,
    headers: Object.fromEntries(Object.entries(headers as object).map(([name, one]) => [name, String(one)])),
  }));

test('what is produced and read under jest goes through the codecs that production has', async () => {
  expect([...codecs.inPlace.values()]).toEqual(Array(7).fill(true));
  await createTopic('ours');
  const before = { ...codecs.used };
  await send('ours', events(50));
  expect(codecs.used.produceRequests).toBe(before.produceRequests + 1);
  const read = await receive('ours', 50);
  expect(codecs.used.batches).toBeGreaterThan(before.batches);
  expect(readable(read)).toEqual(events(50));
});

/** In front of the broker: the first connections are taken and never answered, later ones reach it. */
async function silentFor(connections: number): Promise<{ bootstrap: string; close(): void }> {
  const sockets = new Set<Socket>();
  let left = connections;
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    left -= 1;
    if (left < 0) {
      const [host, port] = broker.bootstrap.split(':');
      const there = connect(Number(port), host);
      sockets.add(there.on('error', () => socket.destroy()));
      socket.pipe(there).pipe(socket);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    bootstrap: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

describe('a broker that once opens a connection and says nothing', () => {
  beforeAll(() => createTopic('once-silent'));
  let front: Awaited<ReturnType<typeof silentFor>>;
  let client: Kafka;
  beforeEach(async () => {
    front = await silentFor(1);
    client = openKafka('contract', { brokers: [front.bootstrap], retries: 0 }, silentLog);
  });
  afterEach(() => front.close());

  const eventually = async <T>(work: () => Promise<T>): Promise<T> => {
    await expect(work()).rejects.toThrow();
    let answer: { readonly value: T } | undefined;
    await until(
      'it answers',
      async () => {
        answer = { value: await work() };
        return true;
      },
      10_000,
    );
    return answer!.value;
  };

  test('is connected to again by a reader', async () => {
    const reader = openPartitionReader(client, 'once-silent', silentLog);
    const offsets = await eventually(() => reader.offsets());
    expect([...offsets.keys()]).toEqual([0]);
    await reader.close();
  }, 30_000);

  test('is connected to by those who waited meanwhile', async () => {
    const reader = openPartitionReader(client, 'once-silent', silentLog);
    const admins = [client.admin(), client.admin()];
    const together = await Promise.allSettled([
      reader.offsets(),
      reader.topicId(),
      ...admins.map((one) => one.connect()),
    ]);
    expect(together.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThanOrEqual(2);
    expect([...(await reader.offsets()).keys()]).toEqual([0]);
    await reader.close();
    for (const admin of admins) await admin.disconnect();
  }, 30_000);

  test('is connected to again by a producer', async () => {
    const producer = client.producer();
    await eventually(() => producer.connect());
    await producer.send({ topic: 'once-silent', messages: [{ key: '1', value: 'x' }] });
    await producer.disconnect();
  }, 30_000);

  test('is connected to again by an admin client', async () => {
    const admin = client.admin();
    await eventually(() => admin.connect());
    expect(await admin.listTopics()).toContain('once-silent');
    await admin.disconnect();
  }, 30_000);
});

describe('where the first of several brokers opens connections and says nothing, another is asked', () => {
  beforeAll(() => createTopic('first-silent'));
  let front: Awaited<ReturnType<typeof silentFor>>;
  let client: Kafka;
  beforeEach(async () => {
    front = await silentFor(Number.POSITIVE_INFINITY);
    const brokers = [front.bootstrap, broker.bootstrap];
    client = openKafka('contract', { brokers, retries: 2, requestTimeoutMs: 500 }, silentLog);
  });
  afterEach(() => front.close());

  test('by a reader', async () => {
    const reader = openPartitionReader(client, 'first-silent', silentLog);
    expect([...(await reader.offsets()).keys()]).toEqual([0]);
    await reader.close();
  });

  test('by a producer', async () => {
    const producer = client.producer({ idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    await producer.send({ topic: 'first-silent', messages: [{ key: '1', value: 'x' }], acks: -1 });
    await producer.disconnect();
  });

  test('by an admin client', async () => {
    const admin = client.admin();
    await admin.connect();
    expect(await admin.listTopics()).toContain('first-silent');
    await admin.disconnect();
  });
});

test('what the relay never sends, bytes and messages without headers, goes the way of kafkajs', async () => {
  await createTopic('theirs');
  const before = codecs.used.produceRequests;
  await send('theirs', [{ key: null, value: Buffer.from('bytes') }, { value: 'text' }]);
  expect(codecs.used.produceRequests).toBe(before);
  expect(readable(await receive('theirs', 2)).map(({ value }) => value)).toEqual(['bytes', 'text']);
});

test.each(['gzip', 'snappy', 'lz4', 'zstd'])(
  'a topic whose broker compresses with %s is read',
  async (type) => {
    const topic = `compressed-${type}`;
    await createTopic(topic, { 'compression.type': type });
    await send(topic, events(2_000));
    expect(readable(await receive(topic, 2_000))).toEqual(events(2_000));
  },
);

test.each(['gzip', 'snappy', 'lz4', 'zstd'])(
  'a batch that a Java producer compressed with %s is read',
  async (type) => {
    const topic = `java-${type}`;
    await createTopic(topic, { 'compression.type': 'producer' });
    await runToEnd(findJava(), [
      ...['-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-cp', join(await brokerJars(), '*')],
      ...[
        join(import.meta.dirname, '../support/CompressingProducer.java'),
        broker.bootstrap,
        topic,
        type,
        '2000',
      ],
    ]);
    const read = await receive(topic, 2_000);
    expect(readable(read).map(({ value }) => value)).toEqual(
      Array.from({ length: 2_000 }, (_, i) => `${i} ${'Northwind Traders '.repeat(5)}`),
    );
  },
);

test('a batch that unpacks to more than a process can take is named, and what refuses it is the broker of our topic', async () => {
  const bomb = {
    topic: 'bomb',
    compression: 4,
    messages: [{ key: 'k', value: 'x'.repeat(LARGEST_BATCH_BYTES) }],
  };
  const producer = kafka.producer();
  await producer.connect();
  try {
    await createTopic('bomb', { 'compression.type': 'producer' });
    await send('bomb', events(3));
    await producer.send(bomb);
    await expect(receive('bomb', 4)).rejects.toThrow(
      /the batch at bomb\/0, offsets 3 to 3, compression zstd, cannot be read: .*larger than/,
    );
    await createTopic('no-bomb', SELLER_EVENTS.settings);
    await expect(producer.send({ ...bomb, topic: 'no-bomb' })).rejects.toMatchObject({
      type: expect.stringMatching(/MESSAGE_TOO_LARGE|RECORD_LIST_TOO_LARGE/),
    });
  } finally {
    await producer.disconnect();
  }
});

const current = (topic: string, names: readonly string[]) =>
  withAdmin(async (admin) => {
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: 2, name: topic, configNames: [...names] }],
    });
    return Object.fromEntries(
      resources[0]!.configEntries.map(({ configName, configValue }) => [configName, configValue]),
    );
  });

/** A broker acknowledges new settings a moment before it tells them. */
const becomes = (topic: string, settings: Readonly<Record<string, string>>) =>
  until(`the settings of ${topic} are told`, async () =>
    isDeepStrictEqual(await current(topic, Object.keys(settings)), settings),
  );

test('an existing topic is patched: what is owned comes back, what an administrator set survives', async () => {
  const { settings, owned } = SELLER_EVENTS;
  const wanted = { topic: 'patched', partitions: 2, replication: 1, settings, owned };
  const info = jest.fn<(words: object, message: string) => void>();
  const log = { ...silentLog, info } as unknown as Log;
  expect(await ensureTopic(kafka, wanted, log)).toEqual({});
  await becomes('patched', settings);
  expect(await ensureTopic(kafka, wanted, log)).toEqual({});

  const theirs = {
    'min.insync.replicas': '1',
    'max.message.bytes': '5242880',
    'segment.bytes': '104857600',
    'min.compaction.lag.ms': '1000',
  };
  await patchTopicConfigs(kafka, 'patched', {
    ...theirs,
    'cleanup.policy': 'delete',
    'compression.type': 'lz4',
    'delete.retention.ms': null,
  });
  await becomes('patched', { ...theirs, 'cleanup.policy': 'delete', 'compression.type': 'lz4' });
  info.mockClear();
  const changes = {
    'cleanup.policy': { before: 'delete', after: 'compact' },
    'compression.type': { before: 'lz4', after: 'uncompressed' },
    'delete.retention.ms': { before: '86400000', after: settings['delete.retention.ms'] },
  };
  expect(await ensureTopic(kafka, wanted, log)).toEqual(changes);
  expect(info.mock.calls).toEqual([[{ topic: 'patched', changes }, 'patched the settings of the topic']]);
  await becomes('patched', { ...settings, ...theirs });
  // Nobody asks for more here: as it was.
  await patchTopicConfigs(kafka, 'patched', { 'compression.type': 'lz4' });
  await becomes('patched', { 'compression.type': 'lz4' });
  await ensureTopic(kafka, { ...wanted, owned: [] });
  expect(await current('patched', ['compression.type'])).toEqual({ 'compression.type': 'lz4' });
});

test("the broker's refusal of a value is told in its words", async () => {
  await createTopic('refused');
  await expect(patchTopicConfigs(kafka, 'refused', { 'cleanup.policy': 'nonsense' })).rejects.toThrow(
    /Kafka refused to alter the settings of refused \(40\): .*nonsense/,
  );
  await expect(patchTopicConfigs(kafka, 'nowhere', { 'cleanup.policy': 'compact' })).rejects.toThrow(
    /Kafka refused to alter the settings of nowhere \(3\)/,
  );
});

test('a topic grows, once and by several at the same time, and never shrinks', async () => {
  await createTopic('grows');
  expect(await growTopic(kafka, { topic: 'grows', partitions: 3 })).toEqual({ before: 1, now: 3 });
  const several = await Promise.all(
    [6, 6, 6].map((partitions) => growTopic(kafka, { topic: 'grows', partitions })),
  );
  for (const { now } of several) expect(now).toBe(6);
  expect(await growTopic(kafka, { topic: 'grows', partitions: 6 })).toEqual({ before: 6, now: 6 });
  expect(await growTopic(kafka, { topic: 'grows', partitions: 2 })).toEqual({ before: 6, now: 6 });
});
