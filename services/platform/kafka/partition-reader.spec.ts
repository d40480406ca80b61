/** Several brokers, leaders that move, answers with errors: what one real broker cannot show. */
import { afterEach, expect, test } from '@jest/globals';
import type { Kafka } from 'kafkajs';
import { Bell } from '../bell.ts';
import { pause } from '../lifecycle.ts';
import { silentLog } from '../log.ts';
import { installKafkaCodecs } from './install.ts';
import { type FetchedBatch, openPartitionReader } from './partition-reader.ts';

installKafkaCodecs(silentLog);

const API = { fetch: 1, listOffsets: 2, metadata: 3 };

/** A cluster as kafkajs has one inside, whose brokers answer as told. Partitions hold one batch an offset. */
class Cluster {
  readonly leaders = new Map<number, number>();
  readonly ends = new Map<number, number>();
  /** What a broker answers for a partition instead, by `broker/partition`. */
  readonly errors = new Map<string, number>();
  readonly away = new Set<number>();
  /** Of every fetch: the broker, and what was asked for. */
  readonly fetches: Array<{ node: number; from: ReadonlyMap<number, number> }> = [];
  metadataRequests = 0;
  readonly brokerPool = { createBroker: (options: object) => options };

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
      lookupRequest: (api: number) => (parameters: never) => ({
        request: { apiVersion: 11, api, parameters },
        response: { decode: async (payload: unknown) => payload, parse: (data: unknown) => data },
      }),
      disconnect: async () => {},
      connectionPool: {
        pool: [],
        send: async ({ request, response }: Asked) => {
          await pause(2);
          if (this.away.has(node)) throw new Error('Connection error');
          return response.parse(await response.decode(this.#answer(node, request)));
        },
      },
    };
  }

  #answer(node: number, { api, parameters }: Asked['request']): unknown {
    const { partitions } = parameters.topics[0]!;
    if (api === API.listOffsets) {
      const answers = partitions.map(({ partition, timestamp }) => ({
        partition,
        errorCode: this.leaders.get(partition) === node ? 0 : 6,
        offset: String(timestamp === -2 ? 0 : this.ends.get(partition)),
      }));
      return { responses: [{ partitions: answers }] };
    }
    this.fetches.push({
      node,
      from: new Map(partitions.map(({ partition, fetchOffset }) => [partition, Number(fetchOffset)])),
    });
    return fetchAnswer(
      partitions.map(({ partition, fetchOffset }) => ({
        partition,
        errorCode: this.errors.get(`${node}/${partition}`) ?? (this.leaders.get(partition) === node ? 0 : 6),
        from: Number(fetchOffset),
        end: this.ends.get(partition) ?? 0,
      })),
    );
  }
}

interface Asked {
  readonly request: {
    readonly api: number;
    readonly parameters: {
      topics: Array<{ partitions: Array<{ partition: number; fetchOffset: string; timestamp: number }> }>;
    };
  };
  readonly response: { decode(payload: unknown): Promise<unknown>; parse(data: unknown): unknown };
}

/** Version 11, with frames of batches that hold no records. */
function fetchAnswer(
  partitions: ReadonlyArray<{ partition: number; errorCode: number; from: number; end: number }>,
) {
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
    ...[int32(0), int16(0), int32(0), int32(1), int16(name.length), name, int32(parts.length)],
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
