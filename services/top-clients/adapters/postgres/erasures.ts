import { bucketOf } from '#contracts/bucket.ts';
import type { ErasureReceipt, ErasureStore } from '#contracts/erasures.ts';
import { isUnavailable, type Pool, type PoolClient, type Queryable } from '#platform/postgres.ts';
import { type Erasures, Unavailable, type WriteRequest } from '../../app/ports.ts';
import { BUSY } from './busy.ts';

// One statement, so that a receipt never misses a store. The tombstone of an erasure that was committed before receipts
// existed is sent once more: the stores report when it passes through them. A seller without any change was never sent,
// so only the views are asked.
const OPEN_RECEIPT = {
  name: 'open-receipt',
  text: `with receipt as (
      insert into erasure (seller_id, version, requested_at) values ($1, $2, $3)
      on conflict (seller_id, version) do nothing returning id
    ), tombstone as (
      insert into outbox (bucket, seller_id, version, type, value, committed_at, traceparent)
      -- With the time of the erasure, which the row of a view has that is made of it alone.
      select $5, $1, $2, 'seller-erased', null, updated_at, $6 from receipt, seller
      where not $4 and $2 > 0 and seller.seller_id = $1
    ), own as (
      insert into erasure_store (erasure_id, store, since, confirmed_at)
      select id, store, $3, case when $2 = 0 or store = any ('{state,idempotency-keys}') then $3 end
      from receipt, unnest('{state,log,idempotency-keys,outbox,topic}'::text[]) store
    )
    insert into erasure_store (erasure_id, store, place, since)
    select id, store, place, $3 from receipt, erasure_reporter
    -- Who says that a view is gone waits for this erasure, and confirms it with the others.
    for key share of erasure_reporter`,
};

/**
 * Opens the receipt of an erasure within its transaction; an existing receipt stays.
 * @param isCommitted whether this transaction commits the erasure; false: an earlier one did
 */
export const openReceipt = (
  tx: PoolClient,
  { sellerId, traceparent }: WriteRequest,
  version: number,
  isCommitted: boolean,
  now: string,
): Promise<unknown> =>
  tx.query({
    ...OPEN_RECEIPT,
    values: [sellerId, version, now, isCommitted, bucketOf(sellerId), traceparent],
  });

// One statement empties entries and stores the progress, so after a crash the work resumes there. Several processes may
// work, each at another log. The log with the least progress is first: a short log does not wait for a long one.
const EMPTY_BATCH = {
  name: 'empty-batch',
  text: `with next as (
      select erasure.id, seller_id, version, emptied_through as after,
        least(emptied_through + $1, version - 1) as through
      from erasure join erasure_store on erasure_id = erasure.id
      where store = 'log' and confirmed_at is null
      order by emptied_through limit 1 for update of erasure skip locked
    ), emptied as (
      update seller_event set change = null from next
      where seller_event.seller_id = next.seller_id and seller_event.version > next.after
        and seller_event.version <= next.through and change is not null
    ), moved as (
      update erasure set emptied_through = next.through from next where erasure.id = next.id
    ), told as (
      update erasure_store set
        confirmed_at = case when next.through = next.version - 1 then clock_timestamp() end,
        open_because = case when next.through < next.version - 1
          then format('emptied up to version %s of %s', next.through, next.version - 1) end
      from next where erasure_id = next.id and store = 'log' and confirmed_at is null
    )
    select seller_id, version, through from next`,
};

const FIND_ID = {
  name: 'find-receipt-id',
  text: 'select id from erasure where seller_id = $1 and version = $2',
};

const READ_RECEIPT = {
  name: 'read-receipt',
  text: `select seller_id, version, requested_at, store, place, confirmed_at, open_because, bytes_until
    from erasure join erasure_store on erasure_id = id where id = $1
    order by array_position($2::text[], store), place`,
};

// The topic confirms last, days later. It is counted separately: the promise of minutes is about the other stores.
const COUNT_OPEN = {
  name: 'count-open-receipts',
  text: `select store = 'topic' as is_topic, count(distinct erasure_id) as receipts,
      extract(epoch from min(case when store = 'topic' then bytes_until else since end))::float8 as oldest
    from erasure_store where confirmed_at is null group by 1`,
};

// Self-view's report is stored also on receipts that did not wait for it: it may register only after some erasures.
const CONFIRM_CHANGES = {
  name: 'confirm-changes',
  text: `with known as (
      insert into erasure_reporter (store, place) values ('changes', '') on conflict do nothing
    )
    insert into erasure_store as stored (erasure_id, store, confirmed_at)
    select id, 'changes', clock_timestamp() from erasure
      join unnest($1::bigint[], $2::bigint[]) erased (seller_id, version) using (seller_id, version)
    on conflict (erasure_id, store, place) do update set confirmed_at = excluded.confirmed_at, open_because = null
      where stored.confirmed_at is null`,
};

interface ErasureRow {
  seller_id: number;
  version: number;
  committed_at: Date;
}

const READ_ERASURES = {
  name: 'read-erasures',
  // An erasure that waits for self-view is listed until self-view confirms it, however old it is: self-view may have
  // been down, and a receipt may be opened long after the erasure, or for a seller without a log.
  text: `select seller_id, version, committed_at from seller_event
    where type = 'seller-erased' and committed_at >= $1
    union
    select seller_id, version, greatest(requested_at, $1) from erasure_store join erasure on id = erasure_id
    where store = 'changes' and confirmed_at is null
    order by committed_at fetch first ($2::bigint) rows with ties`,
};

interface ReceiptRow {
  seller_id: number;
  version: number;
  requested_at: Date;
  store: ErasureStore;
  place: string;
  confirmed_at: Date | null;
  open_because: string | null;
  bytes_until: Date | null;
}

const iso = (at: Date | null): string | null => at?.toISOString() ?? null;

function receiptOf(id: string, rows: readonly ReceiptRow[]): ErasureReceipt {
  const [{ seller_id, version, requested_at }] = rows as [ReceiptRow];
  const complete = rows.every(({ confirmed_at }) => confirmed_at !== null);
  const last = Math.max(...rows.map(({ confirmed_at }) => confirmed_at?.getTime() ?? 0));
  return {
    id,
    sellerId: seller_id,
    version,
    requestedAt: requested_at.toISOString(),
    complete,
    completedAt: complete ? new Date(last).toISOString() : null,
    stores: rows.map(({ store, place, confirmed_at, open_because, bytes_until }) => ({
      store,
      place: place === '' ? null : place,
      confirmedAt: iso(confirmed_at),
      openBecause: confirmed_at === null ? (open_because ?? WAITING[store]) : null,
      bytesUntil: iso(bytes_until),
    })),
  };
}

/** What a receipt says of a store that has not reported yet. */
const WAITING: Readonly<Record<ErasureStore, string>> = {
  state: 'the transaction of the erasure has not reported',
  log: 'its turn has not come yet',
  'idempotency-keys': 'the transaction of the erasure has not reported',
  outbox: 'the relay has not had the tombstone acknowledged by Kafka and deleted it',
  topic: 'the relay has not had the tombstone acknowledged by Kafka',
  view: 'the watcher of the page has not looked yet',
  'parked-messages': 'the watcher of the page has not looked yet',
  'page-cache': 'the page servers have not reported yet',
  changes: 'self-view has not reported yet',
};

/** The receipts in PostgreSQL, and the logs that erasures still have to empty. */
export function postgresErasures(pool: Pool): Erasures {
  const ask = async <T>(query: (db: Queryable) => Promise<T>): Promise<T> => {
    try {
      return await query(pool);
    } catch (err) {
      if (!isUnavailable(err) && !BUSY.has((err as { code?: string }).code ?? '')) throw err;
      throw new Unavailable(`PostgreSQL: ${(err as Error).message}`, { cause: err });
    }
  };
  return {
    idOf: (sellerId, version) =>
      ask(async (db) => {
        const { rows } = await db.query<{ id: string }>({ ...FIND_ID, values: [sellerId, version] });
        return rows[0]?.id ?? null;
      }),

    receipt: (id) =>
      ask(async (db) => {
        const { rows } = await db.query<ReceiptRow>({ ...READ_RECEIPT, values: [id, Object.keys(WAITING)] });
        return rows.length === 0 ? null : receiptOf(id, rows);
      }),

    committed: (since, limit) =>
      ask(async (db) => {
        const { rows } = await db.query<ErasureRow>({ ...READ_ERASURES, values: [since, limit] });
        return rows.map(({ seller_id, version, committed_at }) => ({
          sellerId: seller_id,
          version,
          erasedAt: committed_at.toISOString(),
        }));
      }),

    emptyNextBatch: (entries) =>
      ask(async (db) => {
        const { rows } = await db.query<{ seller_id: number; version: number; through: number }>({
          ...EMPTY_BATCH,
          values: [entries],
        });
        const [row] = rows;
        return row
          ? { sellerId: row.seller_id, version: row.version, isEmptied: row.through === row.version - 1 }
          : null;
      }),

    confirmChanges: (erasures) =>
      ask(async (db) => {
        await db.query({
          ...CONFIRM_CHANGES,
          values: [erasures.map(({ sellerId }) => sellerId), erasures.map(({ version }) => version)],
        });
      }),

    open: () =>
      ask(async (db) => {
        const { rows } = await db.query<{ is_topic: boolean; receipts: number; oldest: number | null }>(
          COUNT_OPEN,
        );
        const of = (isTopic: boolean) => rows.find(({ is_topic }) => is_topic === isTopic);
        const [stores, topic] = [of(false), of(true)];
        return {
          receipts: stores?.receipts ?? 0,
          oldestSince: stores?.oldest ?? null,
          topics: topic?.receipts ?? 0,
          topicDue: topic?.oldest ?? null,
        };
      }),
  };
}
