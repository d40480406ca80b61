import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { Retried } from './parked.ts';

/** What the retries need of the view. */
export interface ParkedStore {
  /** Tries the due parked messages of these partitions, a bounded number. @param anew those of which all is due */
  retryParked(partitions: readonly number[], anew: readonly number[]): Promise<readonly Retried[]>;
}

/** After the database failed, in ms. */
const BACK_OFF_MS = 60_000;

/**
 * Tries the parked messages of this process's partitions again, so that a person is needed only for what really cannot
 * be read. Each message has its own back-off. When a partition is new to this process, all of its messages are tried
 * once: a new program may read what the one before could not.
 */
export class ParkedRetries {
  readonly #observe: (retried: Retried) => void;
  readonly #log: Log;
  readonly #clock: Clock;
  /** Partitions whose parked messages have all been made due once. */
  #seen: ReadonlySet<number> = new Set();
  #isUnderWay = false;
  #notBefore = Number.NEGATIVE_INFINITY;

  /** @param observe told of each message that was tried */
  constructor(observe: (retried: Retried) => void, log: Log, clock: Clock = SYSTEM_CLOCK) {
    this.#observe = observe;
    this.#log = log;
    this.#clock = clock;
  }

  /**
   * To be called regularly with the partitions that this process owns. A call does nothing while another one runs.
   * Never rejects: a failure is logged, and parked messages stay.
   * @param isAnyParked whether there is a parked message at all; without one the view is not asked
   */
  async look(store: ParkedStore, partitions: readonly number[], isAnyParked = true): Promise<void> {
    if (this.#isUnderWay || partitions.length === 0 || this.#clock.monotonic() < this.#notBefore) return;
    if (!isAnyParked) {
      this.#seen = new Set(partitions);
      return;
    }
    this.#isUnderWay = true;
    try {
      const anew = partitions.filter((partition) => !this.#seen.has(partition));
      const retried = await store.retryParked(partitions, anew);
      this.#seen = new Set(partitions);
      for (const one of retried) this.#observe(one);
      this.#tell(retried);
    } catch (err) {
      this.#notBefore = this.#clock.monotonic() + BACK_OFF_MS;
      this.#log.warn({ err, nextTryMs: BACK_OFF_MS }, 'cannot try parked messages again now');
    } finally {
      this.#isUnderWay = false;
    }
  }

  #tell(retried: readonly Retried[]): void {
    if (retried.length === 0) return;
    const count = (result: Retried['result']) => retried.filter((one) => one.result === result).length;
    const counts = { applied: count('applied'), superseded: count('superseded'), remain: count('remains') };
    this.#log.info(counts, 'tried parked messages again');
  }
}
