import { type Erasures, Unavailable } from './ports.ts';

/** Entries emptied by one statement; it takes some 10 ms. */
const ENTRIES_AT_MOST = 1_000;

export interface EmptyingObserver {
  /** The log of an erased seller is empty. */
  emptied(sellerId: number, version: number): void;
}

/**
 * Empties the logs of erased sellers, batch by batch, until nothing is left. A batch that takes too long for the store
 * is retried at half its size.
 * @param rest waits between two batches, given how long the last one took in ms: sellers' writes come first
 * @throws Unavailable when not even one entry can be emptied; the next call resumes there
 */
export async function emptyLogs(
  erasures: Erasures,
  observer: EmptyingObserver,
  rest: (tookMs: number) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  let entries = ENTRIES_AT_MOST;
  while (!signal.aborted) {
    const startedAt = performance.now();
    try {
      const batch = await erasures.emptyNextBatch(entries);
      if (batch === null) return;
      if (batch.isEmptied) observer.emptied(batch.sellerId, batch.version);
      entries = Math.min(ENTRIES_AT_MOST, entries * 2);
    } catch (err) {
      if (!(err instanceof Unavailable) || entries === 1) throw err;
      entries = Math.max(1, Math.floor(entries / 2));
    }
    await rest(performance.now() - startedAt);
  }
}
