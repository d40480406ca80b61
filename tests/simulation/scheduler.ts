import { type Random, randomFor } from '../../services/seed/random.ts';

/** The owner of an event: a paused or dead process does not get it. */
export interface Owner {
  /** Takes the event if it may run now; otherwise keeps or drops it. @returns whether to run it now */
  admits(event: Event): boolean;
}

export interface Event {
  readonly at: number;
  /** Decides the order of events at the same instant. */
  readonly order: number;
  readonly owner: Owner | null;
  /** Null once it was cancelled. */
  run: (() => void) | null;
}

/** Runs every callback in Node's microtask queues, as Node itself does between two macrotasks. */
const settleMicrotasks = (process as unknown as { _tickCallback(): void })._tickCallback;

/**
 * Virtual time and all future events. One event runs at a time, with all microtasks that follow from it; time passes
 * only between events. The seed decides the order of events at the same instant.
 */
export class Scheduler {
  /** Milliseconds since the start of the run. */
  now = 0;
  /** The owner of the event that runs now. */
  current: Owner | null = null;
  events = 0;
  /** A hash of when every event ran: two runs with the same hash took the same course. */
  hash = 0x811c9dc5;
  readonly #random: Random;
  readonly #heap: Event[] = [];

  constructor(seed: number) {
    this.#random = randomFor('scheduler', 0, seed);
  }

  /** @returns the event; set its `run` to null to cancel it */
  at(time: number, owner: Owner | null, run: () => void): Event {
    const event = { at: Math.max(time, this.now), order: this.#random.fraction(), owner, run };
    this.#push(event);
    return event;
  }

  after(ms: number, owner: Owner | null, run: () => void): Event {
    return this.at(this.now + ms, owner, run);
  }

  /** Runs events until that time, or until `done` returns true. */
  run(until: number, done: () => boolean = () => false): void {
    while (!done()) {
      const next = this.#heap[0];
      if (next === undefined || next.at > until) {
        this.now = Math.max(this.now, until);
        return;
      }
      this.#pop();
      if (next.run === null) continue;
      this.now = next.at;
      if (next.owner?.admits(next) === false) continue;
      this.hash = Math.imul(this.hash ^ ((next.at * 1_024) | 0), 0x01000193);
      this.events += 1;
      this.current = next.owner;
      next.run();
      settleMicrotasks();
      this.current = null;
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    const size = heap.length;
    if (size === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

const isBefore = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);
