import type { Clock } from '#platform/clock.ts';

/** Pauses that end early when they are cut short, or when the signal aborts. */
export class Rest {
  readonly signal: AbortSignal;
  readonly #clock: Clock;
  #cut = new AbortController();

  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock;
    this.signal = signal;
    signal.addEventListener('abort', () => this.cutShort(), { once: true });
  }

  async of(ms: number): Promise<void> {
    await this.#clock.pause(ms, this.#cut.signal);
    if (this.#cut.signal.aborted) this.#cut = new AbortController();
  }

  /** Ends the pause that is under way, or the next one when there is none. */
  cutShort(): void {
    this.#cut.abort();
  }
}

/** What one look showed. */
export interface Balance {
  /** Every member has its share. */
  readonly isBalanced: boolean;
  /** There is no other member. */
  readonly isAlone: boolean;
  /** How many partitions this member is to have and does not have. */
  readonly lacks: number;
}

/**
 * A partition that moves stands still from the moment its owner has given it up until another has noticed. Whoever
 * waits for one looks often, but not for good: an owner that hangs keeps its partitions until its session ends.
 */
const EVERY_MS = { alone: 1_000, balanced: 500, unbalanced: 200, awaiting: 20 };
const AWAITING_AT_MOST_MS = 3_000;

/** How soon a member looks again whether everybody has a fair share. */
export class BalancePace {
  readonly #clock: Clock;
  readonly #mostMs: number;
  #usual: keyof typeof EVERY_MS = 'unbalanced';
  #awaitingSince: number | null = null;

  /** @param sessionTimeoutMs the database must see often enough that the session lives */
  constructor(clock: Clock, sessionTimeoutMs: number) {
    this.#clock = clock;
    this.#mostMs = sessionTimeoutMs / 4;
  }

  saw({ isBalanced, isAlone, lacks }: Balance): void {
    // Nobody is there whose partitions could be left behind, and who comes waits for nothing: all are kept up.
    this.#usual = !isBalanced ? 'unbalanced' : isAlone ? 'alone' : 'balanced';
    if (lacks === 0) this.#awaitingSince = null;
    else this.#awaitingSince ??= this.#clock.monotonic();
  }

  nextMs(): number {
    const since = this.#awaitingSince;
    if (since !== null && this.#clock.monotonic() - since < AWAITING_AT_MOST_MS) return EVERY_MS.awaiting;
    return Math.min(this.#mostMs, EVERY_MS[this.#usual]);
  }
}
