import type { Queryable } from '#platform/postgres.ts';

/** An erasure whose receipt waits for compaction. */
interface CompactingErasure {
  readonly id: string;
  readonly sellerId: number;
  readonly version: number;
}

/** The receipts, as the reader of the topic uses them. */
interface TopicErasures {
  /** Erasures whose tombstone was acknowledged at least so many ms ago; null while another process reads the topic. */
  due(afterMs: number): Promise<readonly CompactingErasure[] | null>;
  /** Reports to the receipts: null confirms, else why the topic still holds something. */
  report(reports: ReadonlyMap<string, string | null>): Promise<void>;
}

// Any constant will do. Whoever holds this lock reads the topic for all.
const LOCK = 7_461_002_923;

/** @param db a session of its own on the primary of the source; the lock is released when it ends */
export const postgresTopicErasures = (db: Queryable): TopicErasures => ({
  async due(afterMs) {
    const { rows: locks } = await db.query<{ locked: boolean }>('select pg_try_advisory_lock($1) as locked', [
      LOCK,
    ]);
    if (!locks[0]!.locked) return null;
    const { rows } = await db.query<{ id: string; seller_id: number; version: number }>(
      `select id, seller_id, version from erasure_store join erasure on id = erasure_id
      where store = 'topic' and confirmed_at is null and exists (
        select from erasure_store sent where sent.erasure_id = erasure.id and sent.store = 'outbox'
          and sent.confirmed_at <= now() - $1 * interval '1 ms')`,
      [afterMs],
    );
    return rows.map((row) => ({ id: row.id, sellerId: row.seller_id, version: row.version }));
  },
  async report(reports) {
    await db.query(
      `update erasure_store stored set open_because = told.open_because,
        confirmed_at = case when told.open_because is null then clock_timestamp() end
      from unnest($1::uuid[], $2::text[]) told (erasure_id, open_because)
      where stored.erasure_id = told.erasure_id and stored.store = 'topic' and stored.confirmed_at is null`,
      [[...reports.keys()], [...reports.values()]],
    );
  },
});
