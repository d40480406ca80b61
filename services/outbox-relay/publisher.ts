import type { Socket } from 'node:net';
import { partitionOf } from '#contracts/partition.ts';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { type KafkaSettings, openKafka, openSocket } from '#platform/kafka/client.ts';
import { type IdempotentProducer, openProducer } from '#platform/kafka/producer.ts';
import { within } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { resetConnection } from '#platform/sockets.ts';
import type { Fence } from './lease.ts';
import type { RelayMessage } from './message.ts';
import { failureOf, PRODUCER_LOST } from './refusals.ts';

/** Sends batches in order. One send at a time. */
export interface Publisher {
  /**
   * Resolves when every in-sync replica has the batch. After a failure nothing is known: some of the batch may be
   * there. **The very same batch** must then be sent again until it succeeds. Only if a record was refused
   * (`failureOf`) may another batch follow.
   * @throws what kafkajs throws
   */
  send(batch: readonly RelayMessage[]): Promise<void>;
  /** Ends the connections at once: what this process has not put on the wire yet does not arrive. */
  end(): void;
}

/** How long other requests of a refused batch may still take, beyond the deadline of a request. */
const SETTLE_MS = 1_000;
/** What is known of leaders is asked for again after so long. kafkajs' own five minutes would be those of an outage. */
const LEADERS_MS = 5_000;
/** How long a broker may wait for its replicas. */
const REPLICAS_MS = 5_000;

/**
 * An idempotent producer of its own for one shard and one term of leadership.
 *
 * A failed batch's sequence numbers are given to the next batch. If the failed batch did arrive, the broker takes another
 * batch of the same length for its copy, drops it and reports success. So a producer sends the same batch again or nothing,
 * and two shards never share one. It connects at once, and nobody waits for that but the first batch: a shard can be led, and
 * its outbox be watched, while Kafka is away.
 *
 * A refused record ends the producer, because another batch follows: half of the refused one. Some partitions may have
 * stored their part already. They get it again from the next producer, which they do not know: twice, but in order. A
 * part that another broker has not answered yet must not arrive after that. So the old producer's requests are settled
 * first, and its connections reset.
 *
 * A broker that gives no answer is left: its connections are closed, and the next try asks another who leads now. kafkajs
 * itself sends to the same broker over the same connection for as long as that stays open, which nobody ends when a
 * machine or its network is gone without a word.
 *
 * @param fence asked at every write to a socket; a process that was asleep while its leadership went to another must
 * not send what it was about to
 */
export function openPublisher(clientId: string, settings: KafkaSettings, log: Log, fence: Fence): Publisher {
  /** Connections that are open, and to which broker. */
  const sockets = new Map<Socket, string>();
  const kafka = openKafka(clientId, settings, log, (args) => {
    const socket = openSocket(args);
    sockets.set(socket, `${args.host}:${args.port}`);
    socket.once('close', () => sockets.delete(socket));
    const write = socket.write.bind(socket);
    socket.write = ((...message: Parameters<typeof write>) => {
      if (!cut && fence.isHeld()) return write(...message);
      resetConnection(socket);
      return false;
    }) as typeof write;
    return socket;
  });
  let cut = false;
  const afterCut = Promise.withResolvers<never>();
  afterCut.promise.catch(() => {});
  const connect = async (): Promise<IdempotentProducer> => {
    const producer = openProducer(kafka, {
      topic: SELLER_EVENTS.topic,
      partitionOf,
      leadersMs: LEADERS_MS,
      replicasMs: REPLICAS_MS,
      // After these the caller tries again.
      retries: 2,
      silent(broker) {
        for (const [socket, of] of sockets) if (of === broker) socket.destroy(new Error('gave no answer'));
      },
    });
    await producer.connect();
    return producer;
  };
  const first = connect();
  /** Null after a failure that only a new producer can follow. */
  let producer: Promise<IdempotentProducer> | null = first;
  // A batch that comes later is not told of a failure before its time.
  first.catch(() => {
    if (producer === first) producer = null;
  });
  const send = async (batch: readonly RelayMessage[]) => {
    producer ??= connect();
    const its = producer;
    try {
      const ready = await its;
      await ready.send(batch);
    } catch (err) {
      const { kind, reason } = failureOf(err);
      const neverConnected = (await its.catch(() => null)) === null;
      if (kind === 'record' || neverConnected || PRODUCER_LOST.has(reason)) {
        producer = null;
        await settle(its);
      }
      throw err;
    }
  };
  /** Ends a producer and resolves when none of its requests can arrive any more. */
  const settle = async (old: Promise<IdempotentProducer>) => {
    const its = [...sockets.keys()];
    const requestMs = settings.requestTimeoutMs ?? 5_000;
    const ended = old.then((opened) => opened.disconnect()).catch(() => {});
    await within(requestMs + SETTLE_MS, 'settling', ended).catch(() => {});
    for (const socket of its) resetConnection(socket);
  };
  const close = (one: Promise<IdempotentProducer> | null) => {
    one?.then((opened) => opened.disconnect()).catch(() => {});
  };
  return {
    send: (batch) => Promise.race([send(batch), afterCut.promise]),
    end() {
      cut = true;
      afterCut.reject(new Error('the publisher was ended'));
      for (const socket of sockets.keys()) resetConnection(socket);
      close(producer);
    },
  };
}
