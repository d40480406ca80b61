import { LRUCache } from 'lru-cache';
import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import type { Queryable } from '#platform/postgres.ts';

interface NotedChange {
  readonly seller_id: number;
  readonly version: number;
  readonly traceparent: string;
}

interface Awaited {
  readonly version: number;
  /** Null once a render has shown it. */
  traceparent: string | null;
}

/** Most sellers that are kept: the oldest are evicted. */
const MOST_SELLERS = 10_000;
const LOOK_EVERY_MS = 250;
/** How much further back than the last look each look goes: a change may be committed a little after it is noted. */
const OVERLAP_MS = 2_000;
const AT_ONCE = 1_000;

/** Links renders to the traces of the changes they show first: recorded changes that this process has not shown yet. */
export class TraceLinks {
  readonly #bySeller = new LRUCache<number, Awaited>({ max: MOST_SELLERS });

  /** True while nothing was ever noted: then nobody needs to look further. */
  get isEmpty(): boolean {
    return this.#bySeller.size === 0;
  }

  note({ seller_id: sellerId, version, traceparent }: NotedChange): void {
    // Looks overlap, so a change that was shown already comes again; its version tells.
    if ((this.#bySeller.peek(sellerId)?.version ?? 0) >= version) return;
    this.#bySeller.set(sellerId, { version, traceparent });
  }

  /** @returns the trace of the change that this version is the first to show; null when there is none */
  shownBy(sellerId: number, version: number): string | null {
    const awaited = this.#bySeller.peek(sellerId);
    if (awaited === undefined || version < awaited.version) return null;
    const { traceparent } = awaited;
    awaited.traceparent = null;
    return traceparent;
  }
}

/** Looks for noted changes until the signal. A failure only costs a link, and the next look tries again. */
export async function followTraceLinks(
  db: Queryable,
  changes: TraceLinks,
  signal: AbortSignal,
  log: Log,
): Promise<void> {
  let lookedAt = performance.now();
  while (!signal.aborted) {
    const began = performance.now();
    try {
      const { rows } = await db.query<NotedChange>({
        name: 'trace-links',
        text: `select seller_id, version, traceparent from top_clients.trace
          where noted_at > now() - $1 * interval '1 ms' order by noted_at limit $2`,
        values: [Math.ceil(began - lookedAt) + OVERLAP_MS, AT_ONCE],
      });
      for (const row of rows) changes.note(row);
      lookedAt = began;
    } catch (err) {
      log.debug({ err }, 'could not look for changes to link');
    }
    await pause(LOOK_EVERY_MS, signal);
  }
}
