import kafkajs from 'kafkajs';
import { partitionOf } from '#contracts/partition.ts';
import type { Message } from './message.ts';

/** By this name kafkajs knows the one error after which it asks for the metadata and sends the same messages again. */
const METADATA_IS_OLD = 'KafkaJSMetadataNotLoaded';

/**
 * Puts a message into the partition that it names. kafkajs drops messages for a partition that its metadata does not
 * have and says they were sent; it is told that the metadata is old instead, and asks the broker again.
 */
export const createPartitioner =
  () =>
  ({
    topic,
    partitionMetadata,
    message: { key, partition },
  }: {
    topic?: string;
    partitionMetadata: readonly unknown[];
    message: Pick<Message, 'key' | 'partition'>;
  }): number => {
    const known = partitionMetadata.length;
    if (partition === undefined) return partitionOf(key, known);
    if (partition < known) return partition;
    const unknown = `a message is for partition ${partition}, but ${topic} has ${known} as far as is known here`;
    throw Object.assign(new kafkajs.KafkaJSError(unknown), { name: METADATA_IS_OLD });
  };
