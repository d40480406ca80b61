/**
 * The partition of a key as Java clients and kafkajs' DefaultPartitioner choose it (murmur2, positive, modulo), so
 * that any producer puts a seller where ours do.
 * @param partitions how many the keys are divided among; the topic may have more
 */
export const partitionOf = (key: string, partitions: number): number =>
  (murmur2(Buffer.from(key)) & 0x7fff_ffff) % partitions;

const M = 0x5bd1_e995;

/**
 * MurmurHash2 with Kafka's seed, as a signed 32-bit integer. kafkajs' own takes several microseconds a key, for BigInt.
 */
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
