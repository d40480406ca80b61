import { decodeEvent } from '#contracts/event-codec.ts';
import { TOMBSTONES_LAST_MS } from '#contracts/tombstones.ts';
import type { Projection } from '#pages/projection.ts';
import { isUnavailable, type Queryable } from '#platform/postgres.ts';
import { isNotifyQueueFull } from './row-fault.ts';

/** Where a message stands on the topic. */
export interface Place {
  readonly partition: number;
  readonly offset: number;
}

/** A poison message, as the table of parked (dead-lettered) messages keeps it. */
export interface ParkedMessage extends Place {
  readonly sellerId: number | null;
  /** Null where the message does not tell it. */
  readonly version: number | null;
  readonly key: string | null;
  readonly type: string | null;
  readonly value: string | null;
  readonly reason: string;
  /** The view refused it. Otherwise it could not be read. */
  readonly isReadable: boolean;
}

/** An applied event or repair. It supersedes older parked messages of its seller. */
export interface Superseding extends Place {
  readonly sellerId: number;
  /** Null for a repair that says the source does not know the seller: then no parked message of the seller is valid. */
  readonly version: number | null;
  /**
   * An erasure or a repair. In other partitions it also supersedes messages without a version: the seller's list is
   * known, and nothing of an erased seller may stay.
   */
  readonly isFinal: boolean;
}

/** What became of a parked message that was tried again. */
export interface Retried extends Place {
  readonly sellerId: number | null;
  /** `superseded`: the view is at its version or beyond, so that it was forgotten. */
  readonly result: 'applied' | 'superseded' | 'remains';
  /** Why it remains; null where it does not. */
  readonly reason: string | null;
}

/**
 * Parks messages. Of each seller the newest is kept, and the last one that tells no version. A message is not kept if
 * the view is at its version or beyond.
 * @returns those that were kept
 */
export async function park(db: Queryable, messages: readonly ParkedMessage[]): Promise<readonly Place[]> {
  const { rows } = await db.query<{ partition: number; offset: number }>(
    `with message as (
      select message.* from unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::boolean[])
          as message (partition, message_offset, seller_id, version, key, type, value, reason, is_readable)
        left join top_clients held on held.seller_id = message.seller_id
      where coalesce(held.version < message.version, true)
        and not exists (select from parked newer
          where newer.seller_id = message.seller_id
            and (newer.version > message.version
              -- What is parked at its version may be the list itself, which the view is to take later.
              or not message.is_readable
                and newer.version = message.version and newer.value is distinct from message.value))),
    older as (
      delete from parked using message
      where parked.seller_id = message.seller_id
        and case when parked.version <> message.version then parked.version < message.version
          -- For the same reason.
          when message.version is null and parked.version is not null then false
          when parked.partition = message.partition then parked.message_offset < message.message_offset
          else parked.version = message.version end)
    insert into parked (partition, message_offset, seller_id, version, key, type, value, reason)
    select partition, message_offset, seller_id, version, key, type, value, reason from message
    -- Another message stands at the place of an earlier one where the topic was made anew.
    on conflict (partition, message_offset) do update
      set seller_id = excluded.seller_id, version = excluded.version, key = excluded.key, type = excluded.type,
        value = excluded.value, reason = excluded.reason, parked_at = now()
    returning partition, message_offset as offset`,
    [
      messages.map((one) => one.partition),
      messages.map((one) => one.offset),
      messages.map((one) => one.sellerId),
      messages.map((one) => one.version),
      messages.map((one) => storable(one.key)),
      messages.map((one) => storable(one.type)),
      messages.map((one) => storable(one.value)),
      messages.map((one) => storable(one.reason)),
      messages.map((one) => one.isReadable),
    ],
  );
  return rows;
}

/**
 * Deletes parked messages that an applied one supersedes: by version, or by offset where no version is known. An
 * erasure or a repair supersedes everything before it in its partition, even a higher version. After the source was
 * restored to an earlier time that version no longer exists, and a retry would bring it back.
 */
export async function supersede(db: Queryable, applied: readonly Superseding[]): Promise<void> {
  await db.query(
    `delete from parked using unnest($1::bigint[], $2::integer[], $3::bigint[], $4::bigint[], $5::boolean[])
      as applied (seller_id, partition, message_offset, version, is_final)
    where parked.seller_id = applied.seller_id
      and case
        when applied.is_final and parked.partition = applied.partition
          and parked.message_offset < applied.message_offset then true
        when parked.version is not null and applied.version is not null then parked.version <= applied.version
        when parked.partition = applied.partition then parked.message_offset < applied.message_offset
        else applied.is_final end`,
    [
      applied.map((one) => one.sellerId),
      applied.map((one) => one.partition),
      applied.map((one) => one.offset),
      applied.map((one) => one.version),
      applied.map((one) => one.isFinal),
    ],
  );
}

/**
 * Sellers with a parked message in any partition: after a topic has grown, a seller's older messages are in another
 * one. A message whose seller is unknown counts as a seller (null).
 */
export async function parkedSellers(db: Queryable): Promise<Array<number | null>> {
  const { rows } = await db.query<{ seller_id: number | null }>(
    `select seller_id from parked where seller_id is not null group by seller_id
    union all
    select null from parked where seller_id is null`,
  );
  return rows.map((row) => row.seller_id);
}

/** Whether a retry of these partitions would find anything. */
export async function isAnyDue(db: Queryable, partitions: readonly number[]): Promise<boolean> {
  const { rows } = await db.query<{ due: boolean }>(
    `select exists (select from parked where partition = any ($1::integer[]) and next_try_at <= now()) as due`,
    [partitions],
  );
  return rows[0]!.due;
}

/** Makes whatever is parked in these partitions due: a new program may read what the one before could not. */
export async function makeDue(db: Queryable, partitions: readonly number[]): Promise<void> {
  // Rows that a retry has locked are skipped, so that nothing waits for the retry.
  await db.query(
    `update parked set next_try_at = now() where (partition, message_offset) in (
      select partition, message_offset from parked
      where partition = any ($1::integer[]) and next_try_at > now() for update skip locked)`,
    [partitions],
  );
}

export interface RetrySelection {
  /** Only these; all when it is left out. */
  readonly partitions?: readonly number[];
  /** Leaves out messages whose next try is not due yet. */
  readonly dueOnly: boolean;
  /** Whether to wait for a message that another retry holds, so that none is left out. */
  readonly waits?: boolean;
  readonly limit: number;
}

/**
 * Tries parked messages again, one by one, each in a transaction of its own. A message is applied under the version
 * guard and deleted, or deleted because the view is beyond it, or kept with the present reason. Other retries and
 * projectors may run meanwhile: each retry locks the message that it tries.
 * @param db a session of its own
 * @throws when the database fails for another reason than a row; what was done until then stays done
 */
export async function retryParked(
  db: Queryable,
  projection: Projection,
  { partitions, dueOnly, waits = false, limit }: RetrySelection,
  lost: AbortSignal,
): Promise<readonly Retried[]> {
  const retried: Retried[] = [];
  let after: Place = { partition: -1, offset: -1 };
  while (retried.length < limit) {
    const selection: Selection = [partitions ?? null, dueOnly, after.partition, after.offset];
    const one = await retryNext(db, projection, selection, waits, lost);
    // Whoever waits for a row that is deleted meanwhile gets none, though others follow.
    if (one === null && waits && (await isAnyLeft(db, selection))) continue;
    if (one === null) break;
    retried.push(one);
    after = one;
  }
  return retried;
}

interface ParkedRow {
  readonly partition: number;
  readonly message_offset: number;
  readonly seller_id: number | null;
  readonly key: string | null;
  readonly type: string | null;
  readonly value: string | null;
  /** The view is at its version or beyond. */
  readonly superseded: boolean;
  /** Parked so long ago that the seller may have been erased since, and the view has no row that would tell. */
  readonly outdated: boolean;
}

const SELECTED = `($1::integer[] is null or parked.partition = any ($1::integer[])) and (not $2 or next_try_at <= now())
    and (parked.partition, message_offset) > ($3::integer, $4::bigint)`;

const takeNext = (waits: boolean): string => `
  select parked.partition, message_offset, parked.seller_id, key, type, value,
    coalesce(held.version >= parked.version, false) as superseded,
    held.seller_id is null and parked_at < now() - $5 * interval '1 ms' as outdated
  from parked left join top_clients held on held.seller_id = parked.seller_id
  where ${SELECTED}
  order by parked.partition, message_offset
  limit 1 for update of parked ${waits ? '' : 'skip locked'}`;

type Selection = [partitions: readonly number[] | null, dueOnly: boolean, partition: number, offset: number];

async function isAnyLeft(db: Queryable, selection: Selection): Promise<boolean> {
  const { rows } = await db.query<{ left: boolean }>(
    `select exists (select from parked where ${SELECTED}) as left`,
    selection,
  );
  return rows[0]!.left;
}

async function retryNext(
  db: Queryable,
  projection: Projection,
  selection: Selection,
  waits: boolean,
  lost: AbortSignal,
  isQuiet = false,
): Promise<Retried | null> {
  await db.query('begin');
  try {
    const { rows } = await db.query<ParkedRow>(takeNext(waits), [...selection, TOMBSTONES_LAST_MS]);
    const retried = rows[0] ? await retryOne(db, projection, rows[0], lost) : null;
    await db.query('commit');
    return retried;
  } catch (err) {
    await db.query('rollback').catch(() => {});
    if (isQuiet || !isNotifyQueueFull(err)) throw err;
    await db.query('set top_clients.notify = off');
    return retryNext(db, projection, selection, waits, lost, true);
  }
}

/** Within a transaction that holds the row. */
async function retryOne(
  db: Queryable,
  projection: Projection,
  row: ParkedRow,
  lost: AbortSignal,
): Promise<Retried> {
  const decoded = decodeEvent(row);
  if (row.superseded || decoded.kind === 'tombstone' || decoded.kind === 'moved') {
    return forget(db, row, 'superseded');
  }
  if (decoded.kind === 'unreadable') return keep(db, row, decoded.reason);
  if (row.outdated) {
    return keep(db, row, 'was parked so long ago that the seller may be erased since; watch-view decides');
  }
  await db.query('savepoint before_row');
  try {
    const changed = await projection.upsert(db, [projection.toRow(decoded.event)]);
    return await forget(db, row, changed > 0 ? 'applied' : 'superseded');
  } catch (err) {
    // Whatever the error of this row is, the rows behind it must not wait for it.
    if (lost.aborted || isUnavailable(err)) throw err;
    await db.query('rollback to savepoint before_row');
    return keep(db, row, `the view refuses it: ${(err as Error).message}`);
  }
}

const placeOf = (row: ParkedRow) => ({
  partition: row.partition,
  offset: row.message_offset,
  sellerId: row.seller_id,
});

async function forget(db: Queryable, row: ParkedRow, result: 'applied' | 'superseded'): Promise<Retried> {
  await db.query('delete from parked where partition = $1 and message_offset = $2', [
    row.partition,
    row.message_offset,
  ]);
  return { ...placeOf(row), result, reason: null };
}

/** Two minutes to the next try, then four, and so on to an hour. */
async function keep(db: Queryable, row: ParkedRow, reason: string): Promise<Retried> {
  await db.query(
    `update parked set reason = $3, attempts = attempts + 1,
      next_try_at = now() + least(60, power(2, least(attempts, 10) + 1)) * interval '1 minute'
    where partition = $1 and message_offset = $2`,
    [row.partition, row.message_offset, storable(reason)],
  );
  return { ...placeOf(row), result: 'remains', reason };
}

/** PostgreSQL's text holds every character but this one. */
const storable = (text: string | null): string | null => text?.replaceAll('\u0000', '\ufffd') ?? null;
