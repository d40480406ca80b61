// By its path: the package's index loads all of the library at the start of every role.
import { ExponentialBackoff } from 'cockatiel/dist/backoff/ExponentialBackoff.js';

export interface BackoffSettings {
  /** The first wait, in ms. */
  readonly firstMs: number;
  /** The longest wait, in ms. */
  readonly longestMs: number;
  /** How many times longer each wait is than the one before; 2 when absent. */
  readonly factor?: number;
  /** From 0 to 1, for the jitter; null for none. `Math.random` when absent. */
  readonly random?: (() => number) | null;
}

/**
 * Back-off with jitter: how long to wait before the next attempt. Half of each wait is drawn at random; otherwise all
 * that failed together would come back together.
 */
export class Backoff {
  readonly #begin: () => ReturnType<ExponentialBackoff<number>['next']>;
  #current: ReturnType<ExponentialBackoff<number>['next']> | null = null;

  constructor({ firstMs, longestMs, factor = 2, random = Math.random }: BackoffSettings) {
    const backoff = new ExponentialBackoff<number>({
      initialDelay: firstMs,
      maxDelay: longestMs,
      exponent: factor,
      generator: (before, { initialDelay, maxDelay, exponent }) => {
        const wait = Math.min(maxDelay, before === undefined ? initialDelay : before * exponent);
        return [random === null ? wait : wait * (0.5 + random() / 2), wait];
      },
    });
    this.#begin = () => backoff.next();
  }

  /** After a failure, or when there was nothing to do. @returns how long to wait now, in ms */
  next(): number {
    this.#current = this.#current === null ? this.#begin() : this.#current.next(undefined);
    return this.#current.duration;
  }

  /** After a success, or when there was something to do: the next wait is the first again. */
  reset(): void {
    this.#current = null;
  }
}
