import type { Clock } from './clock.ts';

/** Each ring wakes all who wait; those who come later wait for the next ring. */
export class Bell {
  #next = Promise.withResolvers<void>();

  ring(): void {
    const rung = this.#next;
    this.#next = Promise.withResolvers();
    rung.resolve();
  }

  next(): Promise<void> {
    return this.#next.promise;
  }
}

/** Resolves with the ring, after `ms`, or when the signal aborts. @param ring what `Bell.next` gave */
export async function untilRung(
  ring: Promise<void>,
  ms: number,
  signal: AbortSignal,
  clock: Clock,
): Promise<void> {
  const rested = new AbortController();
  await Promise.race([ring, clock.pause(ms, AbortSignal.any([signal, rested.signal]))]);
  rested.abort();
}
