import type { ErasureStore } from '#contracts/erasures.ts';
import type { Queryable } from '#platform/postgres.ts';

/** The stores that a watcher reports for, for each version of a view. */
export const STORES_OF_VIEW = ['view', 'parked-messages', 'page-cache'] as const satisfies ErasureStore[];
export type StoreOfView = (typeof STORES_OF_VIEW)[number];

/** An erasure whose receipt waits for a view. */
export interface OpenErasure {
  readonly id: string;
  readonly sellerId: number;
  readonly version: number;
  /** The view's stores that have not confirmed yet. */
  readonly stores: ReadonlySet<StoreOfView>;
  /** Whether the topic has the tombstone and everything sent of the seller before it. */
  readonly isSent: boolean;
}

export interface StoreReport {
  readonly id: string;
  readonly store: StoreOfView;
  /** Null confirms the erasure. */
  readonly openBecause: string | null;
}

/** The receipts at the source, as the watcher of a page's database uses them. */
export interface ErasureBook {
  /** Registers a view: receipts wait for it, also open ones whose bytes may still be on the topic. */
  register(place: string): Promise<void>;
  /** The places of a page's views that receipts wait for, and those that are registered. */
  places(page: string): Promise<readonly string[]>;
  /** The oldest erasures after this one (its id; null: from the oldest on), `limit` at most. */
  open(place: string, after: string | null, limit: number): Promise<readonly OpenErasure[]>;
  report(place: string, reports: readonly StoreReport[]): Promise<void>;
  /** Reports that the view no longer exists, and so holds nothing. */
  gone(place: string): Promise<void>;
}

/** @param db a session on the primary of the source */
export const postgresErasureBook = (db: Queryable): ErasureBook => ({
  async register(place) {
    await db.query({
      name: 'register-reporter',
      text: `with known as (
          insert into erasure_reporter (store, place) select store, $1 from unnest($2::text[]) store
          on conflict do nothing)
        insert into erasure_store (erasure_id, store, place)
        select topic.erasure_id, mine.store, $1 from erasure_store topic, unnest($2::text[]) mine (store)
        where topic.store = 'topic' and topic.confirmed_at is null and not exists (
          select from erasure_store known
          where known.erasure_id = topic.erasure_id and known.store = mine.store and known.place = $1)
        on conflict do nothing`,
      values: [place, STORES_OF_VIEW],
    });
  },

  async places(page) {
    const { rows } = await db.query<{ place: string }>({
      name: 'reporters',
      text: `select place from erasure_reporter where store = 'view' and split_part(place, ' ', 1) = $1
        union
        select place from erasure_store
        where store = 'view' and confirmed_at is null and split_part(place, ' ', 1) = $1`,
      values: [page],
    });
    return rows.map(({ place }) => place);
  },

  async open(place, after, limit) {
    const { rows } = await db.query<{
      id: string;
      seller_id: number;
      version: number;
      stores: StoreOfView[];
      is_sent: boolean;
    }>({
      name: 'open-erasures',
      text: `select id, seller_id, version, stores,
          exists (select from erasure_store where erasure_id = id and store = 'outbox' and confirmed_at is not null)
            as is_sent
        from (
          select erasure_id, array_agg(store) as stores from erasure_store
          where store = any ($2::text[]) and place = $1 and confirmed_at is null group by erasure_id) mine
        join erasure on id = erasure_id
        where $4::uuid is null or (requested_at, id) > (select requested_at, id from erasure where id = $4)
        order by requested_at, id limit $3`,
      values: [place, STORES_OF_VIEW, limit, after],
    });
    return rows.map((row) => ({
      id: row.id,
      sellerId: row.seller_id,
      version: row.version,
      stores: new Set(row.stores),
      isSent: row.is_sent,
    }));
  },

  async report(place, reports) {
    if (reports.length === 0) return;
    await db.query({
      name: 'report-erasures',
      text: `update erasure_store stored set open_because = told.open_because,
          confirmed_at = case when told.open_because is null then clock_timestamp() end
        from unnest($2::uuid[], $3::text[], $4::text[]) told (erasure_id, store, open_because)
        where stored.erasure_id = told.erasure_id and stored.store = told.store and stored.place = $1
          and stored.confirmed_at is null
          and (told.open_because is null or stored.open_because is distinct from told.open_because)`,
      values: [
        place,
        reports.map(({ id }) => id),
        reports.map(({ store }) => store),
        reports.map(({ openBecause }) => openBecause),
      ],
    });
  },

  async gone(place) {
    // Two statements: the second sees erasures that were committed while the first waited for them.
    await db.query({
      name: 'forget-reporter',
      text: 'delete from erasure_reporter where place = $1 and store = any ($2::text[])',
      values: [place, STORES_OF_VIEW],
    });
    await db.query({
      name: 'confirm-gone',
      text: `update erasure_store set confirmed_at = clock_timestamp(), open_because = null
        where place = $1 and store = any ($2::text[]) and confirmed_at is null`,
      values: [place, STORES_OF_VIEW],
    });
  },
});
