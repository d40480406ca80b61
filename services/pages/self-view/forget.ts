import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { Forgetting } from './change-log.ts';
import type { SourceOfTruth } from './source-of-truth.ts';

/** So soon an erasure reaches the record of changes. In ms. */
const EVERY_MS = 10_000;
/** Of one question to the source. In ms. */
const DEADLINE_MS = 5_000;
/** The first time everything is asked for that a note may be older than; notes live for an hour. In ms. */
const AT_FIRST_MS = 65 * 60_000;
/** Later looks overlap by so much: for clocks that differ, and transactions that commit late. In ms. */
const OVERLAP_MS = 10 * 60_000;

export interface ForgetDeps {
  readonly changes: Forgetting;
  readonly source: Pick<SourceOfTruth, 'erasures'>;
  /** Told each time everything is forgotten that has to be, as milliseconds since 1970. */
  readonly forgotten: (at: number) => void;
  readonly log: Log;
  readonly clock?: Clock;
}

/**
 * Keeps the record of changes empty of what is older than an hour, and of what the source of truth has erased, whether
 * anybody opens a page or not. Every replica does so: it changes nothing to do it twice. Ends with the signal.
 */
export async function forgetChanges(
  { changes, source, forgotten, log, clock = SYSTEM_CLOCK }: ForgetDeps,
  signal: AbortSignal,
): Promise<void> {
  let since = clock.now() - AT_FIRST_MS;
  let fails = false;
  while (!signal.aborted) {
    const began = clock.now();
    try {
      await changes.forgetOld();
      const deleted = await carryOut(new Date(since).toISOString());
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

  async function carryOut(from: string): Promise<number> {
    let deleted = 0;
    for (let next: string | null = from; next !== null; ) {
      const answer = await source.erasures(next, AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)]));
      if (answer.outcome === 'refused') throw new Error(`the source refused: ${answer.problem.detail}`);
      if (answer.outcome !== 'done') throw answer.cause;
      deleted += await changes.erase(answer.value.erasures);
      next = answer.value.next;
    }
    return deleted;
  }
}
