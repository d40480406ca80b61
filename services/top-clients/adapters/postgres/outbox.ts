import { UNTIL_COMPACTED } from '#contracts/erasures.ts';
import { partitionOf } from '#contracts/partition.ts';
import { ERASED_BYTES_LEAVE_WITHIN_DAYS } from '#contracts/topics.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { IdFloor } from '#platform/id-floor.ts';
import type { Log } from '#platform/log.ts';
import type { Queryable } from '#platform/postgres.ts';
import { plainArray, runStatement } from '#platform/postgres-statement.ts';

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
  /** For a repair: the wrong row of the view that it replaces. */
  readonly replaces: string | null;
  /** The partition to send to: the one the row names, else the one of the present layout; null while none is stored. */
  readonly partition: number | null;
}

/** A row that was read. */
export interface WaitingRow extends OutboxRow {
  /** Since its `committedAt`, in ms by the database's clock. Its transaction took a part of that. */
  readonly waitedMs: number;
}

/** Which rows are ours: shard i of n owns those whose `bucket % n = i`. */
export interface Shard {
  readonly index: number;
  readonly of: number;
}

/** Deletes acknowledged rows and fetches the next ones. */
export interface AckAndFetch {
  /** Ids that Kafka acknowledged, to be deleted. */
  readonly remove: readonly number[];
  /** Whether they include tombstones of erasures, whose receipts must be updated. */
  readonly endsErasures?: boolean;
  /** Ids that are in flight: their rows stay, and are not taken again. */
  readonly except: readonly number[];
  /** Sellers that are held: their rows stay where they are for now. */
  readonly held: readonly number[];
  /** How many rows to take, at most. */
  readonly limit: number;
}

/** What a leader's loop needs of the database. */
export interface Outbox {
  /** Deletes what was sent and takes what follows, oldest first. Only one call at a time. */
  ackAndFetch(request: AckAndFetch): Promise<WaitingRow[]>;
  /** The present row of a held seller; null when it is gone. */
  find(id: number): Promise<OutboxRow | null>;
  /** The seller of that row is no longer held: its rows, from this one on, are taken again. */
  release(row: { readonly id: number }): void;
}

/** What `lookBelow` needs to know, both as of one moment. */
export interface Below {
  /** Below this id the shard had no rows, except of held sellers. */
  readonly floor: number;
  readonly held: readonly number[];
}

/** The outbox as the leader of a shard sees it during its term. */
export interface LedOutbox extends Outbox {
  below(): Below;
  /** Rows were found below the floor after all: the next fetch looks at every row again. */
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
      // Queued behind the fetch on the same connection, so that nothing waits for it.
      floor.prove().then(
        () => {
          warned = false;
        },
        (err) => {
          // A lost connection ends the term; any other error only leaves the floor where it is.
          if (!warned) log.warn({ err }, 'could not ask who writes the outbox; looks at it become slower');
          warned = true;
        },
      );
      const rows = await taken;
      if (request.limit > 0) {
        // Rows in flight stay visible until they are deleted.
        const lowest = Math.min(rows[0]?.id ?? Number.POSITIVE_INFINITY, ...request.except);
        look.saw(lowest === Number.POSITIVE_INFINITY ? null : lowest);
      }
      below = { floor: floor.from, held: request.held };
      return rows;
    },
    async find(id) {
      const { rows } = await runStatement(db, FIND, [id]);
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
        replaces, partition, (select partitions from partition_layout where the_one),
        extract(epoch from clock_timestamp())::float8 * 1000`;

/** @param row in the order of COLUMNS, as PostgreSQL writes them */
function toRow(row: readonly (string | null)[]): WaitingRow {
  const [sellerId, committedAt] = [Number(row[1]), Number(row[5])];
  const [partition, partitions] = [row[8]!, row[9]!];
  return {
    id: Number(row[0]),
    sellerId,
    version: Number(row[2]),
    type: row[3]!,
    value: row[4]!,
    committedAt,
    traceparent: row[6]!,
    replaces: row[7]!,
    partition:
      partition === null
        ? partitions === null
          ? null
          : partitionOf(String(sellerId), Number(partitions))
        : Number(partition),
    // Not subtracted there: before version 17 an infinite time would refuse the whole statement.
    waitedMs: Number(row[10]) - committedAt,
  };
}

const FIND = { name: 'find-row', text: `select ${COLUMNS} from outbox where id = $1` };

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

/** No message of the seller waits to be sent any more: what is left on the topic is up to compaction. */
const TELL = `set open_because = case store when 'topic' then '${UNTIL_COMPACTED}' end,
          confirmed_at = case store when 'outbox' then clock_timestamp() end,
          bytes_until = case store when 'topic' then clock_timestamp() + interval '${ERASED_BYTES_LEAVE_WITHIN_DAYS} days' end`;

// The tombstone is behind all other rows of its seller, so everything before it has been acknowledged and deleted as
// well. The receipts are updated in the transaction that deletes it: a crash undoes both, and the row is sent again.
// This is a separate statement because the ordinary one runs hundreds of times a second.
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
 * Updates receipts whose tombstone is gone but that were never updated: during an upgrade a relay of a version before
 * receipts may have sent and deleted it. Whether anything is left on the topic or in a view is checked there,
 * independent of this.
 */
export const tellWhatNobodyTold = (db: Queryable): Promise<unknown> =>
  db.query(`update erasure_store ${TELL}
    from erasure where erasure_id = erasure.id and store in ('outbox', 'topic')
      and confirmed_at is null and bytes_until is null and not exists (
        select from outbox where outbox.seller_id = erasure.seller_id and outbox.version <= erasure.version)`);

/**
 * Deletes what was sent and takes the oldest rows of the shard by id, in one statement: a round trip of its own for
 * each would cost as much again. Within a seller the order of ids is the order of versions: an id is drawn under the
 * lock of the seller's row. There is no cursor, and every visible row is looked at each time, because a transaction
 * that commits late has ids below those already read. `floor` is the id from which on such rows are possible.
 *
 * The layout is read in the same snapshot as the rows: a snapshot with a row written after a layout change has the new
 * layout too (services/republish/growth.ts builds on that). It is read by its key, so that the plan uses the index:
 * this session's settings make other plans so expensive that PostgreSQL might JIT-compile each of them.
 *
 * `not in (select …)` is looked up in a hash. `<> all` of a parameter is searched for every row, which under a backlog
 * took half of the relay's time.
 *
 * @param floor an id below which the shard has no rows except of held sellers, and never will: `IdFloor`
 */
export async function ackAndFetchRows(
  db: Queryable,
  shard: Shard,
  { remove, endsErasures = false, except, held, limit }: AckAndFetch,
  floor: number,
): Promise<WaitingRow[]> {
  const { rows } = await runStatement(db, endsErasures ? EXCHANGE_AND_TELL : EXCHANGE, [
    plainArray(remove),
    shard.of,
    shard.index,
    plainArray(except),
    plainArray(held),
    limit,
    floor,
  ]);
  return rows.map(toRow);
}

/**
 * How many rows of a shard wait from the floor on, and since when the oldest of them has waited, without held sellers
 * (ms since the epoch; null when none waits). Tombstones are left out of the age: each follows a state, and a tombstone
 * that is sent again has the time of its erasure.
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
    values: [shard.of, shard.index, floor, plainArray(held)],
  });
  return rows[0]!;
}

/**
 * Counts the rows below the floor: rows of held sellers, and rows that should not be there. It walks over every dead
 * row that the floor spares the other statements, so call it seldom.
 *
 * @param below taken before the call: rows deleted meanwhile are not counted, rows inserted there by hand are
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
    values: [shard.of, shard.index, floor, plainArray(held)],
  });
  return rows[0]!;
}

/** Session settings that `ackAndFetchRows` needs on its connection. */
export async function prepareSession(db: Queryable): Promise<void> {
  // A delete need not wait for the disk: after a crash the rows are sent again, in the same order. The plan must stay
  // an index scan by id: a table that is empty most of the time has no useful statistics.
  await db.query(
    'set synchronous_commit = off; set enable_seqscan = off; set enable_sort = off; set enable_bitmapscan = off',
  );
}
