import type { Kafka } from 'kafkajs';
import { Backoff } from '../backoff.ts';
import { pause } from '../lifecycle.ts';
import { clusterOf } from './cluster.ts';
import { type ExchangeBroker, errorOf, exchange, OTHER_CONNECTION, versionFor } from './exchange.ts';
import {
  decodeProduceResponse,
  encodeProduceRequest,
  PRODUCE,
  type ProducedMessage,
  type ProduceRequest,
} from './produce-request.ts';

/** A message and the partition that it must go to; null leaves that to its key. */
export interface PartitionedMessage extends ProducedMessage {
  readonly partition: number | null;
}

/** An idempotent producer for one topic. One send at a time. */
export interface IdempotentProducer {
  /** Connects, and gets an id from the broker. @throws what kafkajs throws */
  connect(): Promise<void>;
  /**
   * Resolves when every in-sync replica has all messages. After a failure nothing is known: some may be there. If the same
   * list is sent again, nothing is stored twice, and the order stays.
   * @throws what kafkajs throws; Kafka's own errors have a `type`
   */
  send(messages: readonly PartitionedMessage[]): Promise<void>;
  /** Resolves when its connections are closed; waits for what is in flight. */
  disconnect(): Promise<void>;
}

export interface ProducerOptions {
  readonly topic: string;
  /** The partition of a key among as many as the topic has. */
  partitionOf(key: string, partitions: number): number;
  /** What is known of leaders is asked for again after so long, in ms. */
  readonly leadersMs: number;
  /** How long a broker may wait for its replicas, in ms. */
  readonly replicasMs: number;
  /** A failed send is tried again so often by itself; then its caller decides. */
  readonly retries: number;
  /** Told which broker (`host:port`) gave no answer in time. */
  silent(broker: string): void;
}

interface ProducerBroker extends ExchangeBroker {
  isConnected(): boolean;
  initProducerId(request: { readonly transactionTimeout: number }): Promise<{
    readonly producerId: string | number;
    readonly producerEpoch: number;
  }>;
}
interface Metadata {
  readonly topicMetadata: ReadonlyArray<{
    readonly topic: string;
    readonly partitionMetadata: ReadonlyArray<{ readonly partitionId: number; readonly leader: number }>;
  }>;
}
/** What is used of kafkajs' inside; `docs/adr/kafka-codecs.md` has why it is pinned to one version. */
interface ProducerCluster {
  readonly brokerPool: { readonly metadata: Metadata | null; readonly metadataExpireAt: number | null };
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  isConnected(): boolean;
  addTargetTopic(topic: string): Promise<void>;
  refreshMetadata(): Promise<void>;
  findBroker(wanted: { readonly nodeId: string }): Promise<ProducerBroker>;
  findControllerBroker(): Promise<ProducerBroker>;
  removeBroker(address: { readonly host: string; readonly port: number }): void;
}

/** Sequence numbers begin anew after 31 bits, as in the brokers. */
const SEQUENCES = 2 ** 31;
const RETRY = { firstMs: 50, longestMs: 500 };
const CONNECT_RETRIES = 5;
const SILENT = 'network.request_timeout';
const NO_TRANSACTION_MS = 60_000;

/**
 * Uses kafkajs' connections, metadata and request queue, and not its producer, which takes four times as long on a batch of
 * a few messages as the batch itself: a chain of promises and copies of each list for every step.
 *
 * A partition that acknowledged its part of a list does not get it again when the same list is sent again. The sequence
 * numbers of a part that was not acknowledged are used again by what is sent next, as in kafkajs: a caller who sends another
 * list may lose it.
 */
export function openProducer(kafka: Kafka, options: ProducerOptions): IdempotentProducer {
  return new Producer(kafka, options);
}

/** A broker's part of a send. */
interface Part {
  readonly partition: number;
  readonly messages: PartitionedMessage[];
}

class Producer implements IdempotentProducer {
  readonly #cluster: ProducerCluster;
  readonly #options: ProducerOptions;
  #id: { readonly producerId: string | number; readonly producerEpoch: number } | null = null;
  /** The next sequence number of each partition. */
  readonly #sequences = new Map<number, number>();
  #metadata: Metadata | null = null;
  /** The leader of each partition, as of `#metadata`. */
  #leaders: ReadonlyMap<number, number> = new Map();
  #brokers = new Map<number, ProducerBroker>();
  /** What was sent last, and the partitions that have acknowledged their part of it. */
  #sent: { readonly messages: readonly PartitionedMessage[]; readonly acknowledged: Set<number> } = {
    messages: [],
    acknowledged: new Set(),
  };

  constructor(kafka: Kafka, options: ProducerOptions) {
    this.#options = options;
    this.#cluster = clusterOf<ProducerCluster>(kafka, {
      metadataMaxAge: options.leadersMs,
      maxInFlightRequests: 1,
      instrumentationEmitter: {
        emit(event: string, payload: { readonly broker: string }) {
          if (event === SILENT) options.silent(payload.broker);
        },
      },
    });
  }

  async connect(): Promise<void> {
    await this.#cluster.connect();
    await this.#cluster.addTargetTopic(this.#options.topic);
    const backoff = new Backoff({ ...RETRY, random: null });
    for (let retries = 0; this.#id === null; retries++) {
      try {
        const controller = await this.#cluster.findControllerBroker();
        this.#id = await controller.initProducerId({ transactionTimeout: NO_TRANSACTION_MS });
      } catch (err) {
        // A broker that has just started cannot hand out ids yet.
        if (!(err as Partial<Refusal>).retriable || retries === CONNECT_RETRIES) throw err;
        await pause(backoff.next());
      }
    }
  }

  async send(messages: readonly PartitionedMessage[]): Promise<void> {
    if (this.#sent.messages !== messages) this.#sent = { messages, acknowledged: new Set() };
    const { acknowledged } = this.#sent;
    const backoff = new Backoff({ ...RETRY, random: null });
    for (let retries = 0; ; retries++) {
      try {
        await this.#attempt(messages, acknowledged);
        return;
      } catch (err) {
        await this.#recover(err as Error);
        if (retries === this.#options.retries) throw err;
        await pause(backoff.next());
      }
    }
  }

  async disconnect(): Promise<void> {
    await this.#cluster.disconnect();
  }

  async #attempt(messages: readonly PartitionedMessage[], acknowledged: Set<number>): Promise<void> {
    await this.#learnLeaders();
    const parts = new Map<number, Part[]>();
    for (const part of this.#byPartition(messages)) {
      if (acknowledged.has(part.partition)) continue;
      const leader = this.#leaders.get(part.partition)!;
      const others = parts.get(leader);
      if (others === undefined) parts.set(leader, [part]);
      else others.push(part);
    }
    const [only, ...more] = parts;
    if (only === undefined) return;
    if (more.length === 0) return this.#produce(...only, acknowledged);
    const outcomes = await Promise.allSettled(
      [...parts].map(([leader, ofLeader]) => this.#produce(leader, ofLeader, acknowledged)),
    );
    // All are awaited: the next attempt must not meet a request of this one.
    const failed = outcomes.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
  }

  async #learnLeaders(): Promise<void> {
    const { brokerPool } = this.#cluster;
    if (this.#metadata === null) await this.#cluster.addTargetTopic(this.#options.topic);
    if (Date.now() > (brokerPool.metadataExpireAt ?? 0)) await this.#cluster.refreshMetadata();
    const { metadata } = brokerPool;
    if (metadata === this.#metadata) return;
    const ofTopic = metadata?.topicMetadata.find(({ topic }) => topic === this.#options.topic);
    this.#leaders = new Map(
      (ofTopic?.partitionMetadata ?? []).map(({ partitionId, leader }) => [partitionId, leader]),
    );
    this.#metadata = metadata;
  }

  #byPartition(messages: readonly PartitionedMessage[]): Iterable<Part> {
    const parts = new Map<number, Part>();
    const known = this.#leaders.size;
    for (const message of messages) {
      const partition = message.partition ?? (known > 0 ? this.#options.partitionOf(message.key, known) : 0);
      const part = parts.get(partition);
      if (part !== undefined) part.messages.push(message);
      else if (this.#leaders.has(partition)) parts.set(partition, { partition, messages: [message] });
      else throw new UnknownPartition(partition);
    }
    return parts.values();
  }

  async #produce(leader: number, parts: readonly Part[], acknowledged: Set<number>): Promise<void> {
    const broker = await this.#brokerOf(leader);
    const apiVersion = versionFor(broker, PRODUCE.apiKey, PRODUCE.oldest, PRODUCE.newest);
    const request: ProduceRequest = {
      acks: -1,
      timeout: this.#options.replicasMs,
      ...this.#id!,
      topicData: [
        {
          topic: this.#options.topic,
          partitions: parts.map(({ partition, messages }) => ({
            partition,
            firstSequence: this.#sequences.get(partition) ?? 0,
            messages,
          })),
        },
      ],
    };
    const { payload, throttle } = await exchange(broker, OTHER_CONNECTION, {
      ...PRODUCE,
      apiVersion,
      encode: (headBytes) => encodeProduceRequest(request, headBytes),
    });
    const { errorCodes, throttleMs } = decodeProduceResponse(payload, apiVersion);
    throttle(throttleMs);
    let refused = 0;
    for (const { partition, messages } of parts) {
      const errorCode = errorCodes.get(partition) ?? NO_ANSWER;
      if (errorCode !== 0) refused = refused === 0 ? errorCode : refused;
      else {
        acknowledged.add(partition);
        const next = (this.#sequences.get(partition) ?? 0) + messages.length;
        this.#sequences.set(partition, next % SEQUENCES);
      }
    }
    if (refused !== 0) throw errorOf(refused);
  }

  async #brokerOf(node: number): Promise<ProducerBroker> {
    const known = this.#brokers.get(node);
    if (known?.isConnected()) return known;
    const broker = await this.#cluster.findBroker({ nodeId: String(node) });
    this.#brokers.set(node, broker);
    return broker;
  }

  /** Makes the next attempt likely to succeed. @throws the error that no other attempt can change */
  async #recover(err: Error): Promise<void> {
    const { name, type, retriable, host, port } = err as Error & Partial<Refusal>;
    if (name === 'KafkaJSConnectionClosedError') this.#cluster.removeBroker({ host: host!, port: port! });
    this.#brokers.clear();
    if (!this.#cluster.isConnected()) {
      await this.#cluster.connect();
      await this.#cluster.refreshMetadata();
    } else if (STALE.has(type) || STALE.has(name) || retriable) await this.#cluster.refreshMetadata();
    else throw err;
  }
}

/** Kafka's number of an error that it has no name for. */
const NO_ANSWER = -1;

interface Refusal {
  readonly type: string;
  readonly retriable: boolean;
  readonly host: string;
  readonly port: number;
}

/** Types of Kafka's errors, and names of kafkajs' own, after which leaders may have changed. */
const STALE: ReadonlySet<string | undefined> = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
]);

/** A message names a partition that is not known, or none is. */
class UnknownPartition extends Error {
  override name = 'UnknownPartition';
  readonly retriable = true;
  readonly type = 'UNKNOWN_TOPIC_OR_PARTITION';

  constructor(partition: number) {
    super(`the topic has no partition ${partition}, as far as is known`);
  }
}
