import { CANARY_SELLER } from '#contracts/canary.ts';
import { Backoff } from '#platform/backoff.ts';
import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import type { Queryable } from '#platform/postgres.ts';

export interface CanarySighting {
  readonly version: number;
  /** When the source committed it, in ms since the epoch. */
  readonly committedAt: number;
}

export interface CanaryView {
  /** The canary's row; null when there is none yet. */
  look(): Promise<CanarySighting | null>;
  close(): Promise<void>;
}

export interface CanaryObserver {
  /** Called when a look finds a version that the look before did not. @param delayMs since its commit */
  arrived(delayMs: number): void;
  /** Called with the commit time of the newest change found, in ms since the epoch. */
  seen(committedAt: number): void;
}

const BACKOFF = { firstMs: 500, longestMs: 10_000 };

/**
 * Looks for the synthetic seller's newest change in a view, again and again until the signal aborts, and times each
 * version once. A version found at the first look after a start or a failure is not timed: nobody knows when it
 * arrived.
 */
export async function watchCanary(
  open: () => Promise<CanaryView>,
  everyMs: number,
  observer: CanaryObserver,
  log: Log,
  signal: AbortSignal,
  now: () => number = Date.now,
): Promise<void> {
  let view: CanaryView | null = null;
  let newest = 0;
  let unbroken = false;
  const backoff = new Backoff(BACKOFF);
  let fails = false;
  while (!signal.aborted) {
    try {
      view ??= await open();
      const sighting = await view.look();
      if (sighting && sighting.version > newest) {
        if (unbroken) observer.arrived(Math.max(0, now() - sighting.committedAt));
        newest = sighting.version;
        observer.seen(sighting.committedAt);
      }
      unbroken = true;
      fails = false;
      backoff.reset();
    } catch (err) {
      if (signal.aborted) break;
      if (!fails) log.warn({ err }, 'cannot look for the canary in the view; tries again');
      fails = true;
      unbroken = false;
      void view?.close().catch(() => {});
      view = null;
    }
    await pause(fails ? backoff.next() : everyMs, signal);
  }
  await view?.close().catch(() => {});
}

/** @param db the view's schema first in its search path */
export const lookForCanary = async (db: Queryable): Promise<CanarySighting | null> => {
  const { rows } = await db.query<{ version: number; committed_at: Date }>({
    name: 'look-for-canary',
    text: 'select version, committed_at from top_clients where seller_id = $1',
    values: [CANARY_SELLER],
  });
  const [row] = rows;
  return row ? { version: row.version, committedAt: row.committed_at.getTime() } : null;
};
