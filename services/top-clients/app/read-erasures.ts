import type { Erasures, LoggedErasure } from './ports.ts';

export interface ErasuresPage {
  readonly erasures: readonly LoggedErasure[];
  /** What to pass as `since` for the next page; null when this is the last. */
  readonly next: string | null;
}

/** Erasures committed at an instant or later, oldest first; beyond `limit` also those in the last one's millisecond. */
export async function readErasures(store: Erasures, since: string, limit: number): Promise<ErasuresPage> {
  const erasures = await store.committed(since, limit);
  const last = erasures.length < limit ? undefined : erasures.at(-1);
  // Instants are whole milliseconds, so the next page begins one millisecond later.
  return { erasures, next: last ? new Date(Date.parse(last.erasedAt) + 1).toISOString() : null };
}
