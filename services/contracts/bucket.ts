/** How many buckets there are. */
export const BUCKETS = 1024;

/**
 * The bucket of a seller, 0 to 1023, by which shards of the relay divide the outbox. Rows already written carry it:
 * never change it. Multiplicative hashing spreads ids that have a pattern (all even, say).
 */
export const bucketOf = (sellerId: number): number =>
  Math.imul((sellerId % 2 ** 32) ^ Math.floor(sellerId / 2 ** 32), 0x9e3779b1) >>> 22;
