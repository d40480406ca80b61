import { UNTIL_COMPACTED } from '#contracts/erasures.ts';
import { partitionOf } from '#contracts/partition.ts';
import { ERASED_BYTES_LEAVE_WITHIN_DAYS } from '#contracts/topics.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { IdFloor } from '#platform/id-floor.ts';
import type { Log } from '#platform/log.ts';
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

/** Acks what was sent, and fetches what follows. */
export interface AckAndFetch {
  /** Ids that Kafka acknowledged: they are deleted. */
  readonly remove: readonly number[];
  /** Whether there are tombstones of erasures among them, whose receipts are to be told. */
  readonly endsErasures?: boolean;
  /** Ids that are on their way to Kafka: they stay, and are not taken again. */
  readonly except: readonly number[];
  /** Sellers whose rows stay where they are for now. */
  readonly held: readonly number[];
  /** How many rows to take, at most. */
  readonly limit: number;
}

/** What a leader's loop needs of the database. */
export interface Outbox {
  /** Deletes what was sent and takes what follows, oldest first. One at a time. */
  ackAndFetch(request: AckAndFetch): Promise<OutboxRow[]>;
  /** A row of a seller that is held, as it is now; null when it is gone. */
  find(id: number): Promise<OutboxRow | null>;
  /** The seller of that row is held no more: its rows, from this one on, are taken again. */
  release(row: { readonly id: number }): void;
}

/** What a look below the floor needs to know, both of one moment. */
export interface Below {
  /** No row of the shard was there below this id, but those of sellers who are held. */
  readonly floor: number;
  readonly held: readonly number[];
}

/** The outbox as the leader of a shard sees it during its term. */
export interface LedOutbox extends Outbox {
  below(): Below;
  /** There was a row below the floor all the same: the next fetch looks at every row again. */
  distrust(): void;
}

/**
 * @param db a connection of its own, which `prepareSession` has prepared
 */
export function openOutbox(db: Queryable, shard: Shard, log: Log, clock: Clock = SYSTEM_CLOCK): LedOutbox {
  const floor = new IdFloor(db, 'outbox', log, clock);
  let below: Below = { floor: 0, held: [] };
  let warned = false;
  return {
    async ackAndFetch(request) {
      const look = floor.look();
      if (request.remove.length > 0) floor.flows();
      const taken = ackAndFetchRows(db, shard, request, look.from);
      // Behind it on the same connection, so that nothing waits for it.
      floor.prove().then(
        () => {
          warned = false;
        },
        (err) => {
          // A connection that is gone ends the term; anything else only leaves the floor where it is.
          if (!warned) log.warn({ err }, 'could not ask who writes the outbox; looks at it become slower');
          warned = true;
        },
      );
      const rows = await taken;
      if (request.limit > 0) {
        // What is on its way stays visible until it is removed.
        const lowest = Math.min(rows[0]?.id ?? Number.POSITIVE_INFINITY, ...request.except);
        look.saw(lowest === Number.POSITIVE_INFINITY ? null : lowest);
      }
      below = { floor: floor.from, held: request.held };
      return rows;
    },
    async find(id) {
      const { rows } = await db.query<Tuple>({
        name: 'find-row',
        rowMode: 'array',
        text: `select ${COLUMNS} from outbox where id = $1`,
        values: [id],
      });
      return rows.map(toRow)[0] ?? null;
    },
    release({ id }) {
      floor.lower(id);
      below = { ...below, floor: floor.from };
    },
    below: () => below,
    distrust() {
      floor.reset();
      below = { ...below, floor: 0 };
    },
  };
}

const COLUMNS = `id, seller_id, version, type, value, extract(epoch from committed_at)::float8 * 1000, traceparent,
        replaces, partition, (select partitions from partition_layout where the_one)`;

const toRow = ([
  id,
  sellerId,
  version,
  type,
  value,
  committedAt,
  traceparent,
  replaces,
  partition,
  partitions,
]: Tuple): OutboxRow => ({
  id,
  sellerId,
  version,
  type,
  value,
  committedAt,
  traceparent,
  replaces,
  partition: partition ?? (partitions === null ? null : partitionOf(String(sellerId), partitions)),
});

const TAKE_ROWS = `select ${COLUMNS}
      from outbox
      where id >= $7::bigint and bucket % $2::integer = $3::integer
        and id not in (select unnest($1::bigint[] || $4::bigint[]))
        and seller_id not in (select unnest($5::bigint[]))
      order by id
      limit $6::integer`;

const EXCHANGE = {
  name: 'ack-and-fetch',
  text: `with removed as (delete from outbox where id = any ($1::bigint[])) ${TAKE_ROWS}`,
};

/** Nothing of the seller waits to be sent: from now on the topic is compaction's. */
const TELL = `set open_because = case store when 'topic' then '${UNTIL_COMPACTED}' end,
          confirmed_at = case store when 'outbox' then clock_timestamp() end,
          bytes_until = case store when 'topic' then clock_timestamp() + interval '${ERASED_BYTES_LEAVE_WITHIN_DAYS} days' end`;

// The tombstone stands behind everything else of its seller, so that with it the last of what came before has been
// acknowledged and deleted. Told by the transaction that deletes it: a crash undoes both, and the row is sent again. Of its
// own, because the ordinary one runs hundreds of times a second.
const EXCHANGE_AND_TELL = {
  name: 'ack-and-fetch-with-receipts',
  text: `with removed as (
        delete from outbox where id = any ($1::bigint[]) returning seller_id, version, type, value
      ), told as (
        update erasure_store ${TELL}
        from removed join erasure on erasure.seller_id = removed.seller_id and erasure.version <= removed.version
        where removed.type = 'seller-erased' and removed.value is null and erasure_id = erasure.id
          and store in ('outbox', 'topic') and confirmed_at is null and bytes_until is null
      ) ${TAKE_ROWS}`,
};

/**
 * Tells the receipts whose tombstone is gone and that nobody told: a relay of a version before receipts led, as during an
 * upgrade, and deleted it after Kafka had acknowledged it. That nothing is left on the topic or in a view is looked for
 * there, whatever is said here.
 */
export const tellWhatNobodyTold = (db: Queryable): Promise<unknown> =>
  db.query(`update erasure_store ${TELL}
    from erasure where erasure_id = erasure.id and store in ('outbox', 'topic')
      and confirmed_at is null and bytes_until is null and not exists (
        select from outbox where outbox.seller_id = erasure.seller_id and outbox.version <= erasure.version)`);

/**
 * Deletes what was sent and takes the oldest rows of the shard by id, in one statement: a round trip of its own for
 * each would cost as much again. By id, because within a seller that is the order of its versions: an id is drawn
 * under the lock of the seller's row. Every visible row is looked at each time, without a cursor, because a
 * transaction that commits late appears below ids that were read before; `floor` says from where on there can be any.
 *
 * The layout is read in the same snapshot as the rows: who sees a row that was written after the layout changed sees
 * the new layout (services/republish/growth.ts builds on that). By its key, so that it is read by the index: a plan that
 * this session's settings discourage may cost so much that PostgreSQL compiles it, each time.
 *
 * `not in (select …)` is looked up in a hash; `<> all` of a parameter would be walked through for every row, which
 * under a backlog took half of the relay's time.
 *
 * @param floor an id below which there is no row of the shard but of sellers who are held, and never will be: `IdFloor`
 */
export async function ackAndFetchRows(
  db: Queryable,
  shard: Shard,
  { remove, endsErasures = false, except, held, limit }: AckAndFetch,
  floor: number,
): Promise<OutboxRow[]> {
  const { rows } = await db.query<Tuple>({
    ...(endsErasures ? EXCHANGE_AND_TELL : EXCHANGE),
    rowMode: 'array',
    values: [
      arrayLiteral(remove),
      shard.of,
      shard.index,
      arrayLiteral(except),
      arrayLiteral(held),
      limit,
      floor,
    ],
  });
  return rows.map(toRow);
}

/**
/**
 * How many rows of a shard wait from the floor on, and since when the oldest of them whose seller is not held (ms since
 * the epoch; null when none waits). A tombstone stands behind a state and goes with it; one that is sent again has the
 * time of its erasure.
 */
export async function countWaiting(
  db: Queryable,
  shard: Shard,
  { floor, held }: Below,
): Promise<{ rows: number; oldest: number | null }> {
  const { rows } = await db.query<{ rows: number; oldest: number | null }>({
    name: 'count-waiting',
    text: `select count(*) as rows,
        extract(epoch from min(committed_at) filter (where value is not null and seller_id <> all ($4::bigint[])))::float8 * 1000 as oldest
      from outbox where id >= $3::bigint and bucket % $1::integer = $2::integer`,
    values: [shard.of, shard.index, floor, arrayLiteral(held)],
  });
  return rows[0]!;
}

/**
 * What lies below the floor: rows of sellers who are held, and rows that should not be there. Goes over every dead row
 * that the floor spares the others, so ask seldom.
 *
 * @param below taken before: what is deleted meanwhile is not counted, what is put there by hand is
 */
export async function lookBelow(
  db: Queryable,
  shard: Shard,
  { floor, held }: Below,
): Promise<{ held: number; missed: number; first: number | null }> {
  const { rows } = await db.query<{ held: number; missed: number; first: number | null }>({
    name: 'look-below',
    text: `select count(*) filter (where seller_id = any ($4::bigint[])) as held,
        count(*) filter (where seller_id <> all ($4::bigint[])) as missed,
        min(id) filter (where seller_id <> all ($4::bigint[])) as first
      from outbox where id < $3::bigint and bucket % $1::integer = $2::integer`,
    values: [shard.of, shard.index, floor, arrayLiteral(held)],
  });
  return rows[0]!;
}

/** What the connection of `ackAndFetchRows` needs to be told once. */
export async function prepareSession(db: Queryable): Promise<void> {
  // Deleting need not wait for the disk: after a crash the rows are sent again, in the same order. And the plan must
  // stay a walk along the ids: a table that is empty most of the time has no useful statistics.
  await db.query(
    'set synchronous_commit = off; set enable_seqscan = off; set enable_sort = off; set enable_bitmapscan = off',
  );
}

// The driver's own array encoding quotes and escapes every element, which ids do not need.
const arrayLiteral = (ids: readonly number[]) => `{${ids.join(',')}}`;
