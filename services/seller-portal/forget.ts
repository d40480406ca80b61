import type { Erasures } from '#contracts/api.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { SourceAnswer } from '../source-client/answer.ts';
import type { SourceApi } from '../source-client/source-api.ts';
import type { Forgetting } from './change-log.ts';

/** How soon an erasure reaches the record of changes, in ms. */
const EVERY_MS = 10_000;
/** Deadline of one call to the source, in ms. */
const DEADLINE_MS = 5_000;
/** How far back the first look goes, in ms: notes live for an hour, so no note is older. */
const AT_FIRST_MS = 65 * 60_000;
/** How much later looks overlap, in ms: clocks differ, and transactions may commit late. */
const OVERLAP_MS = 10 * 60_000;

/** How many confirmations the source takes at once. */
const CONFIRMED_AT_A_TIME = 500;
/** Confirmations that are remembered; a forgotten one is repeated, which changes nothing. */
const MOST_CONFIRMED = 10_000;

export interface ForgetDeps {
  readonly changes: Forgetting;
  readonly source: Pick<SourceApi, 'erasures' | 'confirmErasures'>;
  /** Called each time all is forgotten that has to be, with the time in milliseconds since 1970. */
  readonly forgotten: (at: number) => void;
  readonly log: Log;
  readonly clock?: Clock;
}

/**
 * Deletes from the record of changes what is older than an hour, and what the source of truth has erased, whether
 * anybody opens a page or not. Every replica does so: doing it twice changes nothing. Ends with the signal.
 */
export async function forgetChanges(
  { changes, source, forgotten, log, clock = SYSTEM_CLOCK }: ForgetDeps,
  signal: AbortSignal,
): Promise<void> {
  let since = clock.now() - AT_FIRST_MS;
  /** Looks overlap: an erasure in this set need not be confirmed again. */
  const confirmed = new Set<string>();
  let hasReported = false;
  let fails = false;
  const call = { deadlineMs: DEADLINE_MS, signal };
  while (!signal.aborted) {
    const began = clock.now();
    try {
      await changes.forgetOld();
      const deleted = await applyErasures(new Date(since).toISOString());
      if (deleted > 0) log.info({ changes: deleted }, 'forgot changes of erased sellers');
      since = began - OVERLAP_MS;
      forgotten(began);
      if (fails) log.info('changes of sellers are forgotten again');
      fails = false;
    } catch (err) {
      if (signal.aborted) return;
      if (!fails) log.warn({ err }, 'could not forget changes of sellers; tries again');
      fails = true;
    }
    await clock.pause(EVERY_MS, signal);
  }

  async function applyErasures(from: string): Promise<number> {
    let deleted = 0;
    for (let next: string | null = from; next !== null; ) {
      const page: Erasures = done(await source.erasures(next, call));
      deleted += await changes.erase(page.erasures);
      await confirm(page.erasures);
      next = page.next;
    }
    return deleted;
  }

  /** Confirms erasures for their receipts, once each. The first call also says that there is a record to wait for. */
  async function confirm(erasures: Erasures['erasures']): Promise<void> {
    const news: Erasures['erasures'] = [];
    for (const one of erasures) {
      if (!confirmed.has(nameOf(one)) && (await changes.isErased(one))) news.push(one);
    }
    for (let at = 0; at < news.length || !hasReported; at += CONFIRMED_AT_A_TIME) {
      const some = news.slice(at, at + CONFIRMED_AT_A_TIME);
      const told = some.map(({ sellerId, version }) => ({ sellerId, version }));
      done(await source.confirmErasures(told, call));
      hasReported = true;
      if (confirmed.size > MOST_CONFIRMED) confirmed.clear();
      for (const one of some) confirmed.add(nameOf(one));
    }
  }
}

/** With the time: until an erasure is confirmed, the source lists it again with another time. */
const nameOf = ({ sellerId, version, erasedAt }: Erasures['erasures'][number]): string =>
  `${sellerId}/${version}/${erasedAt}`;

function done<T>(answer: SourceAnswer<T>): T {
  if (answer.outcome === 'refused') throw new Error(`the source refused: ${answer.problem.detail}`);
  if (answer.outcome !== 'ok') throw answer.cause;
  return answer.value;
}
