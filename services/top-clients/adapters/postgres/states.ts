import { bucketOf } from '#contracts/bucket.ts';
import { encodeEventParts } from '#contracts/event-codec.ts';
import { SELLER_MOVED } from '#contracts/events.ts';
import { REPAIR, type WrongRow, writeWrongRow } from '#contracts/repair.ts';
import type { Queryable } from '#platform/postgres.ts';

/** A seller whose row is locked, with its present state. */
export interface LockedSeller {
  readonly sellerId: number;
  readonly version: number;
  readonly clients: string;
  readonly erased: boolean;
  readonly updatedAt: Date;
  /** Null when the log has no entry of that version. */
  readonly change: string | null;
}

/** A message for the outbox that no command made. */
export interface ExtraMessage {
  readonly sellerId: number;
  readonly version: number;
  readonly type: string;
  readonly value: string | null;
  readonly replaces: string | null;
  /** Null: the partition of the layout. */
  readonly partition: number | null;
  /** Null: now. */
  readonly committedAt: Date | null;
}

/**
 * Locks the rows of sellers and reads their states. Until the transaction ends none of them can change, so messages put
 * into the outbox meanwhile are in the right order among their events.
 * @param sellerIds in ascending order, as everywhere that several sellers are locked
 */
export async function lockSellers(db: Queryable, sellerIds: readonly number[]): Promise<LockedSeller[]> {
  await db.query('select from seller where seller_id = any ($1::bigint[]) order by seller_id for update', [
    sellerIds,
  ]);
  // This statement follows the one that waited for the locks, so it sees what was committed before them.
  const { rows } = await db.query<LockedSeller>(
    `select seller_id as "sellerId", version, clients::text, erased, updated_at as "updatedAt", change::text
    from seller left join seller_event using (seller_id, version)
    where seller_id = any ($1::bigint[]) order by seller_id`,
    [sellerIds],
  );
  return rows;
}

/**
 * The messages that repeat a seller's present list. A seller without any version has no state: its value is null, as
 * for one that the source does not know.
 * @param seller with a change, or without any version
 * @param replaces the wrong row of a view; null: only an older or absent row is replaced
 */
export function stateOf(
  { sellerId, version, clients, erased, updatedAt, change }: LockedSeller,
  replaces: WrongRow | null,
): ExtraMessage[] {
  const state = {
    sellerId,
    version,
    type: REPAIR,
    replaces: replaces && writeWrongRow(replaces),
    partition: null,
    committedAt: null,
  };
  if (version === 0) return [{ ...state, value: null }];
  const committedAt = updatedAt.toISOString();
  const value = encodeEventParts({
    sellerId,
    version,
    committedAt,
    changeJson: change!,
    clientsJson: clients,
  });
  if (!erased) return [{ ...state, value }];
  // As after the erasure itself, a tombstone follows, so that Kafka can drop the seller. Compaction may keep it alone:
  // then it tells a new view the time of the erasure, which is compared.
  return [
    { ...state, value },
    { ...state, type: 'seller-erased', value: null, replaces: null, committedAt: updatedAt },
  ];
}

/** The marker that a seller has left a partition. */
export const movedOf = (
  { sellerId, version }: Pick<LockedSeller, 'sellerId' | 'version'>,
  partition: number,
): ExtraMessage => ({
  sellerId,
  version,
  type: SELLER_MOVED,
  value: null,
  replaces: null,
  partition,
  committedAt: null,
});

const ADD = `insert into outbox (bucket, seller_id, version, type, value, committed_at, replaces, partition)
  select bucket, seller_id, version, type, value, coalesce(committed_at, clock_timestamp()), replaces, partition
  from unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::integer[],
      $8::timestamptz[])
    with ordinality as row (bucket, seller_id, version, type, value, replaces, partition, committed_at, position)
  order by position`;

/** Puts messages into the outbox in their order, within the transaction that has locked their sellers. */
export async function addMessages(db: Queryable, messages: readonly ExtraMessage[]): Promise<void> {
  if (messages.length === 0) return;
  await db.query(ADD, [
    messages.map(({ sellerId }) => bucketOf(sellerId)),
    messages.map(({ sellerId }) => sellerId),
    messages.map(({ version }) => version),
    messages.map(({ type }) => type),
    messages.map(({ value }) => value),
    messages.map(({ replaces }) => replaces),
    messages.map(({ partition }) => partition),
    messages.map(({ committedAt }) => committedAt),
  ]);
}
