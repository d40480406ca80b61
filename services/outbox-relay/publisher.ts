import type { Socket } from 'node:net';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { type KafkaSettings, openKafka, openSocket, type Producer } from '#platform/kafka/client.ts';
import type { Log } from '#platform/log.ts';
import { resetConnection } from '#platform/sockets.ts';
import type { Message } from './message.ts';
import { createPartitioner } from './partitioner.ts';

/** Sends batches in order. One send at a time. */
export interface Publisher {
  /**
   * Resolves when every copy that must have the batch has it. After a failure nothing is known: some of the batch
   * may be there. **The very same batch** must then be sent again, until it succeeds.
   * @throws TooLarge when the broker refused the batch for its size; a smaller one may follow
   */
  send(batch: readonly Message[]): Promise<void>;
  /** Ends the connections at once: what is still on its way in this process does not arrive. */
  end(): void;
}

/** The broker does not take so much in one batch of a partition. */
export class TooLarge extends Error {
  override name = 'TooLarge';
}

const REFUSED_FOR_SIZE = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']);
/** The broker's memory of this producer no longer fits; only a new one helps. */
const PRODUCER_LOST = new Set([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'DUPLICATE_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
]);

/**
 * An idempotent producer of its own for one shard and one term of leadership.
 *
 * kafkajs takes a failed batch's sequence numbers back and gives them to whatever is sent next. The broker would
 * take another batch of the same length for a copy of one that did arrive, and drop it with success. So a producer
 * sends the same batch again or nothing, two shards never share one, and a refused batch ends it. It connects with
 * the first batch, so that a shard can be led, and its outbox be watched, while Kafka is away.
 *
 * @param mayWrite asked at every write to a socket; a process that was asleep while its leadership went to another
 * must not send what it was about to
 */
export function openPublisher(
  clientId: string,
  settings: KafkaSettings,
  log: Log,
  mayWrite: () => boolean,
): Publisher {
  const sockets = new Set<Socket>();
  const kafka = openKafka(clientId, settings, log, (args) => {
    const socket = openSocket(args);
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    const write = socket.write.bind(socket);
    socket.write = ((...message: Parameters<typeof write>) => {
      if (!cut && mayWrite()) return write(...message);
      resetConnection(socket);
      return false;
    }) as typeof write;
    return socket;
  });
  let cut = false;
  const afterCut = Promise.withResolvers<never>();
  afterCut.promise.catch(() => {});
  const connect = async (): Promise<Producer> => {
    const producer = kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: createPartitioner as never,
      // The caller goes on after these.
      retry: { retries: 2, initialRetryTime: 50, maxRetryTime: 500 },
    });
    await producer.connect();
    return producer;
  };
  /** None before the first batch, and after one that only a new producer can follow. */
  let producer: Promise<Producer> | null = null;
  const send = async (batch: readonly Message[]) => {
    producer ??= connect();
    try {
      const ready = await producer;
      await ready.send({ topic: SELLER_EVENTS.topic, messages: batch as never, acks: -1, timeout: 5_000 });
    } catch (err) {
      const types = typesOf(err);
      const tooLarge = types.some((type) => REFUSED_FOR_SIZE.has(type));
      const neverConnected = (await producer.catch(() => null)) === null;
      if (tooLarge || neverConnected || types.some((type) => PRODUCER_LOST.has(type))) {
        close(producer);
        producer = null;
      }
      if (tooLarge) throw new TooLarge('the batch is larger than the topic takes', { cause: err });
      throw err;
    }
  };
  const close = (one: Promise<Producer> | null) => {
    one?.then((opened) => opened.disconnect()).catch(() => {});
  };
  return {
    send: (batch) => Promise.race([send(batch), afterCut.promise]),
    end() {
      cut = true;
      afterCut.reject(new Error('the publisher was ended'));
      for (const socket of sockets) resetConnection(socket);
      close(producer);
    },
  };
}

/** Protocol error names along the chain of causes. */
function typesOf(err: unknown): string[] {
  const types: string[] = [];
  for (let one = err; one instanceof Error; one = one.cause) {
    const { type } = one as { type?: unknown };
    if (typeof type === 'string') types.push(type);
  }
  return types;
}
