import { bucketOf } from '#contracts/bucket.ts';
import { SELLER_MOVED } from '#contracts/events.ts';
import { EVERY_PARTITION_IS_WRITTEN_EVERY_HOURS } from '#contracts/topics.ts';
import type { Queryable } from '#platform/postgres.ts';

/** Seller ids begin at 1. A marker of seller 0 is skipped like any other, and compaction keeps only the last one. */
const NOBODY = 0;

/**
 * Puts a marker for each partition into the outbox when the last markers are old. Kafka closes a segment only with the
 * next message, and never compacts the last segment. In a partition without writes it would keep the bytes of an erased
 * seller for ever. Any number of relays may call this; one of them writes.
 * @returns for how many partitions a marker was written now
 */
export async function writeToEveryPartition(db: Queryable): Promise<number> {
  const { rowCount } = await db.query({
    name: 'write-to-every-partition',
    text: `with due as (
        update partition_layout set all_written_at = clock_timestamp()
        where all_written_at < clock_timestamp() - make_interval(hours => $4) returning partitions)
      insert into outbox (bucket, seller_id, version, type, value, committed_at, partition)
      select $1, $2, 0, $3, null, clock_timestamp(), partition
      from due, generate_series(0, due.partitions - 1) partition`,
    values: [bucketOf(NOBODY), NOBODY, SELLER_MOVED, EVERY_PARTITION_IS_WRITTEN_EVERY_HOURS],
  });
  return rowCount ?? 0;
}
