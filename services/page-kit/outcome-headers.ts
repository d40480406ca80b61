import { HEADERS, type Outcome } from '#contracts/delivery.ts';
import { ageOf, type ShownList } from '#pages/page.ts';

/**
 * Adds what an answer says of the lists in it.
 * @param headers names and values in turn, as `writeHead` takes them
 * @param one the list of a page that shows one seller: its version, and its age in ms, are told too
 * @param now milliseconds since the epoch
 */
export function addOutcomeHeaders(
  headers: Array<string | number>,
  outcome: Outcome,
  one: ShownList | null,
  now: number,
): void {
  headers.push(HEADERS.outcome, outcome);
  if (!one?.list) return;
  headers.push(HEADERS.version, one.list.version);
  const age = ageOf(one, now);
  if (age !== null) headers.push(HEADERS.age, age);
}

/** Shared caches must not hide a change, nor keep a page that lacks its data. */
export const cacheControl = (outcome: Outcome | null): string =>
  outcome === 'full' || outcome === null ? 'no-cache' : 'no-store';
