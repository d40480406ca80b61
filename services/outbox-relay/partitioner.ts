import { partitionOf } from '#contracts/partition.ts';

interface Asked {
  readonly partitionMetadata: ReadonlyArray<{ readonly partitionId: number }>;
  readonly message: { readonly key?: unknown; readonly partition?: number | null };
}

/**
 * The partition that a message names, else that of its key as Java clients and kafkajs' DefaultPartitioner choose it
 * (murmur2, positive, modulo), so that any producer puts a seller where this one does. kafkajs computes it with BigInt,
 * several microseconds a message; this is the same in 32-bit arithmetic.
 *
 * @throws UnknownPartition when a message names one that kafkajs does not know: it would leave the message out and
 * report success
 */
export const createPartitioner =
  () =>
  ({ partitionMetadata, message: { key, partition = null } }: Asked): number => {
    if (partition === null) return partitionOf(String(key), partitionMetadata.length);
    const known =
      partitionMetadata[partition]?.partitionId === partition ||
      partitionMetadata.some(({ partitionId }) => partitionId === partition);
    if (known) return partition;
    throw new UnknownPartition(partition);
  };

class UnknownPartition extends Error {
  // By this name kafkajs asks for the topic's partitions anew, and tries again.
  override name = 'KafkaJSMetadataNotLoaded';
  readonly retriable = true;
  readonly type = 'UNKNOWN_TOPIC_OR_PARTITION';

  constructor(partition: number) {
    super(`the topic has no partition ${partition}, as far as is known`);
  }
}
