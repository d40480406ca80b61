import { Backoff } from '#platform/backoff.ts';
import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { KubeError, type WorkQueue } from './kube.ts';

/** The result of a reconcile: done, or to be repeated after a time. */
export type Reconciled = { readonly requeueAfterMs?: number } | undefined;

export interface QueueSettings {
  /**
   * Brings one object to its desired state. After a throw it is retried, later each time.
   * @param stopping aborts when the queue is stopped: finish what has begun, start nothing new
   */
  readonly reconcile: (key: string, stopping: AbortSignal) => Promise<Reconciled>;
  readonly workers: number;
  readonly log: Log;
  readonly onReconciled?: (key: string, result: 'done' | 'again' | 'failed', seconds: number) => void;
  /** Wait after the first failure of a key; it doubles with each further one, up to `maxRetryMs`. */
  readonly firstRetryMs?: number;
  readonly maxRetryMs?: number;
  /** Most keys known at a time; further ones are turned away. It bounds memory and is no working limit. */
  readonly maxKeys?: number;
}

/** What is known of a key; it is dropped once nothing in it is needed. */
interface Entry {
  /** Waits for a worker. */
  queued: boolean;
  running: boolean;
  /** Added while running: the change may have come after the key's state was read. */
  dirty: boolean;
  failures: number;
  readonly backoff: Backoff;
  /** When its delay ends and it is queued, on a monotonic clock. */
  dueAt: number;
  timer: NodeJS.Timeout | undefined;
}

/** The least time between a failure and a run that a change asks for. */
const CHANGED_MS = 1_000;
/** setTimeout takes 31 bits; a longer time would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Runs keys through `reconcile`. A key waits at most once and never runs twice at a time. A change that comes in while
 * it runs makes it run again.
 */
export class Queue implements WorkQueue {
  readonly #settings: Required<Omit<QueueSettings, 'onReconciled'>> & Pick<QueueSettings, 'onReconciled'>;
  readonly #entries = new Map<string, Entry>();
  #waiting: string[] = [];
  #free: number;
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #turnedAwayAt = Number.NEGATIVE_INFINITY;

  constructor(settings: QueueSettings) {
    this.#settings = { firstRetryMs: 200, maxRetryMs: 60_000, maxKeys: 10_000, ...settings };
    this.#free = settings.workers;
  }

  /** Keys that wait for a worker, without those that wait for their time. */
  get depth(): number {
    return this.#waiting.length;
  }

  /** All keys that the queue knows of. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Queues the key now. A key that has just failed waits for at least a second: the failed run may itself have changed
   * the object (its status), and the key would never back off.
   */
  add(key: string): void {
    const entry = this.#entry(key);
    if (entry === null) return;
    if (entry.running) entry.dirty = true;
    else if (entry.failures > 0 && entry.timer !== undefined) this.#schedule(key, entry, CHANGED_MS);
    else this.#enqueue(key, entry);
  }

  /** Queues the key after a time, unless it is due earlier. */
  addAfter(key: string, delayMs: number): void {
    const entry = this.#entry(key);
    if (entry === null || entry.queued) return;
    if (delayMs > 0) this.#schedule(key, entry, delayMs);
    else this.add(key);
  }

  /** Drops the failures and the delays of a key: its object is gone, or new. */
  forget(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#disarm(entry);
    entry.failures = 0;
    entry.backoff.reset();
    this.#tidy(key, entry);
  }

  /**
   * Waits for the reconciles in flight, drops all other keys, and turns away new ones.
   * @returns whether they ended within `deadlineMs`
   */
  async stop(deadlineMs = 10_000): Promise<boolean> {
    this.#stopping.abort();
    for (const [key, entry] of this.#entries) {
      this.#disarm(entry);
      entry.queued = entry.dirty = false;
      this.#tidy(key, entry);
    }
    this.#waiting = [];
    const overdue = new AbortController();
    const ended = Promise.all(this.#running).then(() => true);
    try {
      return await Promise.race([ended, pause(deadlineMs, overdue.signal).then(() => false)]);
    } finally {
      overdue.abort();
    }
  }

  #entry(key: string): Entry | null {
    if (this.#stopping.signal.aborted) return null;
    const known = this.#entries.get(key);
    if (known) return known;
    if (this.#entries.size >= this.#settings.maxKeys) {
      // Logged as an error, but not for each key: what floods the queue must not flood the log.
      if (performance.now() - this.#turnedAwayAt > 60_000) {
        this.#turnedAwayAt = performance.now();
        this.#settings.log.error(
          { key, keys: this.#entries.size },
          'the work queue is full: turning keys away until some are done; the next resync brings them again',
        );
      }
      return null;
    }
    const { firstRetryMs, maxRetryMs } = this.#settings;
    const entry = {
      queued: false,
      running: false,
      dirty: false,
      failures: 0,
      backoff: new Backoff({ firstMs: firstRetryMs, longestMs: maxRetryMs }),
      dueAt: 0,
      timer: undefined,
    };
    this.#entries.set(key, entry);
    return entry;
  }

  #enqueue(key: string, entry: Entry): void {
    this.#disarm(entry);
    if (entry.running) entry.dirty = true;
    else if (!entry.queued) {
      entry.queued = true;
      this.#waiting.push(key);
      this.#work();
    }
  }

  #schedule(key: string, entry: Entry, delayMs: number): void {
    const dueAt = performance.now() + delayMs;
    if (entry.timer !== undefined && entry.dueAt <= dueAt) return;
    this.#disarm(entry);
    entry.dueAt = dueAt;
    entry.timer = setTimeout(() => this.#enqueue(key, entry), Math.min(delayMs, LONGEST_TIMER_MS));
  }

  #disarm(entry: Entry): void {
    clearTimeout(entry.timer);
    entry.timer = undefined;
  }

  #tidy(key: string, entry: Entry): void {
    const { queued, running, failures, timer } = entry;
    if (!queued && !running && failures === 0 && timer === undefined) this.#entries.delete(key);
  }

  #work(): void {
    while (this.#free > 0 && this.#waiting.length > 0) {
      const key = this.#waiting.shift()!;
      const entry = this.#entries.get(key)!;
      entry.queued = false;
      entry.running = true;
      this.#free -= 1;
      const run = this.#run(key, entry).finally(() => {
        this.#running.delete(run);
        this.#free += 1;
        this.#work();
      });
      this.#running.add(run);
    }
  }

  async #run(key: string, entry: Entry): Promise<void> {
    const { reconcile, log, onReconciled } = this.#settings;
    const began = performance.now();
    let result: 'done' | 'again' | 'failed' = 'done';
    let requeueAfterMs = 0;
    try {
      requeueAfterMs = (await reconcile(key, this.#stopping.signal))?.requeueAfterMs ?? 0;
      entry.failures = 0;
      entry.backoff.reset();
      if (requeueAfterMs > 0) result = 'again';
    } catch (err) {
      if (this.#stopping.signal.aborted) {
        log.debug({ err, key }, 'a reconcile was broken off by the stop');
      } else {
        result = 'failed';
        entry.failures += 1;
        const asked = err instanceof KubeError ? (err.retryAfterMs ?? 0) : 0;
        requeueAfterMs = Math.max(1, asked, entry.backoff.next());
        log.warn({ err, key, failures: entry.failures, requeueAfterMs }, 'a reconcile failed; trying again');
      }
    }
    entry.running = false;
    onReconciled?.(key, result, (performance.now() - began) / 1_000);
    const { dirty } = entry;
    entry.dirty = false;
    if (requeueAfterMs > 0) this.addAfter(key, requeueAfterMs);
    if (dirty) this.add(key);
    this.#tidy(key, entry);
  }
}
