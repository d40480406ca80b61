import { partitionOf } from '#contracts/partition.ts';
import type { Queryable } from '#platform/postgres.ts';

/** A message that waits to be sent. */
export interface OutboxRow {
  readonly id: number;
  readonly sellerId: number;
  readonly version: number;
  readonly type: string;
  /** The event as JSON text; null is a tombstone. */
  readonly value: string | null;
  /** Milliseconds since the epoch. */
  readonly committedAt: number;
  readonly traceparent: string | null;
  /** Of a repair: the wrong row of a view that it stands against. */
  readonly replaces: string | null;
  /** Where it goes: the partition the row names, else by the layout of this moment; null while none is stored. */
  readonly partition: number | null;
}

/** Which rows are ours: shard i of n owns those whose `bucket % n = i`. */
export interface Shard {
  readonly index: number;
  readonly of: number;
}

type Tuple = [
  number,
  number,
  number,
  string,
  string | null,
  number,
  string | null,
  string | null,
  number | null,
  number | null,
];

/** One exchange with the outbox. */
export interface Exchange {
  /** Ids that Kafka acknowledged: they are deleted. */
  readonly remove: readonly number[];
  /** Ids that are on their way to Kafka: they stay, and are not taken again. */
  readonly except: readonly number[];
  /** Sellers whose rows stay where they are for now. */
  readonly held: readonly number[];
  /** How many rows to take, at most. */
  readonly limit: number;
}

/**
 * Deletes what was sent and takes the oldest rows of the shard by id, in one statement: a round trip of its own for
 * each would cost as much again. By id, because within a seller that is the order of its versions: an id is drawn
 * under the lock of the seller's row. Every visible row is looked at each time, without a cursor, because a
 * transaction that commits late appears below ids that were read before.
 *
 * The layout is read in the same snapshot as the rows: who sees a row that was written after the layout changed sees
 * the new layout (services/republish/growth.ts builds on that).
 *
 * `not in (select …)` is looked up in a hash; `<> all` of a parameter would be walked through for every row, which
 * under a backlog took half of the relay's time.
 */
export async function exchangeRows(
  db: Queryable,
  shard: Shard,
  { remove, except, held, limit }: Exchange,
): Promise<OutboxRow[]> {
  const { rows } = await db.query<Tuple>({
    name: 'exchange-rows',
    rowMode: 'array',
    text: `with removed as (delete from outbox where id = any ($1::bigint[]))
      select id, seller_id, version, type, value, extract(epoch from committed_at)::float8 * 1000, traceparent,
        replaces, partition, (select partitions from partition_layout)
      from outbox
      where bucket % $2::integer = $3::integer
        and id not in (select unnest($1::bigint[] || $4::bigint[])) and seller_id <> all ($5::bigint[])
      order by id
      limit $6::integer`,
    values: [arrayLiteral(remove), shard.of, shard.index, arrayLiteral(except), arrayLiteral(held), limit],
  } as never);
  return rows.map(
    ([id, sellerId, version, type, value, committedAt, traceparent, replaces, partition, partitions]) => ({
      id,
      sellerId,
      version,
      type,
      value,
      committedAt,
      traceparent,
      replaces,
      partition: partition ?? (partitions === null ? null : partitionOf(String(sellerId), partitions)),
    }),
  );
}

/** How many rows of a shard wait, and since when the oldest of them (ms since the epoch; null when none waits). */
export async function countWaiting(
  db: Queryable,
  shard: Shard,
): Promise<{ rows: number; oldest: number | null }> {
  const { rows } = await db.query<{ rows: number; oldest: number | null }>({
    name: 'count-waiting',
    text: `select count(*) as rows, extract(epoch from min(committed_at))::float8 * 1000 as oldest
      from outbox where bucket % $1::integer = $2::integer`,
    values: [shard.of, shard.index],
  });
  return rows[0]!;
}

/** What the connection of `exchangeRows` needs to be told once. */
export async function prepareSession(db: Queryable): Promise<void> {
  // Deleting need not wait for the disk: after a crash the rows are sent again, in the same order. And the plan must
  // stay a walk along the ids: a table that is empty most of the time has no useful statistics.
  await db.query(
    'set synchronous_commit = off; set enable_seqscan = off; set enable_sort = off; set enable_bitmapscan = off',
  );
}

// The driver's own array encoding quotes and escapes every element, which ids do not need.
const arrayLiteral = (ids: readonly number[]) => `{${ids.join(',')}}`;
