import type { PageDatabase } from '#pages/page.ts';
import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';

const LOOK_EVERY_MS = 5_000;
/** Until a view is shown. */
const FIRST_LOOKS_MS = 1_000;
const DEADLINE_MS = 2_000;

/**
 * Where it is read: `shown` has one for each delivery, for while a page changes over servers of both run. Readers of a page
 * of somebody else may read `status`, which has that of the page's delivery.
 */
export type ShownTable = 'shown' | 'status';

/** @returns the version of the view that the read surface shows of this delivery; null when it shows none */
async function shownVersion(
  db: PageDatabase,
  delivery: 'asynchronous' | 'hybrid',
  table: ShownTable,
): Promise<number | null> {
  const [row] = await db.query<{ view_version: number }>({
    name: 'shown-version',
    text: `select view_version from top_clients.${table} where delivery = $1`,
    values: [delivery],
  });
  return row?.view_version ?? null;
}

/**
 * Looks until the signal which version is shown. What cannot be read stays as it was told last.
 * @param shows told the version, null while the database shows none
 */
export async function followShownVersion(
  database: { until(deadline: number): PageDatabase },
  delivery: 'asynchronous' | 'hybrid',
  table: ShownTable,
  shows: (version: number | null) => void,
  signal: AbortSignal,
  log: Log,
): Promise<void> {
  let last: number | null = null;
  while (!signal.aborted) {
    try {
      const version = await shownVersion(database.until(performance.now() + DEADLINE_MS), delivery, table);
      shows(version);
      if (last !== null && last !== version) log.info({ version, before: last }, 'shows another view');
      last = version;
    } catch (err) {
      log.debug({ err }, 'could not look which view is shown');
    }
    await pause(last === null ? FIRST_LOOKS_MS : LOOK_EVERY_MS, signal);
  }
}
