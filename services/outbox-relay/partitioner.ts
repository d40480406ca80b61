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
    if (partition === null)
      return (murmur2(Buffer.from(String(key))) & 0x7fff_ffff) % partitionMetadata.length;
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

const M = 0x5bd1_e995;

/** MurmurHash2 with Kafka's seed, as a signed 32-bit integer. */
export function murmur2(data: Uint8Array): number {
  const { length } = data;
  let hash = 0x9747_b28c ^ length;
  const whole = length & ~3;
  for (let i = 0; i < whole; i += 4) {
    let k = data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16) | (data[i + 3]! << 24);
    k = Math.imul(k, M);
    k = Math.imul(k ^ (k >>> 24), M);
    hash = Math.imul(hash, M) ^ k;
  }
  const rest = length - whole;
  if (rest === 3) hash ^= data[whole + 2]! << 16;
  if (rest >= 2) hash ^= data[whole + 1]! << 8;
  if (rest >= 1) hash = Math.imul(hash ^ data[whole]!, M);
  hash = Math.imul(hash ^ (hash >>> 13), M);
  return hash ^ (hash >>> 15);
}
