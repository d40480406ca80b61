import { partitionOf } from '#contracts/partition.ts';
import type { Fence } from '../../services/outbox-relay/lease.ts';
import type { RelayMessage } from '../../services/outbox-relay/message.ts';
import type { Publisher } from '../../services/outbox-relay/publisher.ts';
import { failureOf, PRODUCER_LOST } from '../../services/outbox-relay/refusals.ts';
import type { SimProcess } from './process.ts';
import { BrokerError, type SimTopic } from './sim-topic.ts';

const ATTEMPTS = 3;
const RETRY_MS = 60;

/**
 * Like `openPublisher` with kafkajs. A batch is one request a partition. The sequence numbers of a failed batch are
 * used for what is sent next, so that the broker recognises the same batch. A batch with a refused record ends the
 * producer, once all of its requests are settled.
 * @param fence asked at the moment of writing
 */
export function openSimPublisher(topic: SimTopic, process: SimProcess, fence: Fence): Publisher {
  let producer = topic.nextProducer(process);
  let sequences = new Map<number, number>();
  let isCut = false;
  const produce = async (partition: number, batch: readonly RelayMessage[]): Promise<void> => {
    if (isCut || !fence.isHeld()) throw new BrokerError('NETWORK_EXCEPTION');
    const first = sequences.get(partition) ?? 0;
    const [of, by] = [sequences, producer];
    await topic.call(
      process,
      () => topic.produce(by, partition, first, batch),
      topic.faults.acknowledgementLost,
    );
    of.set(partition, first + batch.length);
  };
  const produceWithRetries = async (partition: number, batch: readonly RelayMessage[]): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      try {
        await produce(partition, batch);
        return;
      } catch (err) {
        const { kind, reason } = failureOf(err);
        if (kind !== 'transient' || PRODUCER_LOST.has(reason) || attempt === ATTEMPTS) throw err;
        await process.clock.pause(RETRY_MS * attempt);
      }
    }
  };
  return {
    async send(batch) {
      const byPartition = Map.groupBy(
        batch,
        ({ key, partition }) => partition ?? partitionOf(key, topic.partitions.length),
      );
      const results = await Promise.allSettled(
        [...byPartition].map(([partition, messages]) => produceWithRetries(partition, messages)),
      );
      const failed = results.find((one) => one.status === 'rejected');
      if (failed === undefined) return;
      const { kind, reason } = failureOf(failed.reason);
      if (kind === 'record' || PRODUCER_LOST.has(reason)) {
        producer = topic.nextProducer(process);
        sequences = new Map();
      }
      throw failed.reason;
    },
    end() {
      isCut = true;
    },
  };
}
