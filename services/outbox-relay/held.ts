import type { Clock } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { OutboxRow } from '../top-clients/adapters/postgres/outbox.ts';
import { sizeOf } from './message.ts';
import { meaningOf, type SendFailure } from './refusals.ts';

/** How often the row of a held seller is tried again. */
export const RETRY_EVERY_MS = 30_000;
/** If more sellers are held than this, single records are not the cause. */
export const MOST_HELD = 100;

interface Held {
  /** The oldest of the seller's rows that are not sent. */
  readonly id: number;
  readonly reason: SendFailure['reason'];
  readonly retryAt: number;
}

/**
 * Sellers with a row that Kafka refuses even alone. The row and all later rows of the seller stay in the outbox, so
 * nothing is lost and the seller's order holds. All other sellers go on. The row is tried again every now and then; the
 * log names what helps.
 */
export class HeldSellers {
  readonly #held = new Map<number, Held>();
  readonly #log: Log;
  readonly #clock: Clock;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** Holds the row's seller. Logs it once, and again when the reason is another. */
  hold(row: OutboxRow, failure: SendFailure): void {
    const { id, sellerId, version, type } = row;
    const { reason, message } = failure;
    const retryAt = this.#clock.monotonic() + RETRY_EVERY_MS;
    const before = this.#held.get(sellerId)?.reason;
    this.#held.set(sellerId, { id, reason, retryAt });
    if (before === reason) return;
    this.#log.error(
      { id, sellerId, version, type, bytes: sizeOf(row), committedAt: row.committedAt, reason, message },
      `a change cannot be sent, its seller is held, and it is tried again every ${RETRY_EVERY_MS / 1_000} s; what helps: ${meaningOf(reason).cure}`,
    );
  }

  /** The seller's rows are sent again. */
  release(sellerId: number): void {
    const held = this.#held.get(sellerId);
    if (!this.#held.delete(sellerId)) return;
    this.#log.info({ sellerId, id: held?.id, reason: held?.reason }, 'a seller is held no more');
  }

  has(sellerId: number): boolean {
    return this.#held.has(sellerId);
  }

  /** Whether one more may be held. */
  hasRoom(): boolean {
    return this.#held.size < MOST_HELD;
  }

  /** A seller whose row is to be tried again now; null when there is none. */
  due(): { sellerId: number; id: number } | null {
    const now = this.#clock.monotonic();
    for (const [sellerId, { id, retryAt }] of this.#held) if (retryAt <= now) return { sellerId, id };
    return null;
  }

  get size(): number {
    return this.#held.size;
  }

  list(): number[] {
    return [...this.#held.keys()];
  }
}
