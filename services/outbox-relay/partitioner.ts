import { partitionOf } from '#contracts/partition.ts';

interface Asked {
  readonly partitionMetadata: ReadonlyArray<{ readonly partitionId: number }>;
  readonly message: { readonly key?: unknown; readonly partition?: number | null };
}

/**
 * The partition that a message names, else that of its key among as many as kafkajs knows.
 *
 * @throws UnknownPartition when a message names a partition that kafkajs does not know: kafkajs would leave the message
 * out and report success
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
  // On an error of this name kafkajs asks for the topic's partitions anew, and tries again.
  override name = 'KafkaJSMetadataNotLoaded';
  readonly retriable = true;
  readonly type = 'UNKNOWN_TOPIC_OR_PARTITION';

  constructor(partition: number) {
    super(`the topic has no partition ${partition}, as far as is known`);
  }
}
