import type { Clock } from '#platform/clock.ts';
import type { Event, Owner, Scheduler } from './scheduler.ts';

/** 2026-11-01T00:00:00Z: the time at which every run begins. */
export const BEGINNING = 1_793_491_200_000;

/**
 * One start of a role. Its events run only while it is neither paused (SIGSTOP) nor dead (kill -9). Events for a paused
 * process are held back, and run in their order when it resumes.
 */
export class SimProcess implements Owner {
  readonly name: string;
  readonly clock: Clock;
  /** The error of its clock, in ms. */
  skew = 0;
  /** Called when it dies, to release what it held on servers. */
  readonly onDeath: ((lingerMs: number) => void)[] = [];
  readonly #scheduler: Scheduler;
  #state: 'runs' | 'paused' | 'dead' = 'runs';
  #held: Event[] = [];

  constructor(scheduler: Scheduler, name: string) {
    this.#scheduler = scheduler;
    this.name = name;
    const startedAt = scheduler.now;
    this.clock = {
      now: () => Math.floor(BEGINNING + scheduler.now + this.skew),
      monotonic: () => scheduler.now - startedAt,
      pause: (ms, signal) =>
        new Promise((resolve) => {
          if (signal?.aborted) return resolve();
          const done = () => {
            timer.run = null;
            signal?.removeEventListener('abort', done);
            resolve();
          };
          // Like a timer of Node. What rounding leaves of a pause would let no time pass, for ever.
          const timer = this.after(Math.max(1, ms), done);
          signal?.addEventListener('abort', done, { once: true });
        }),
    };
  }

  get isDead(): boolean {
    return this.#state === 'dead';
  }

  get isPaused(): boolean {
    return this.#state === 'paused';
  }

  admits(event: Event): boolean {
    if (this.#state === 'paused') this.#held.push(event);
    return this.#state === 'runs';
  }

  after(ms: number, run: () => void): Event {
    return this.#scheduler.after(ms, this, run);
  }

  pause(): void {
    if (this.#state === 'runs') this.#state = 'paused';
  }

  goOn(): void {
    if (this.#state !== 'paused') return;
    this.#state = 'runs';
    const held = this.#held;
    this.#held = [];
    let at = this.#scheduler.now;
    for (const event of held) {
      at += 1e-6;
      // It may be called off until then.
      this.#scheduler.at(at, this, () => event.run?.());
    }
  }

  /**
   * Its memory is lost, and its connections end: at once, or when the servers have noticed.
   * @param lingerMs how long the servers take to notice when the whole machine is gone
   */
  kill(lingerMs = 0): void {
    if (this.#state === 'dead') return;
    this.#state = 'dead';
    this.#held = [];
    for (const told of this.onDeath.splice(0)) told(lingerMs);
  }
}
