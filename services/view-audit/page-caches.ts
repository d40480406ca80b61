import { CACHE_TTL_MS } from '#pages/list-cache.ts';
import { isUnavailable, type Queryable } from '#platform/postgres.ts';
import type { OpenErasure } from '../top-clients/adapters/postgres/erasure-book.ts';

/** The caches of the page servers that show a view. */
export interface PageCaches {
  /**
   * Asks the page servers to evict these sellers, whose rows no longer hold anything, and returns what they reported.
   * @returns why an entry may still be cached, by the erasure's id; no entry for an erasure that is evicted everywhere
   */
  cachedBecause(erasures: readonly OpenErasure[]): Promise<ReadonlyMap<string, string>>;
}

/**
 * In ms. A page server that has not reported for so long is gone, or its TTL has evicted everything it did not ask for
 * again. A server that never reported is safe after the same time since the row was found empty.
 */
export const GONE_AFTER_MS = 2 * CACHE_TTL_MS;
const TABLES_ARE_MISSING = '42P01';

/** @param db a session with the view's schema in its search path */
export const postgresPageCaches = (db: Queryable): PageCaches => ({
  async cachedBecause(erasures) {
    if (erasures.length === 0) return new Map();
    const ids = erasures.map(({ id }) => id);
    try {
      await db.query({
        name: 'ask-to-forget',
        text: `with asked as (
            insert into erased (erasure_id, seller_id) select * from unnest($1::uuid[], $2::bigint[])
            on conflict (erasure_id) do nothing),
          old as (delete from erased where at < now() - interval '1 day' and erasure_id <> all ($1::uuid[]))
          delete from page_server where seen_at < now() - interval '1 hour'`,
        values: [ids, erasures.map(({ sellerId }) => sellerId)],
      });
      const { rows } = await db.query<{ erasure_id: string; servers: number; is_young: boolean }>({
        name: 'remembered-by',
        text: `select erasure_id, at > clock_timestamp() - $2 * interval '1 ms' as is_young,
            (select count(*) from page_server
              where seen_at > clock_timestamp() - $2 * interval '1 ms' and forgot_through < erased.id) as servers
          from erased where erasure_id = any ($1::uuid[])`,
        values: [ids, GONE_AFTER_MS],
      });
      return new Map(
        rows.flatMap(({ erasure_id, servers, is_young }) => {
          if (servers > 0) return [[erasure_id, `${servers} page servers have not said that they forgot`]];
          return is_young
            ? [[erasure_id, `who does not report is waited for, ${GONE_AFTER_MS / 1_000} s`]]
            : [];
        }),
      );
    } catch (err) {
      if (isUnavailable(err) || (err as { code?: string }).code !== TABLES_ARE_MISSING) throw err;
      const why = 'the view has no tables by which page servers report; run migrate for it';
      return new Map(ids.map((id) => [id, why]));
    }
  },
});
