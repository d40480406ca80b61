/** The pull port of a projector, held against a real Kafka: whatever the topic holds, one goes on from where one asked. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { SELLER_MOVED } from '#contracts/events.ts';
import { Bell } from '#platform/bell.ts';
import { type Kafka, openKafka, type Producer } from '#platform/kafka/client.ts';
import { silentLog } from '#platform/log.ts';
import { type LocalKafka, startKafka } from '../../services/local-stack/kafka.ts';
import { until } from '../../services/local-stack/until.ts';
import { toMessage } from '../../services/outbox-relay/message.ts';
import type { Batch, Bus } from '../../services/projector/bus.ts';
import { openKafkaBus } from '../../services/projector/kafka-bus.ts';

const HOUR_MS = 3_600_000;

let folder: string;
let broker: LocalKafka;
let kafka: Kafka;
let producer: Producer;
const readers: Array<{ stop(): Promise<void> }> = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bus-'));
  broker = await startKafka({
    dataDir: folder,
    restart: { max: 5, firstDelayMs: 50, maxDelayMs: 500 },
    properties: { 'log.cleaner.backoff.ms': 100 },
  });
  kafka = openKafka('spec', { brokers: [broker.bootstrap] }, silentLog);
  producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
}, 180_000);

afterAll(async () => {
  for (const reader of readers) await reader.stop();
  await producer?.disconnect();
  await broker?.stop();
  await rm(folder, { recursive: true, force: true });
}, 30_000);

async function makeTopic(topic: string, numPartitions: number, settings: Record<string, string> = {}) {
  const admin = kafka.admin();
  await admin.connect();
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
  await admin.createTopics({ topics: [{ topic, numPartitions, configEntries }], waitForLeaders: true });
  await admin.disconnect();
  return topic;
}

const send = (topic: string, partition: number, ...values: string[]) =>
  producer.send({
    topic,
    messages: values.map((value) => ({
      key: value.split('=')[0]!,
      value: value.split('=')[1] ?? null,
      partition,
    })),
  });

/** Follows what the bus delivers, as a projector does, but takes nothing apart. */
function follow(topic: string, from: ReadonlyMap<number, number>) {
  const bus: Bus = openKafkaBus(kafka, { topic, groupId: `of-${topic}` }, silentLog);
  const positions = new Map(from);
  const batches: Batch[] = [];
  const outOfRange: Array<readonly [number, number]> = [];
  const unreadable: Array<readonly [number, Error]> = [];
  const changed = new Bell();
  const stopping = new AbortController();
  const reading = bus.read(
    {
      positions: () => positions,
      changed: () => changed.next(),
      deliver(batch) {
        expect(batch.from).toBe(positions.get(batch.partition));
        batches.push(batch);
        positions.set(batch.partition, batch.next);
      },
      outOfRange: (partition, asked) => void outOfRange.push([partition, asked]),
      unreadable: (partition, err) => void unreadable.push([partition, err]),
    },
    stopping.signal,
  );
  const following = {
    bus,
    positions,
    batches,
    outOfRange,
    unreadable,
    changed,
    messages: (partition = 0) =>
      batches
        .filter((batch) => batch.partition === partition)
        .flatMap(({ messages }) => messages.map(({ offset, value }) => `${offset}:${value}`)),
    async stop() {
      stopping.abort();
      await reading;
      await bus.close();
    },
  };
  readers.push(following);
  return following;
}

const transactional = async (transactionalId: string) => {
  const one = kafka.producer({ transactionalId, maxInFlightRequests: 1, idempotent: true });
  await one.connect();
  return one;
};

test('reads from exactly the offset that was asked for, also in the middle of what was written at once', async () => {
  const topic = await makeTopic('middle', 2);
  await send(topic, 0, 'a=1', 'b=2', 'c=3');
  await send(topic, 1, 'd=4');
  const reader = follow(topic, new Map([[0, 1]]));
  await until('both are there', () => reader.messages().length === 2);
  expect(reader.messages()).toEqual(['1:2', '2:3']);
  expect(reader.batches[0]).toMatchObject({ partition: 0, from: 1, next: 3, end: 3 });
  // What is wanted later is read from then on.
  expect(reader.messages(1)).toEqual([]);
  reader.positions.set(1, 0);
  reader.changed.ring();
  await until('the other partition is read', () => reader.messages(1).length === 1);
});

test('nothing is asked of the broker while nothing is wanted, and a change is noticed at once', async () => {
  const topic = await makeTopic('idle', 1);
  await send(topic, 0, 'a=1');
  const reader = follow(topic, new Map());
  await until('the topic is seen', async () => (await reader.bus.ends()).size === 1);
  reader.positions.set(0, 0);
  const since = performance.now();
  reader.changed.ring();
  await until('it is read', () => reader.messages().length === 1, 5_000, 1);
  expect(performance.now() - since).toBeLessThan(1_000);
});

test('an aborted transaction is passed over without a message, control records and all', async () => {
  const topic = await makeTopic('aborted', 1);
  const foreign = await transactional('aborts');
  const transaction = await foreign.transaction();
  await transaction.send({ topic, messages: [{ key: 'a', value: 'never', partition: 0 }] });
  await transaction.abort();
  const reader = follow(topic, new Map([[0, 0]]));
  await until('the position is at the end', () => reader.positions.get(0) === 2);
  expect(reader.messages()).toEqual([]);
  expect(reader.batches.every(({ messages }) => messages.length === 0)).toBe(true);
  const second = await foreign.transaction();
  await second.send({ topic, messages: [{ key: 'a', value: 'yes', partition: 0 }] });
  await second.commit();
  await until('the position is behind the commit', () => reader.positions.get(0) === 4);
  expect(reader.messages()).toEqual(['2:yes']);
  await foreign.disconnect();
});

test("somebody's open transaction holds back what comes after it, is told apart, and nothing is passed over", async () => {
  const topic = await makeTopic('open', 1);
  await send(topic, 0, 'a=1');
  const foreign = await transactional('stays-open');
  const transaction = await foreign.transaction();
  await transaction.send({ topic, messages: [{ key: 'x', value: 'open', partition: 0 }] });
  await send(topic, 0, 'b=2', 'c=3');
  const reader = follow(topic, new Map([[0, 0]]));
  await until('what is before it is read', () => reader.messages().length === 1);
  expect((await reader.bus.ends()).get(0)).toEqual({ first: 0, next: 1, end: 4 });
  expect(reader.positions.get(0)).toBe(1);
  await transaction.abort();
  await until('the rest is read', () => reader.positions.get(0) === 5);
  expect(reader.messages()).toEqual(['0:1', '2:2', '3:3']);
  expect((await reader.bus.ends()).get(0)).toEqual({ first: 0, next: 5, end: 5 });
  await foreign.disconnect();
});

test('where compaction left nothing but the frames of batches, the position goes on behind them and no further', async () => {
  const topic = await makeTopic('compacted', 1, {
    'cleanup.policy': 'compact',
    'segment.ms': '200',
    'min.cleanable.dirty.ratio': '0.0001',
    'delete.retention.ms': '0',
    'max.compaction.lag.ms': '200',
  });
  // The newest batch of an idempotent producer keeps its frame when all of its records are gone.
  const first = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
  await first.connect();
  await first.send({ topic, messages: [{ key: 'k', value: 'old', partition: 0 }] });
  await send(topic, 0, 'k=new', 'k=newer');
  // The active segment is never compacted, and rolls with a write.
  const foreign = await transactional('behind-the-frames');
  const reader = follow(topic, new Map());
  await until(
    'the first record is compacted away',
    async () => {
      await send(topic, 0, 'k=newest');
      const look = follow(topic, new Map([[0, 0]]));
      await until('something is read', () => look.batches.length > 0);
      await look.stop();
      return look.batches[0]!.messages[0]?.offset !== '0';
    },
    40_000,
    300,
  );
  const transaction = await foreign.transaction();
  await transaction.send({ topic, messages: [{ key: 'x', value: 'open', partition: 0 }] });
  await send(topic, 0, 'z=behind');
  const { next, end } = (await reader.bus.ends()).get(0)!;
  expect(next).toBeLessThan(end);
  reader.positions.set(0, 0);
  reader.changed.ring();
  await until('the position is before the open transaction', () => reader.positions.get(0) === next);
  await transaction.commit();
  await until('the rest is read', () => reader.messages().at(-1)?.endsWith(':behind') === true);
  await until('the position is behind the control record', () => reader.positions.get(0)! > end);
  await Promise.all([first.disconnect(), foreign.disconnect()]);
}, 90_000);

test('an old list leaves a partition that sellers do not write to, bytes and all, once a marker without a seller has come', async () => {
  const topic = await makeTopic('without-writers', 1, {
    'cleanup.policy': 'compact',
    'segment.ms': String(HOUR_MS),
    'max.compaction.lag.ms': '1',
    'min.compaction.lag.ms': '0',
  });
  const bytes = async () => {
    const files = await readdir(join(folder, 'data', `${topic}-0`));
    const logs = files.filter((file) => file.endsWith('.log'));
    const read = await Promise.all(
      logs.map((file) => readFile(join(folder, 'data', `${topic}-0`, file)).catch(() => Buffer.alloc(0))),
    );
    return Buffer.concat(read);
  };
  const timestamp = String(Date.now() - 2 * HOUR_MS);
  const erased = { partition: 0, key: '7', timestamp };
  await producer.send({
    topic,
    messages: [
      { ...erased, value: 'Erased Brand' },
      { ...erased, value: null },
    ],
  });
  expect((await bytes()).includes('Erased Brand')).toBe(true);
  const nobody = {
    ...{ id: 1, sellerId: 0, version: 0, type: SELLER_MOVED, value: null, committedAt: Date.now() },
    ...{ traceparent: null, replaces: null, partition: 0 },
  };
  await producer.send({ topic, messages: [toMessage(nobody, Date.now()) as never] });
  await until('the bytes are gone', async () => !(await bytes()).includes('Erased Brand'), 40_000, 200);
}, 60_000);

test('an offset that the topic does not hold is told, and keeps nothing else from being read', async () => {
  const topic = await makeTopic('range', 2);
  await send(topic, 0, 'a=1');
  await send(topic, 1, 'b=2');
  const reader = follow(
    topic,
    new Map([
      [0, 77],
      [1, 0],
    ]),
  );
  await until('it is told', () => reader.outOfRange.length > 0 && reader.messages(1).length === 1);
  expect(reader.outOfRange[0]).toEqual([0, 77]);
  reader.positions.set(0, 0);
  await until('it is read from where there is something', () => reader.messages().length === 1);
});

test('partitions that are added appear, and are read', async () => {
  const topic = await makeTopic('grows', 1);
  const reader = follow(topic, new Map([[0, 0]]));
  await until('the topic is seen', async () => (await reader.bus.ends()).size === 1);
  const admin = kafka.admin();
  await admin.connect();
  await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
  await admin.disconnect();
  await until('the added ones appear', async () => (await reader.bus.ends()).size === 3);
  reader.positions.set(2, 0);
  await until('something can be written there', async () => {
    await producer.send({ topic, messages: [{ key: 'a', value: '1', partition: 2 }] });
    return true;
  });
  await until('the added one is read', () => reader.messages(2).length > 0);
});

test('a topic that is made anew has another id, and nothing else changes it', async () => {
  const topic = await makeTopic('made-anew', 1);
  const { bus } = follow(topic, new Map());
  const id = await bus.topicId();
  expect(id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  expect(await bus.topicId()).toBe(id);
  const isRefused = () =>
    bus.topicId().then(
      () => false,
      () => true,
    );
  const admin = kafka.admin();
  await admin.connect();
  await admin.deleteTopics({ topics: [topic] });
  await until('it is refused', isRefused);
  await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: false });
  await admin.disconnect();
  await until('it is there again', async () => !(await isRefused()));
  expect(await bus.topicId()).not.toBe(id);
});

test('offsets are committed for a group that has no members, where others see them', async () => {
  const topic = await makeTopic('committed', 2);
  const { bus } = follow(topic, new Map());
  // The coordinator of a fresh broker needs a moment.
  const positions = new Map([0, 1].map((partition) => [partition, 5 + 2 * partition]));
  await until('they are committed', () => bus.commit(positions).then(() => true));
  const admin = kafka.admin();
  await admin.connect();
  const [answer] = await admin.fetchOffsets({ groupId: `of-${topic}`, topics: [topic] });
  expect(answer!.partitions.map(({ partition, offset }) => [partition, offset]).sort()).toEqual([
    [0, '5'],
    [1, '7'],
  ]);
  const { groups } = await admin.describeGroups([`of-${topic}`]);
  expect(groups[0]).toMatchObject({ members: [] });
  await admin.disconnect();
});

test('a broker that is killed is waited out: while it is gone the ends are refused, and then all goes on', async () => {
  const topic = await makeTopic('killed', 1);
  await send(topic, 0, 'a=1');
  const reader = follow(topic, new Map([[0, 0]]));
  await until('it is read', () => reader.messages().length === 1);
  const { exited } = broker;
  broker.kill('SIGKILL');
  await exited;
  await expect(reader.bus.ends()).rejects.toThrow();
  await until('it is back and written to', async () => {
    await send(topic, 0, 'b=2');
    return true;
  });
  await until('it is read again', () => reader.messages().at(-1)?.endsWith(':2') === true);
});

test('a signal ends the reading within 300 ms, whatever is on its way', async () => {
  const topic = await makeTopic('ends', 1);
  const reader = follow(topic, new Map([[0, 0]]));
  await until('the topic is seen', async () => (await reader.bus.ends()).size === 1);
  const stopping = new AbortController();
  const reading = reader.bus.read(
    {
      positions: () => new Map([[0, 0]]),
      changed: () => new Promise(() => {}),
      deliver() {},
      outOfRange() {},
      unreadable() {},
    },
    stopping.signal,
  );
  broker.kill('SIGSTOP');
  try {
    const since = performance.now();
    stopping.abort();
    await reading;
    expect(performance.now() - since).toBeLessThan(300);
  } finally {
    broker.kill('SIGCONT');
  }
});
