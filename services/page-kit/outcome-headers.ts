import { HEADERS, type Outcome } from '#contracts/delivery.ts';

/**
 * Adds what an answer says of the lists in it.
 * @param headers names and values in turn, as `writeHead` takes them
 * @param version of the list of a page that shows one seller, and its age in ms; null where there is none to tell
 */
export function addOutcomeHeaders(
  headers: Array<string | number>,
  outcome: Outcome,
  version: number | null,
  ageMs: number | null,
): void {
  headers.push(HEADERS.outcome, outcome);
  if (version !== null) headers.push(HEADERS.version, version);
  if (ageMs !== null) headers.push(HEADERS.age, ageMs);
}

/** Shared caches must not hide a change, nor keep a page that lacks its data. */
export const cacheControl = (outcome: Outcome | null): string =>
  outcome === 'full' || outcome === null ? 'no-cache' : 'no-store';
