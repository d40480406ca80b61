import { randomUUID } from 'node:crypto';
import { CACHE_TTL_MS } from '#pages/list-cache.ts';
import type { EvictableCache } from '#pages/page.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { within } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import type { Queryable } from '#platform/postgres.ts';
import { type ListeningSession, QUEUE_LOOK, type QueueLook } from './queue-looks.ts';

const REPORT_EVERY_MS = 2_000;
const TRY_AGAIN_MS = 1_000;
const DEADLINE_MS = 2_000;
const AT_A_TIME = 1_000;

const SHOWN = "select schema_name as view from top_clients.shown where delivery = 'asynchronous'";
const LAST = `select view, (select coalesce(max(id), 0) from top_clients.erased) as through from (${SHOWN}) as shown`;
// One statement reports and reads whom to evict, so that neither happens without the other; both of the view in $3. Once
// another view is shown nothing is reported: its erasures are counted from one again.
const REPORT = {
  name: 'report-evicted',
  text: `with shown as (${SHOWN}), report as (
    insert into top_clients.page_server (id, forgot_through) select $1, $2 from shown where view = $3
    on conflict (id) do update set forgot_through = excluded.forgot_through, seen_at = clock_timestamp()),
  found as (select id, seller_id from top_clients.erased where id > $2 order by id limit ${AT_A_TIME})
  select view, id, seller_id, ${QUEUE_LOOK} from shown left join found on view = $3 order by id`,
};

/**
 * For a page that may not report: it caches nothing for longer than the TTL, on which whoever waits for reports relies.
 */
export async function evictExpired(
  cache: EvictableCache,
  signal: AbortSignal,
  clock: Clock = SYSTEM_CLOCK,
): Promise<void> {
  while (!signal.aborted) {
    cache.evictOlderThan(CACHE_TTL_MS);
    await clock.pause(CACHE_TTL_MS / 2, signal);
  }
}

interface Erased extends QueueLook {
  /** The view that is shown. */
  readonly view: string;
  readonly id: number | null;
  readonly seller_id: number;
}

/**
 * Evicts erased sellers from this process's cache, and reports it in the page's database (page-servers-forget.sql),
 * until the signal aborts. While it cannot report, it caches nothing for longer than the TTL; whoever waits for the
 * report relies on that (page-caches.ts). A late report counts as failed: erasures that this process missed may be gone
 * from the table.
 * @param listening the session that listens to change notifications: it reports, while there is one
 */
export async function evictErased(
  db: Queryable,
  cache: EvictableCache,
  signal: AbortSignal,
  log: Log,
  clock: Clock = SYSTEM_CLOCK,
  listening: () => ListeningSession | null = () => null,
): Promise<void> {
  const me = randomUUID();
  /** The last row of the view's `erased` that was carried out; null while that is not known. */
  let at: { readonly view: string; through: number } | null = null;
  let fails = false;
  while (!signal.aborted) {
    let found = 0;
    try {
      if (at === null) {
        const { rows } = await asked(db.query<{ view: string; through: number }>(LAST));
        if (rows.length === 0) throw new Error('the database of the page shows no view yet');
        // The cache was filled before this look, maybe with lists of erased sellers. Every later erasure is seen.
        cache.evictOlderThan(0);
        at = rows[0]!;
      }
      // After a failure another session is tried.
      const session = fails ? null : listening();
      const by: Pick<ListeningSession, 'query'> = session ?? db;
      const report = by.query<Erased>({ ...REPORT, values: [me, at.through, at.view] });
      const { rows }: { rows: Erased[] } = await asked(report);
      if (rows[0]) session?.looked(rows[0]);
      if (rows[0]?.view !== at.view) {
        at = null;
        continue;
      }
      const erased = rows.filter(({ id }) => id !== null);
      for (const { seller_id } of erased) cache.evictSeller(seller_id);
      found = erased.length;
      at.through = erased.at(-1)?.id ?? at.through;
      if (fails) log.info('reports again that erased sellers are evicted');
      fails = false;
    } catch (err) {
      if (signal.aborted) return;
      if (!fails) {
        log.warn({ err }, 'cannot report that erased sellers are evicted; caches no list for long meanwhile');
      }
      fails = true;
      at = null;
      cache.evictOlderThan(CACHE_TTL_MS);
    }
    if (found === 0) await clock.pause(fails ? TRY_AGAIN_MS : REPORT_EVERY_MS, signal);
  }

  function asked<T>(query: Promise<T>): Promise<T> {
    query.catch(() => {});
    return within(DEADLINE_MS, 'reporting to the database of the page', query, clock);
  }
}
