import { randomUUID } from 'node:crypto';
import { CACHE_TTL_MS } from '#pages/list-cache.ts';
import type { EvictableCache } from '#pages/page.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { within } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import type { Queryable } from '#platform/postgres.ts';

const REPORT_EVERY_MS = 2_000;
const TRY_AGAIN_MS = 1_000;
const DEADLINE_MS = 2_000;
const AT_A_TIME = 1_000;

const LAST = 'select coalesce(max(id), 0) as last from erased';
// One statement reports and reads whom to evict, so that neither happens without the other.
const REPORT = `with report as (
    insert into page_server (id, forgot_through) values ($1, $2)
    on conflict (id) do update set forgot_through = excluded.forgot_through, seen_at = clock_timestamp())
  select id, seller_id from erased where id > $2 order by id limit ${AT_A_TIME}`;

interface Erased {
  readonly id: number;
  readonly seller_id: number;
}

/**
 * Evicts erased sellers from this process's cache, and reports it in the page's database (page-servers-forget.sql),
 * until the signal aborts. While it cannot report, it caches nothing for longer than the TTL; whoever waits for the
 * report relies on that (page-caches.ts). A late report counts as failed: erasures that this process missed may be gone
 * from the table.
 * @param db whose search path begins with the view's schema
 */
export async function evictErased(
  db: Queryable,
  cache: EvictableCache,
  signal: AbortSignal,
  log: Log,
  clock: Clock = SYSTEM_CLOCK,
): Promise<void> {
  const me = randomUUID();
  /** The last row of `erased` that was carried out; null while that is not known. */
  let through: number | null = null;
  let fails = false;
  while (!signal.aborted) {
    let found = 0;
    try {
      if (through === null) {
        const { rows } = await asked(db.query<{ last: number }>(LAST));
        // The cache was filled before this look, maybe with lists of erased sellers. Every later erasure is seen.
        cache.evictOlderThan(0);
        through = rows[0]!.last;
      }
      const { rows }: { rows: Erased[] } = await asked(db.query<Erased>(REPORT, [me, through]));
      for (const { seller_id } of rows) cache.evictSeller(seller_id);
      found = rows.length;
      through = rows.at(-1)?.id ?? through;
      if (fails) log.info('reports again that erased sellers are evicted');
      fails = false;
    } catch (err) {
      if (signal.aborted) return;
      if (!fails) {
        log.warn({ err }, 'cannot report that erased sellers are evicted; caches no list for long meanwhile');
      }
      fails = true;
      through = null;
      cache.evictOlderThan(CACHE_TTL_MS);
    }
    if (found === 0) await clock.pause(fails ? TRY_AGAIN_MS : REPORT_EVERY_MS, signal);
  }

  function asked<T>(query: Promise<T>): Promise<T> {
    query.catch(() => {});
    return within(DEADLINE_MS, 'reporting to the database of the page', query, clock);
  }
}
