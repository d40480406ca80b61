/** How long to wait, in ms, before looking again: short while rows come, longer the longer none came. */
export class Backoff {
  readonly #shortest: number;
  readonly #longest: number;
  readonly #growth: number;
  #next: number;

  constructor(shortest: number, longest: number, growth: number) {
    this.#shortest = shortest;
    this.#longest = longest;
    this.#growth = growth;
    this.#next = shortest;
  }

  /** There was something to do. */
  reset(): void {
    this.#next = this.#shortest;
  }

  /** There was nothing to do, or it failed. @returns how long to wait now */
  next(): number {
    const now = this.#next;
    this.#next = Math.min(this.#longest, now * this.#growth);
    return now;
  }
}
