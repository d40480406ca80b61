import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import type { Queryable } from '#platform/postgres.ts';

const LOOK_EVERY_MS = 5_000;

/** @returns the version of the view that the read surface shows of this delivery; null when it shows none */
export async function shownVersion(
  db: Queryable,
  delivery: 'asynchronous' | 'hybrid',
): Promise<number | null> {
  const { rows } = await db.query<{ view_version: number }>({
    name: 'shown-version',
    text: 'select view_version from top_clients.shown where delivery = $1',
    values: [delivery],
  });
  return rows[0]?.view_version ?? null;
}

/** Looks until the signal which version is shown. What cannot be read stays as it was told last. */
export async function followShownVersion(
  db: Queryable,
  delivery: 'asynchronous' | 'hybrid',
  shows: (version: number) => void,
  signal: AbortSignal,
  log: Log,
): Promise<void> {
  let last: number | null = null;
  while (!signal.aborted) {
    try {
      const version = (await shownVersion(db, delivery)) ?? 0;
      shows(version);
      if (last !== null && last !== version) log.info({ version, before: last }, 'shows another view');
      last = version;
    } catch (err) {
      log.debug({ err }, 'could not look which view is shown');
    }
    await pause(LOOK_EVERY_MS, signal);
  }
}
