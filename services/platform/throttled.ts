import { type Clock, SYSTEM_CLOCK } from './clock.ts';

export interface Throttle {
  /** Items in a second, at most. */
  readonly perSecond: number;
  /** Backpressure: while this is true no portion is begun. */
  readonly isFull: () => Promise<boolean>;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock | undefined;
}

export interface Portion {
  /** How many items it had. */
  readonly items: number;
  readonly isLast: boolean;
}

const LOOK_EVERY_MS = 20;

/**
 * Does work in portions, one after the other, at a limited rate and while there is room for its results.
 * @throws the reason of the signal; what `isFull` or a portion throws
 */
export async function throttled(
  { perSecond, isFull, signal, clock = SYSTEM_CLOCK }: Throttle,
  nextPortion: () => Promise<Portion>,
): Promise<void> {
  for (;;) {
    signal?.throwIfAborted();
    const since = clock.monotonic();
    if (await isFull()) {
      await clock.pause(LOOK_EVERY_MS, signal);
      continue;
    }
    const { items, isLast } = await nextPortion();
    if (isLast) return;
    const rest = (items * 1_000) / perSecond - (clock.monotonic() - since);
    if (rest > 0) await clock.pause(rest, signal);
  }
}
