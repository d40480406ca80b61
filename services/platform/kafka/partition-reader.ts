import type { Kafka } from 'kafkajs';
import { Backoff, type BackoffSettings } from '../backoff.ts';
import { Bell, untilRung } from '../bell.ts';
import { type Clock, SYSTEM_CLOCK } from '../clock.ts';
import { within } from '../lifecycle.ts';
import type { Log } from '../log.ts';
import { type Broker, clusterOf } from './cluster.ts';
import {
  type BrokerConnection,
  type ExchangeBroker,
  errorOf,
  exchange,
  FETCH_CONNECTION,
  versionFor,
} from './exchange.ts';
import { encodeFetchRequest, FETCH, FIRST_WITH_SESSIONS } from './fetch-request.ts';
import { decodeFetchResponse, type FetchedPartition, readFetchHead } from './fetch-response.ts';
import { FetchSession } from './fetch-session.ts';
import { inside } from './kafkajs.ts';
import type { FetchedRecord } from './record-decoder.ts';
import { describeTopic, type TopicDescription } from './topic-id.ts';

/** Records of one partition, in order; none where compaction, control records or aborted transactions left none. */
export interface FetchedBatch {
  readonly partition: number;
  /** The offset that was asked for. */
  readonly from: number;
  /** The offset to go on from. */
  readonly next: number;
  /** The high watermark. */
  readonly end: number;
  readonly messages: readonly FetchedRecord[];
}

/** Says what is to be read, and receives it. Every method returns at once. */
export interface Reading {
  /** Asked before every request. @returns where to go on in each partition that is wanted now */
  positions(): ReadonlyMap<number, number>;
  /** Resolves when `positions` may answer more than before. */
  changed(): Promise<void>;
  deliver(batch: FetchedBatch): void;
  /** The partition does not hold the offset (any more). */
  outOfRange(partition: number, asked: number): void;
  /** The data at the offset asked for cannot be decoded. It is asked for again until a delivery succeeds. */
  unreadable(partition: number, err: Error): void;
}

export interface PartitionOffsets {
  /** The oldest that can be read. */
  readonly first: number;
  /** After the newest that readers of committed records can read; never beyond `highWatermark`. */
  readonly lastStable: number;
  readonly highWatermark: number;
}

/** A topic read by its partitions, without a consumer group: whoever reads says from where, before every request. */
export interface PartitionReader {
  /**
   * Reads until the signal aborts, by one loop for each broker that leads a partition of the topic. Passing faults are
   * waited out, with back-off; an outage is logged when it begins, once a minute, and when it ends.
   */
  read(reading: Reading, signal: AbortSignal): Promise<void>;
  /**
   * Asks for the offsets of all partitions, also of those added meanwhile: null where no leader answers.
   * @throws when none answers for any
   */
  offsets(): Promise<ReadonlyMap<number, PartitionOffsets | null>>;
  /**
   * The same for who asks all the time: it costs less while nothing is written. `first` may be up to half a minute old, but
   * never older than an offset that was told to be out of range.
   */
  ends(): Promise<ReadonlyMap<number, PartitionOffsets | null>>;
  /**
   * The id that Kafka gave the topic when it was made, null where it gives none (before Kafka 2.8).
   * @throws what Kafka refuses it with
   */
  topicId(): Promise<string | null>;
  /** Commits offsets of a group that has no members. @throws what Kafka refuses it with */
  commit(groupId: string, offsets: ReadonlyMap<number, number>): Promise<void>;
  close(): Promise<void>;
}

const LIMITS = {
  /** How long a broker may wait for the first byte, in ms. A newly wanted partition may wait as long for its turn. */
  waitMs: 100,
  /** The same once nothing has come or changed for `quietAfterMs`: every answer wakes broker and reader. */
  quietWaitMs: 500,
  quietAfterMs: 2_000,
  maxBytes: 4 * 1024 * 1024,
  /** Bytes of one partition. Less where many are asked for, so that an answer has something of each. */
  most: 1024 * 1024,
  least: 256 * 1024,
} as const;
/** A lasting outage is logged again after this long, so that the newest lines show it. */
const SAY_AGAIN_MS = 60_000;
const BACKOFF: BackoffSettings = { firstMs: 100, longestMs: 2_000 };
/** While a partition that is wanted has no broker, and otherwise: then those who fetch find out first. */
const LOOK_FOR_BROKERS_EVERY_MS = { lacking: 250, else: 5_000 };
/** For how long the first offset of a partition is taken as known. */
const FIRST_KNOWN_MS = 30_000;
const READ_UNCOMMITTED = 0;
const READ_COMMITTED = 1;
const EARLIEST = -2;
const LATEST = -1;
const OFFSET_OUT_OF_RANGE = 1;
/** The broker has forgotten the session, or is at another request of it. */
const SESSION_LOST: ReadonlySet<number> = new Set([70, 71]);

/** What is used of kafkajs' inside; `docs/adr/kafka-codecs.md` has why it is pinned to one version. */
interface ReaderCluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addTargetTopic(topic: string): Promise<void>;
  refreshMetadata(): Promise<void>;
  findTopicPartitionMetadata(topic: string): ReadonlyArray<{ partitionId: number; leader: number }>;
  findBroker(wanted: { nodeId: string }): Promise<ReaderBroker>;
  findGroupCoordinator(wanted: { groupId: string }): Promise<ReaderBroker>;
  readonly brokerPool: { createBroker(options: object): ReaderBroker };
}
interface ReaderBroker extends Omit<Broker, 'connectionPool'>, ExchangeBroker {
  lookupRequest(apiKey: number, definition: object): (parameters: object) => ReaderProtocol;
  metadata(topics: readonly string[]): Promise<unknown>;
  offsetCommit(request: object): Promise<unknown>;
  disconnect(): Promise<void>;
  readonly connectionPool: ExchangeBroker['connectionPool'] & {
    send(protocol: object): Promise<unknown>;
    readonly pool: readonly BrokerConnection[];
  };
}
interface ReaderProtocol {
  readonly request: { readonly apiVersion: number };
  readonly response: { decode(payload: Buffer): Promise<unknown>; parse(data: unknown): unknown };
  readonly requestTimeout?: number;
}

/**
 * @param kafka whose brokers, credentials and deadlines are used
 * @param topic must not be created by asking for it
 */
export function openPartitionReader(
  kafka: Kafka,
  topic: string,
  log: Log,
  clock: Clock = SYSTEM_CLOCK,
): PartitionReader {
  return new Partitions(openCluster(kafka), topic, log, clock);
}

class Partitions implements PartitionReader {
  readonly #cluster: ReaderCluster;
  readonly #topic: string;
  readonly #log: Log;
  readonly #clock: Clock;
  /** The broker that leads each partition; below 0 where none does. */
  #leaders: ReadonlyMap<number, number> = new Map();
  #refreshing: Promise<void> | null = null;
  #describing: Promise<TopicDescription | null> | null = null;
  /** Undefined before it was told. */
  #topicId: string | null | undefined;
  /** Of each partition, as all of them were asked for last. */
  readonly #known = new Map<number, PartitionOffsets & { readonly askedAt: number }>();
  #coordinator: ReaderBroker | null = null;
  /** Rings when something changed that a loop may wait for. */
  readonly #bell = new Bell();
  readonly #leadersLearnt = new Bell();

  constructor(cluster: ReaderCluster, topic: string, log: Log, clock: Clock) {
    this.#cluster = cluster;
    this.#topic = topic;
    this.#log = log;
    this.#clock = clock;
  }

  async read(reading: Reading, signal: AbortSignal): Promise<void> {
    const loops = new Map<number, Promise<void>>();
    const outage = new Outage('cannot see the partitions of the topic', this.#log, this.#clock);
    const listening = { isArmed: false };
    const isLacking = () =>
      loops.size === 0 ||
      [...reading.positions().keys()].some((one) => !loops.has(this.#leaders.get(one) ?? -1));
    const backoff = new Backoff(BACKOFF);
    let fails = false;
    while (!signal.aborted) {
      if (isLacking()) {
        try {
          await unlessAborted(signal, this.#refresh());
          outage.over();
          backoff.reset();
          fails = false;
        } catch (err) {
          outage.report(err);
          fails = true;
        }
      }
      // One loop for each broker, for good: it rests while its broker leads nothing.
      for (const node of new Set(this.#leaders.values())) {
        if (node >= 0 && !loops.has(node)) loops.set(node, this.#readFrom(node, reading, signal, listening));
      }
      if (fails) await this.#clock.pause(backoff.next(), signal);
      else {
        const ms = LOOK_FOR_BROKERS_EVERY_MS[isLacking() ? 'lacking' : 'else'];
        await untilRung(this.#leadersLearnt.next(), ms, signal, this.#clock);
      }
    }
    await Promise.all(loops.values());
  }

  /** Reads what a broker leads, one request after the other. */
  async #readFrom(node: number, reading: Reading, signal: AbortSignal, listening: { isArmed: boolean }) {
    const outage = new Outage(`cannot read from broker ${node}`, this.#log, this.#clock);
    const troubled = new Map<number, Trouble>();
    const backoff = new Backoff(BACKOFF);
    const session = new FetchSession();
    let movedAt = Number.NEGATIVE_INFINITY;
    let partitions = 0;
    while (!signal.aborted) {
      const from = this.#wantedOf(node, reading.positions(), troubled);
      if (from.size === 0) {
        await this.#untilChanged(reading, signal, listening);
        continue;
      }
      const askedAt = this.#clock.monotonic();
      if (from.size !== partitions) movedAt = askedAt;
      partitions = from.size;
      const waitMs = askedAt - movedAt > LIMITS.quietAfterMs ? LIMITS.quietWaitMs : LIMITS.waitMs;
      try {
        const answers = await unlessAborted(signal, this.#fetch(node, from, session, waitMs));
        if (answers === undefined) return;
        outage.over();
        backoff.reset();
        let hasMoved = false;
        for (const answer of answers) {
          if (this.#handOn(answer, from.get(answer.partition)!, reading, troubled)) hasMoved = true;
        }
        // A broker waits for the first byte. If one answers at once with nothing to use, it is not asked again at once.
        if (hasMoved) movedAt = askedAt;
        else if (this.#clock.monotonic() - askedAt < LIMITS.waitMs / 2) {
          await this.#clock.pause(LIMITS.waitMs / 2, signal);
        }
      } catch (err) {
        session.begin();
        outage.report(err);
        await this.#clock.pause(backoff.next(), signal);
        await unlessAborted(signal, this.#refresh()).catch(() => {});
      }
    }
  }

  /** The next offsets in the partitions that the broker leads and that do not rest. */
  #wantedOf(
    node: number,
    positions: ReadonlyMap<number, number>,
    troubled: ReadonlyMap<number, Trouble>,
  ): ReadonlyMap<number, number> {
    const wanted = new Map<number, number>();
    for (const [partition, next] of positions) {
      if (this.#leaders.get(partition) !== node || troubled.get(partition)?.rests === true) continue;
      wanted.set(partition, next);
    }
    return wanted;
  }

  /** @returns whether the partition got any further */
  #handOn(answer: FetchedPartition, from: number, reading: Reading, troubled: Map<number, Trouble>): boolean {
    const { partition, errorCode, next, records, undecodable } = answer;
    const hasMoved = errorCode === 0 && next > from;
    if (hasMoved) {
      reading.deliver({ partition, from, next, end: answer.highWatermark, messages: records });
    }
    if (errorCode === 0 && undecodable === undefined) {
      troubled.delete(partition);
      return hasMoved;
    }
    const before = troubled.get(partition);
    const failures = (before?.failures ?? 0) + 1;
    const backoff = before?.backoff ?? new Backoff(BACKOFF);
    const trouble = { failures, backoff, rests: true };
    troubled.set(partition, trouble);
    // The timer itself ends the rest: it may fire early by the clock, and the loop it wakes must find the rest over.
    void this.#clock.pause(backoff.next()).then(() => {
      trouble.rests = false;
      this.#bell.ring();
    });
    if (errorCode === OFFSET_OUT_OF_RANGE) {
      this.#known.delete(partition);
      reading.outOfRange(partition, from);
    } else if (undecodable !== undefined) reading.unreadable(partition, undecodable);
    else {
      const err = errorOf(errorCode);
      // Leaders move now and then; what lasts is worth a line.
      if (failures === 5) {
        this.#log.error(
          { err, partition, offset: next },
          'cannot read a partition; it is tried again and again',
        );
      } else this.#log.debug({ err, partition, offset: next }, 'cannot read a partition');
      void this.#refresh().catch(() => {});
    }
    return hasMoved;
  }

  async #fetch(
    node: number,
    from: ReadonlyMap<number, number>,
    session: FetchSession,
    waitMs: number,
  ): Promise<FetchedPartition[]> {
    const share = Math.floor(LIMITS.maxBytes / from.size);
    const partitionBytes = Math.max(LIMITS.least, Math.min(LIMITS.most, share));
    return await this.#send(node, async (broker) => {
      const apiVersion = versionFor(broker, FETCH.apiKey, FETCH.oldest, FETCH.newest);
      const ask = async () => {
        const wanted = session.next(from, apiVersion >= FIRST_WITH_SESSIONS);
        const { payload, throttle } = await exchange(broker, FETCH_CONNECTION, {
          ...FETCH,
          apiVersion,
          holdsMs: waitMs,
          encode: (headBytes) =>
            encodeFetchRequest(
              {
                ...wanted,
                topic: this.#topic,
                maxWaitMs: waitMs,
                maxBytes: LIMITS.maxBytes,
                partitionBytes,
                isolationLevel: READ_COMMITTED,
              },
              apiVersion,
              headBytes,
            ),
        });
        const head = readFetchHead(payload, apiVersion);
        throttle(head.throttleMs);
        if (head.errorCode === 0) session.answered(head.sessionId);
        return { payload, errorCode: head.errorCode };
      };
      let answer = await ask();
      if (SESSION_LOST.has(answer.errorCode)) {
        session.begin();
        answer = await ask();
      }
      if (answer.errorCode !== 0) throw errorOf(answer.errorCode);
      return decodeFetchResponse(answer.payload, apiVersion, from);
    });
  }

  async offsets(): Promise<ReadonlyMap<number, PartitionOffsets | null>> {
    await this.#refresh();
    this.#known.clear();
    return this.#askOffsets();
  }

  async ends(): Promise<ReadonlyMap<number, PartitionOffsets | null>> {
    if (!(await this.#leadersStand())) await this.#refresh();
    return this.#askOffsets();
  }

  /** Whether the leaders are still those that were learnt, as far as a broker tells. */
  async #leadersStand(): Promise<boolean> {
    if (this.#leaders.size === 0) return false;
    const leaders = (await this.#describe().catch(() => null))?.leaders;
    return (
      leaders?.size === this.#leaders.size &&
      [...leaders].every(([partition, node]) => node >= 0 && this.#leaders.get(partition) === node)
    );
  }

  async #askOffsets(): Promise<ReadonlyMap<number, PartitionOffsets | null>> {
    const partitions = [...this.#leaders.keys()];
    const byNode = Map.groupBy(this.#leaders, ([, node]) => node);
    byNode.delete(-1);
    const asked = await Promise.allSettled(
      [...byNode].map(([node, led]) =>
        this.#offsetsOf(
          node,
          led.map(([partition]) => partition),
        ),
      ),
    );
    const answers = asked.flatMap((one) => (one.status === 'fulfilled' ? [...one.value] : []));
    const refused = asked.find((one) => one.status === 'rejected');
    if (answers.length === 0) throw refused?.reason ?? new Error('no partition of the topic has a leader');
    const known = new Map(answers);
    return new Map(partitions.map((partition) => [partition, known.get(partition) ?? null]));
  }

  async #offsetsOf(node: number, partitions: readonly number[]): Promise<Map<number, PartitionOffsets>> {
    const askedAt = this.#clock.monotonic();
    const ask = async (isolationLevel: number, timestamp: number) => {
      const topics = [
        { topic: this.#topic, partitions: partitions.map((partition) => ({ partition, timestamp })) },
      ];
      const { responses } = await this.#ask<OffsetsAnswer>(node, 'ListOffsets', { isolationLevel, topics });
      return new Map(
        responses.flatMap(({ partitions: answers }) =>
          answers
            .filter(({ errorCode }) => errorCode === 0)
            .map(({ partition, offset }) => [partition, Number(offset)] as const),
        ),
      );
    };
    // The high watermark is asked for first: otherwise records written between the two requests would look held back.
    const highest = await ask(READ_UNCOMMITTED, LATEST);
    if (partitions.every((one) => this.#isAsKnown(one, highest.get(one), askedAt)))
      return new Map(partitions.map((one) => [one, this.#known.get(one)!]));
    const [stable, first] = await Promise.all([ask(READ_COMMITTED, LATEST), ask(READ_COMMITTED, EARLIEST)]);
    const offsets = new Map<number, PartitionOffsets>();
    for (const [partition, lastStable] of stable) {
      const oldest = first.get(partition);
      const highWatermark = highest.get(partition);
      if (oldest === undefined || highWatermark === undefined) continue;
      const found = { first: oldest, lastStable, highWatermark: Math.max(highWatermark, lastStable) };
      offsets.set(partition, found);
      this.#known.set(partition, { ...found, askedAt });
    }
    return offsets;
  }

  /** Whether nothing was written since all was asked for, and nothing was held back then: then nothing is now. */
  #isAsKnown(partition: number, highWatermark: number | undefined, now: number): boolean {
    const known = this.#known.get(partition);
    return (
      known !== undefined &&
      now - known.askedAt < FIRST_KNOWN_MS &&
      known.highWatermark === highWatermark &&
      known.lastStable === highWatermark
    );
  }

  async topicId(): Promise<string | null> {
    return (await this.#describe())?.id ?? null;
  }

  /** Those who ask at the same time share the answer. */
  #describe(): Promise<TopicDescription | null> {
    this.#describing ??= this.#askForTopic().finally(() => {
      this.#describing = null;
    });
    return this.#describing;
  }

  async #askForTopic(): Promise<TopicDescription | null> {
    // Asked of a broker that leads a partition: others may still know an older topic than the one that was made anew.
    if (![...this.#leaders.values()].some((node) => node >= 0)) await this.#refresh();
    const nodeId = [...this.#leaders.values()].find((node) => node >= 0);
    if (nodeId === undefined) throw new Error('no partition of the topic has a leader');
    const described = await this.#send(nodeId, (broker) => describeTopic(broker, this.#topic));
    const id = described?.id ?? null;
    // Nothing is known of another topic of this name.
    if (this.#topicId !== undefined && id !== this.#topicId) this.#known.clear();
    this.#topicId = id;
    return described;
  }

  async commit(groupId: string, offsets: ReadonlyMap<number, number>): Promise<void> {
    const partitions = [...offsets].map(([partition, offset]) => ({ partition, offset: String(offset) }));
    try {
      if (this.#coordinator === null) {
        await this.#cluster.connect();
        this.#coordinator = await this.#cluster.findGroupCoordinator({ groupId });
      }
      await this.#coordinator.offsetCommit({
        groupId,
        // No member: a group without members takes commits from anyone.
        groupGenerationId: -1,
        memberId: '',
        topics: [{ topic: this.#topic, partitions }],
      });
    } catch (err) {
      this.#coordinator = null;
      throw err;
    }
  }

  async close(): Promise<void> {
    // kafkajs waits for outstanding answers, and for ever where none comes.
    await within(1_000, 'disconnecting from Kafka', this.#cluster.disconnect()).catch(() => {});
  }

  async #ask<T>(node: number, api: 'ListOffsets', parameters: object): Promise<T> {
    const { apiKeys, requests } = protocolOfKafkajs();
    return await this.#send(node, async (broker) => {
      const protocol = broker.lookupRequest(apiKeys[api], requests[api])(parameters);
      // Not `parse`, which throws when any partition has an error.
      const response = { ...protocol.response, parse: (data: unknown) => data };
      return (await broker.connectionPool.send({ ...protocol, response })) as T;
    });
  }

  /** Runs `work` with a broker, and gives the connection up when an error shows that it is dead. */
  async #send<T>(node: number, work: (broker: ReaderBroker) => Promise<T>): Promise<T> {
    const broker = await this.#cluster.findBroker({ nodeId: String(node) });
    try {
      return await work(broker);
    } catch (err) {
      const { name } = err as Error;
      if (name === 'KafkaJSConnectionClosedError') await broker.disconnect();
      // Nothing else would end a connection whose other side is gone without a word.
      if (name === 'KafkaJSRequestTimeoutError') {
        for (const { socket } of broker.connectionPool.pool) socket?.destroy(err as Error);
      }
      throw err;
    }
  }

  /** Learns which broker leads which partition; those who ask at the same time share the answer. */
  #refresh(): Promise<void> {
    this.#refreshing ??= this.#askLeaders().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #askLeaders(): Promise<void> {
    await this.#cluster.connect();
    await this.#cluster.addTargetTopic(this.#topic);
    await this.#cluster.refreshMetadata();
    const partitions = this.#cluster.findTopicPartitionMetadata(this.#topic);
    this.#leaders = new Map(partitions.map(({ partitionId, leader }) => [partitionId, leader]));
    this.#bell.ring();
    this.#leadersLearnt.ring();
  }

  async #untilChanged(reading: Reading, signal: AbortSignal, listening: { isArmed: boolean }): Promise<void> {
    const since = this.#clock.monotonic();
    const rung = this.#bell.next();
    if (!listening.isArmed) {
      listening.isArmed = true;
      void reading.changed().then(() => {
        listening.isArmed = false;
        this.#bell.ring();
      });
    }
    await unlessAborted(signal, rung);
    // If changes are announced again and again with nothing to ask for, the loop must not spin.
    if (this.#clock.monotonic() - since < 1) await this.#clock.pause(2, signal);
  }
}

interface Trouble {
  readonly failures: number;
  readonly backoff: Backoff;
  /** While true, the partition is not asked for. */
  readonly rests: boolean;
}

interface OffsetsAnswer {
  readonly responses: ReadonlyArray<{
    readonly partitions: ReadonlyArray<{ partition: number; errorCode: number; offset: string }>;
  }>;
}

/** Logs the first of several failures in a row, then one a minute, and the end of the outage. */
class Outage {
  readonly #what: string;
  readonly #log: Log;
  readonly #clock: Clock;
  #since: number | null = null;
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(what: string, log: Log, clock: Clock) {
    this.#what = what;
    this.#log = log;
    this.#clock = clock;
  }

  report(err: unknown): void {
    const now = this.#clock.monotonic();
    this.#since ??= now;
    const isDue = now - this.#saidAt >= SAY_AGAIN_MS || this.#since === now;
    if (isDue) this.#saidAt = now;
    const lastsMs = Math.round(now - this.#since);
    this.#log[isDue ? 'warn' : 'debug']({ err, lastsMs }, `${this.#what}; trying again`);
  }

  over(): void {
    if (this.#since === null) return;
    const lastedMs = Math.round(this.#clock.monotonic() - this.#since);
    this.#since = null;
    this.#log.info({ lastedMs }, `${this.#what}: that is over`);
  }
}

const aborts = new WeakMap<AbortSignal, Set<() => void>>();

/** What to call when the signal aborts: one listener for all of a signal, for they come and go with every request. */
function onAbortOf(signal: AbortSignal): Set<() => void> {
  const known = aborts.get(signal);
  if (known !== undefined) return known;
  const waiting = new Set<() => void>();
  aborts.set(signal, waiting);
  const tellAll = () => {
    for (const tell of waiting) tell();
  };
  signal.addEventListener('abort', tellAll, { once: true });
  return waiting;
}

/** Settles as the promise does, or resolves to undefined when the signal aborts first; the promise itself goes on. */
function unlessAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const waiting = onAbortOf(signal);
    const end = () => resolve(undefined);
    if (signal.aborted) return end();
    waiting.add(end);
    promise.then(
      (value) => {
        waiting.delete(end);
        resolve(value);
      },
      (err) => {
        waiting.delete(end);
        reject(err);
      },
    );
  });
}

function openCluster(kafka: Kafka): ReaderCluster {
  const cluster = clusterOf<ReaderCluster>(kafka, {
    metadataMaxAge: 300_000,
    isolationLevel: READ_COMMITTED,
  });
  // kafkajs rejects all metadata when one partition has no leader. The leaders of the others are needed all the same.
  const { brokerPool } = cluster;
  const createBroker = brokerPool.createBroker.bind(brokerPool);
  brokerPool.createBroker = (options) => {
    const broker = createBroker(options);
    broker.metadata = (topics) => metadataOf(broker, topics);
    return broker;
  };
  return cluster;
}

async function metadataOf(broker: ReaderBroker, topics: readonly string[]): Promise<unknown> {
  const { apiKeys, requests } = protocolOfKafkajs();
  const protocol = broker.lookupRequest(
    apiKeys.Metadata,
    requests.Metadata,
  )({
    topics,
    allowAutoTopicCreation: false,
  });
  const parse = (data: unknown) => {
    const { topicMetadata } = data as { topicMetadata: ReadonlyArray<{ topicErrorCode: number }> };
    const refused = topicMetadata.find(({ topicErrorCode }) => topicErrorCode !== 0);
    if (refused) throw errorOf(refused.topicErrorCode);
    return data;
  };
  return broker.connectionPool.send({ ...protocol, response: { ...protocol.response, parse } });
}

function protocolOfKafkajs() {
  return {
    apiKeys: inside<Record<Api, number>>('protocol/requests/apiKeys.js'),
    requests: inside<{ requests: Record<Api, object> }>('protocol/requests/index.js').requests,
  };
}
type Api = 'ListOffsets' | 'Metadata';
