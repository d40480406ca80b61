import type { LogEntry, Sellers } from './ports.ts';

export interface HistoryPage {
  readonly entries: readonly LogEntry[];
  /** What to pass as `after` for the next page; null when this is the last. */
  readonly next: number | null;
}

/** The entries of a seller's log after a version, oldest first, `limit` at most. */
export async function readHistory(
  sellers: Sellers,
  sellerId: number,
  after: number,
  limit: number,
): Promise<HistoryPage> {
  const found = await sellers.log(sellerId, after, limit + 1);
  const entries = found.slice(0, limit);
  return { entries, next: found.length > limit ? entries.at(-1)!.version : null };
}
