/** Several brokers, leaders that move, answers with errors: what one real broker cannot show. */
import { afterEach, expect, test } from '@jest/globals';
import type { Kafka } from 'kafkajs';
import { Bell } from '../bell.ts';
import { pause } from '../lifecycle.ts';
import { silentLog } from '../log.ts';
import { installKafkaCodecs } from './install.ts';
import { type FetchedBatch, openPartitionReader } from './partition-reader.ts';

installKafkaCodecs(silentLog);

const API = { fetch: 1, metadata: 3 };

/** A cluster as kafkajs has one inside, whose brokers answer as told. Partitions hold one batch an offset. */
class Cluster {
  readonly leaders = new Map<number, number>();
  readonly ends = new Map<number, number>();
  /** What a broker answers for a partition instead, by `broker/partition`. */
  readonly errors = new Map<string, number>();
  readonly away = new Set<number>();
  /** The oldest offset of a partition, 0 where it is not named; and up to where transactions have ended. */
  readonly first = new Map<number, number>();
  readonly stable = new Map<number, number>();
  /** Whether brokers tell the ids of topics. */
  tellsIds = true;
  /** A byte of it. */
  id = 0x11;
  /** Which offsets were asked for, in order. */
  readonly listed: ('highest' | 'stable' | 'first')[] = [];
  /** Of every fetch: the broker, and what was asked for. */
  readonly fetches: Array<{ node: number; from: ReadonlyMap<number, number> }> = [];
  /** The same as written: only what has changed is named. */
  readonly requests: Array<{
    node: number;
    session: { id: number; epoch: number };
    named: readonly number[];
    forgotten: readonly number[];
  }> = [];
  /** What each broker keeps of its session; to delete it makes the broker forget. */
  readonly #sessions = new Map<number, { id: number; epoch: number; offsets: Map<number, number> }>();
  readonly #written = new Map<number, Buffer>();
  #nextSession = 100;
  metadataRequests = 0;
  readonly brokerPool = { createBroker: (options: object) => options };

  forgetSessions(): void {
    this.#sessions.clear();
  }
  async connect() {}
  async disconnect() {}
  async addTargetTopic() {}
  async refreshMetadata() {
    this.metadataRequests += 1;
    await pause(1);
  }
  findTopicPartitionMetadata() {
    return [...this.leaders].map(([partitionId, leader]) => ({ partitionId, leader }));
  }
  async findBroker({ nodeId }: { nodeId: string }) {
    const node = Number(nodeId);
    return {
      versions: {
        [API.fetch]: { minVersion: 4, maxVersion: 17 },
        ...(this.tellsIds ? { [API.metadata]: { minVersion: 0, maxVersion: 12 } } : {}),
      },
      lookupRequest: (api: number) => (parameters: never) => ({
        request: { apiVersion: 11, api, parameters },
        response: { decode: async (payload: unknown) => payload, parse: (data: unknown) => data },
      }),
      disconnect: async () => {},
      connectionPool: {
        pool: [null, this.#fetchConnection(node)],
        send: async ({ request, response }: Asked) => {
          await pause(2);
          if (this.away.has(node)) throw new Error('Connection error');
          const answer =
            request.apiName === 'Metadata'
              ? topicAnswer(this.leaders, this.id)
              : this.#listOffsets(node, request);
          return response.parse(await response.decode(answer));
        },
      },
    };
  }

  /** As kafkajs has it; it answers a request that was encoded. */
  #fetchConnection(node: number): unknown {
    return {
      clientId: 'spec',
      isConnected: () => true,
      nextCorrelationId: () => 7,
      socket: { write: (bytes: Buffer) => this.#written.set(node, bytes) },
      requestQueue: {
        maybeThrottle() {},
        push: ({ entry, sendRequest }: Pushed) => {
          sendRequest();
          void pause(2).then(() => {
            if (this.away.has(node)) entry.reject(new Error('Connection error'));
            else entry.resolve({ payload: this.#fetchAnswer(node, this.#written.get(node)!) });
          });
        },
      },
    };
  }

  #fetchAnswer(node: number, bytes: Buffer): Buffer {
    const { session, offsets, forgotten } = readFetch(bytes);
    this.requests.push({ node, session, named: [...offsets.keys()].sort(), forgotten });
    const known = this.#sessions.get(node);
    if (
      session.epoch > 0 &&
      (known === undefined || known.id !== session.id || known.epoch !== session.epoch)
    ) {
      return fetchAnswer([], { errorCode: known?.id === session.id ? 71 : 70, sessionId: 0 });
    }
    const from = session.epoch > 0 ? known!.offsets : new Map<number, number>();
    for (const [partition, offset] of offsets) from.set(partition, offset);
    for (const partition of forgotten) from.delete(partition);
    const id = session.epoch > 0 ? session.id : this.#nextSession++;
    this.#sessions.set(node, { id, epoch: session.epoch + 1, offsets: from });
    this.fetches.push({ node, from: new Map(from) });
    return fetchAnswer(
      [...from].map(([partition, offset]) => ({
        partition,
        errorCode: this.errors.get(`${node}/${partition}`) ?? (this.leaders.get(partition) === node ? 0 : 6),
        from: offset,
        end: this.ends.get(partition) ?? 0,
      })),
      { errorCode: 0, sessionId: id },
    );
  }

  #listOffsets(node: number, { parameters }: Asked['request']): unknown {
    const { isolationLevel, topics } = parameters;
    const { partitions } = topics[0]!;
    const what = partitions[0]!.timestamp === -2 ? 'first' : isolationLevel === 1 ? 'stable' : 'highest';
    this.listed.push(what);
    const offsetOf = (partition: number) => {
      if (what === 'first') return this.first.get(partition) ?? 0;
      return (what === 'stable' && this.stable.get(partition)) || this.ends.get(partition);
    };
    const answers = partitions.map(({ partition }) => ({
      partition,
      errorCode: this.leaders.get(partition) === node ? 0 : 6,
      offset: String(offsetOf(partition)),
    }));
    return { responses: [{ partitions: answers }] };
  }
}

interface Pushed {
  readonly entry: { resolve(answer: { payload: Buffer }): void; reject(err: Error): void };
  sendRequest(): void;
}

/** A fetch of version 11 for one topic, after the head with the client's name. */
function readFetch(bytes: Buffer) {
  let at = 12;
  const after = (size: number) => {
    const before = at;
    at = before + size;
    return before;
  };
  const int32 = () => bytes.readInt32BE(after(4));
  const int64 = () => Number(bytes.readBigInt64BE(after(8)));
  const skipText = () => after(bytes.readInt16BE(after(2)));
  skipText();
  at += 4 * 4 + 1;
  const session = { id: int32(), epoch: int32() };
  const offsets = new Map<number, number>();
  const forgotten: number[] = [];
  for (let topics = int32(); topics > 0; topics--) {
    skipText();
    for (let left = int32(); left > 0; left--) {
      const partition = int32();
      int32();
      offsets.set(partition, int64());
      int64();
      int32();
    }
  }
  for (let topics = int32(); topics > 0; topics--) {
    skipText();
    for (let left = int32(); left > 0; left--) forgotten.push(int32());
  }
  skipText();
  expect(at).toBe(bytes.length);
  return { session, offsets, forgotten };
}

interface Asked {
  readonly request: {
    readonly api: number;
    readonly apiName?: string;
    readonly parameters: {
      isolationLevel: number;
      topics: Array<{ partitions: Array<{ partition: number; fetchOffset: string; timestamp: number }> }>;
    };
  };
  readonly response: { decode(payload: unknown): Promise<unknown>; parse(data: unknown): unknown };
}

/** Metadata of version 10 of one topic. */
function topicAnswer(leaders: ReadonlyMap<number, number>, id: number): Buffer {
  const int32 = (...values: number[]) => {
    const bytes = Buffer.alloc(4 * values.length);
    values.forEach((value, i) => {
      bytes.writeInt32BE(value, 4 * i);
    });
    return bytes;
  };
  const text = (value: string) => Buffer.from([value.length + 1, ...Buffer.from(value)]);
  const partitions = [...leaders].map(([partition, leader]) =>
    Buffer.concat([
      ...[Buffer.from([0, leader < 0 ? 5 : 0]), int32(partition, leader, 4)],
      // Two copies, one of them in sync, none offline.
      ...[Buffer.from([3]), int32(1, 0), Buffer.from([2]), int32(1), Buffer.from([1]), Buffer.from([0])],
    ]),
  );
  return Buffer.concat([
    Buffer.from([0]),
    int32(0),
    // A broker with a rack.
    ...[Buffer.from([2]), int32(1), text('localhost'), int32(9092), text('a'), Buffer.from([0])],
    ...[text('cluster'), int32(1), Buffer.from([2, 0, 0]), text('topic'), Buffer.alloc(16, id)],
    ...[Buffer.from([0, leaders.size + 1]), ...partitions, int32(0), Buffer.from([0, 0])],
  ]);
}

/** Version 11, with frames of batches that hold no records. */
function fetchAnswer(
  partitions: ReadonlyArray<{ partition: number; errorCode: number; from: number; end: number }>,
  { errorCode, sessionId }: { errorCode: number; sessionId: number },
): Buffer {
  const int16 = (value: number) => Buffer.from([value >> 8, value & 255]);
  const int32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    return bytes;
  };
  const int64 = (value: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64BE(BigInt(value));
    return bytes;
  };
  const frame = (offset: number) => {
    const rest = Buffer.alloc(49);
    rest.writeInt8(2, 4);
    return Buffer.concat([int64(offset), int32(rest.length), rest]);
  };
  const parts = partitions.map(({ partition, errorCode, from, end }) => {
    const count = errorCode === 0 ? Math.max(0, end - from) : 0;
    const batches = Buffer.concat(Array.from({ length: count }, (_, i) => frame(from + i)));
    return Buffer.concat([
      ...[int32(partition), int16(errorCode), int64(end), int64(end), int64(0), int32(-1), int32(-1)],
      ...[int32(batches.length), batches],
    ]);
  });
  const name = Buffer.from('topic');
  return Buffer.concat([
    ...[int32(0), int16(errorCode), int32(sessionId)],
    ...[int32(1), int16(name.length), name, int32(parts.length)],
    ...parts,
  ]);
}

const ends: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

function read(cluster: Cluster, wanted: readonly number[]) {
  const createCluster = Symbol('private:Kafka:createCluster');
  const kafka = { [createCluster]: () => cluster } as unknown as Kafka;
  const reader = openPartitionReader(kafka, 'topic', silentLog);
  const positions = new Map(wanted.map((partition) => [partition, 0]));
  const batches: FetchedBatch[] = [];
  const outOfRange: number[] = [];
  const bell = new Bell();
  const stopping = new AbortController();
  const reading = reader.read(
    {
      positions: () => positions,
      changed: () => bell.next(),
      deliver(batch) {
        batches.push(batch);
        positions.set(batch.partition, batch.next);
      },
      outOfRange: (partition) => void outOfRange.push(partition),
      unreadable(_, err) {
        throw err;
      },
    },
    stopping.signal,
  );
  ends.push(async () => {
    stopping.abort();
    await reading;
    await reader.close();
  });
  return { reader, positions, batches, outOfRange, bell };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const since = performance.now(); !holds(); await pause(2)) {
    if (performance.now() - since > 10_000) throw new Error(`waited in vain until ${what}`);
  }
}

/** Four partitions of three messages, two on each broker. */
function twoBrokers(): Cluster {
  const cluster = new Cluster();
  for (let partition = 0; partition < 4; partition++) {
    cluster.leaders.set(partition, partition % 2);
    cluster.ends.set(partition, 3);
  }
  return cluster;
}

const areAll = (positions: ReadonlyMap<number, number>, next: number) => () =>
  [...positions.values()].every((one) => one === next);

test('each broker is asked for what it leads, and every position goes on behind batches that hold nothing', async () => {
  const cluster = twoBrokers();
  const { positions, batches } = read(cluster, [0, 1, 2, 3]);
  await until('all is read', areAll(positions, 3));
  for (const { node, from } of cluster.fetches) {
    for (const partition of from.keys()) expect(partition % 2).toBe(node);
  }
  expect(batches).toHaveLength(4);
  expect(batches[0]).toMatchObject({ from: 0, next: 3, end: 3, messages: [] });
});

test('a leader that moved is found, also on a broker that led nothing before', async () => {
  const cluster = twoBrokers();
  const { positions } = read(cluster, [0, 1, 2, 3]);
  await until('all is read', areAll(positions, 3));
  cluster.leaders.set(0, 7);
  for (const partition of cluster.ends.keys()) cluster.ends.set(partition, 5);
  await until('all is read', areAll(positions, 5));
  expect(cluster.fetches.some(({ node, from }) => node === 7 && from.has(0))).toBe(true);
});

test('a fetch names what has changed since the one before, and a session that the broker forgot begins anew', async () => {
  const cluster = twoBrokers();
  const { positions } = read(cluster, [0, 2]);
  await until('all is read', areAll(positions, 3));
  await until('it has asked once more', () => cluster.requests.length > 1);
  const [first, second] = cluster.requests;
  expect(first).toMatchObject({ session: { id: 0, epoch: 0 }, named: [0, 2] });
  expect(second).toMatchObject({ session: { epoch: 1 }, named: [0, 2] });
  cluster.ends.set(2, 4);
  await until('it is read', () => positions.get(2) === 4);
  const before = cluster.requests.length;
  await until('it has asked once more', () => cluster.requests.length > before + 1);
  expect(cluster.requests.at(-1)).toMatchObject({ named: [], forgotten: [] });
  cluster.forgetSessions();
  cluster.ends.set(0, 5);
  await until('it is read', () => positions.get(0) === 5);
  positions.delete(2);
  await until('it is forgotten', () => cluster.requests.some(({ forgotten }) => forgotten.includes(2)));
  expect(cluster.fetches.at(-1)!.from).toEqual(new Map([[0, 5]]));
});

test('a broker that is away keeps nothing from being read from the other', async () => {
  const cluster = twoBrokers();
  cluster.away.add(1);
  const { reader, positions } = read(cluster, [0, 1, 2, 3]);
  await until('the other is read', () => positions.get(0) === 3 && positions.get(2) === 3);
  const offsets = [...(await reader.offsets())].sort(([a], [b]) => a - b);
  // All of the topic, so that whoever asks knows what it does not see.
  expect(offsets.map(([partition, one]) => [partition, one !== null])).toEqual([
    [0, true],
    [1, false],
    [2, true],
    [3, false],
  ]);
  cluster.away.add(0);
  await expect(reader.offsets()).rejects.toThrow('Connection error');
  cluster.away.clear();
  await until('all is read', areAll(positions, 3));
});

const ID = '11111111-1111-1111-1111-111111111111';
/** Of the broker that leads partitions 0 and 2. */
const ofEven = (cluster: Cluster) => {
  cluster.leaders.delete(1);
  cluster.leaders.delete(3);
  return cluster;
};

test('ends that are asked for all the time take one question while nothing is written', async () => {
  const cluster = ofEven(twoBrokers());
  const { reader } = read(cluster, []);
  const listed = async () => {
    cluster.listed.length = 0;
    await reader.ends();
    return cluster.listed.join();
  };
  expect(await listed()).toBe('highest,stable,first');
  const learnt = cluster.metadataRequests;
  expect(await listed()).toBe('highest');
  cluster.ends.set(2, 4);
  expect(await listed()).toBe('highest,stable,first');
  expect((await reader.ends()).get(2)).toMatchObject({ highWatermark: 4, lastStable: 4 });
  // What an open transaction holds back is asked for until it is released.
  cluster.stable.set(2, 3);
  cluster.ends.set(2, 5);
  expect([await listed(), await listed()]).toEqual(['highest,stable,first', 'highest,stable,first']);
  cluster.stable.delete(2);
  expect((await reader.ends()).get(2)).toMatchObject({ highWatermark: 5, lastStable: 5 });
  expect(cluster.metadataRequests).toBe(learnt);
  // Another topic of the same name.
  cluster.id = 0x22;
  expect([await listed(), await listed()]).toEqual(['highest,stable,first', 'highest']);
  // Whoever compares takes nothing as known.
  cluster.listed.length = 0;
  await reader.offsets();
  expect(cluster.listed.join()).toBe('highest,stable,first');
});

test('the first offset is asked for again after one that was out of range', async () => {
  const cluster = ofEven(twoBrokers());
  const { reader, outOfRange } = read(cluster, [0, 2]);
  expect((await reader.ends()).get(0)).toMatchObject({ first: 0 });
  cluster.first.set(0, 2);
  cluster.errors.set('0/0', 1);
  await until('it is told', () => outOfRange.includes(0));
  expect((await reader.ends()).get(0)).toMatchObject({ first: 2 });
});

test('whoever asks for ends learns of leaders that move and of partitions that come', async () => {
  const cluster = twoBrokers();
  const { reader } = read(cluster, []);
  expect((await reader.ends()).size).toBe(4);
  expect(await reader.topicId()).toBe(ID);
  cluster.leaders.set(1, 0);
  cluster.away.add(1);
  expect((await reader.ends()).get(1)).toMatchObject({ highWatermark: 3 });
  cluster.away.clear();
  cluster.ends.set(4, 1);
  cluster.leaders.set(4, 1);
  expect((await reader.ends()).get(4)).toMatchObject({ highWatermark: 1 });
  cluster.leaders.set(4, -1);
  expect((await reader.ends()).get(4)).toBeNull();
});

test('brokers that tell no ids are asked for the leaders each time', async () => {
  const cluster = twoBrokers();
  cluster.tellsIds = false;
  const { reader } = read(cluster, []);
  await reader.ends();
  const learnt = cluster.metadataRequests;
  await reader.ends();
  expect([cluster.metadataRequests, await reader.topicId()]).toEqual([learnt + 1, null]);
});

test('a partition that was refused is asked for again, though nothing else ever happens', async () => {
  // Nobody else rings, so that one wake-up that comes a moment too early is the last: many, for it is a matter of chance.
  const clusters = Array.from({ length: 40 }, () => {
    const cluster = new Cluster();
    cluster.leaders.set(0, 0);
    cluster.ends.set(0, 3);
    cluster.errors.set('0/0', 56);
    return cluster;
  });
  const readers = clusters.map((cluster) => read(cluster, [0]));
  await until('all were refused', () => clusters.every(({ fetches }) => fetches.length > 0));
  for (const { errors } of clusters) errors.clear();
  await until('all is read', () => readers.every(({ positions }) => positions.get(0) === 3));
});

test('a partition without a leader waits for one, and the others do not', async () => {
  const cluster = twoBrokers();
  cluster.leaders.set(3, -1);
  const { positions } = read(cluster, [0, 1, 2, 3]);
  await until('the others are read', () => [0, 1, 2].every((one) => positions.get(one) === 3));
  cluster.leaders.set(3, 0);
  await until('it is read', areAll(positions, 3));
});

test.each([
  ['an error that passes', 3],
  ['an offset out of range', 1],
])('%s of one partition is that partition alone, and is not asked for in a hurry', async (_, code) => {
  const cluster = twoBrokers();
  cluster.errors.set('0/0', code);
  const { positions, outOfRange } = read(cluster, [0, 2]);
  await until('the other is read', () => positions.get(2) === 3);
  const before = cluster.fetches.length;
  await pause(300);
  expect(cluster.fetches.length - before).toBeLessThan(20);
  expect(cluster.fetches.filter(({ from }) => from.has(0)).length).toBeLessThan(8);
  expect(outOfRange.length > 0).toBe(code === 1);
  cluster.errors.clear();
  await until('it is read', () => positions.get(0) === 3);
});

test('who is told of changes again and again, and wants nothing, does not spin', async () => {
  const cluster = twoBrokers();
  const kafka = { [Symbol('private:Kafka:createCluster')]: () => cluster } as unknown as Kafka;
  const reader = openPartitionReader(kafka, 'topic', silentLog);
  const stopping = new AbortController();
  let asked = 0;
  const reading = reader.read(
    {
      positions() {
        asked += 1;
        return new Map();
      },
      changed: () => Promise.resolve(),
      deliver() {},
      outOfRange() {},
      unreadable() {},
    },
    stopping.signal,
  );
  await pause(200);
  stopping.abort();
  await reading;
  expect(asked).toBeLessThan(500);
  expect(cluster.fetches).toEqual([]);
});

test('a kafkajs that keeps its cluster elsewhere is refused in words', () => {
  expect(() => openPartitionReader({} as Kafka, 'topic', silentLog)).toThrow(
    /no function that makes its cluster/,
  );
});
