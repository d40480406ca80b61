import type { Difference } from './compare-view.ts';

/** How often the same wrong row is repaired before it is called unhealed. */
export const ATTEMPTS = 3;

interface Entry {
  /** The wrong row as it was when its repair was last sent. */
  readonly row: string;
  readonly attempts: number;
  /** When the last repair was sent, in ms. */
  readonly at: number;
}

export interface RepairPlan {
  /** What to send now. */
  readonly send: readonly Difference[];
  /** Sellers whose row is as it was, after as many repairs as are tried. */
  readonly unhealed: readonly number[];
  /** How many wait for a later pass, because there are more than one pass sends. */
  readonly waiting: number;
}

/**
 * Remembers which wrong rows were repaired, so that a repair which does not heal is not repeated for ever: a row that is
 * the same, to the last byte, after `ATTEMPTS` repairs is sent again only every `retryMs`. Each pass that finds it has
 * waited until the view had applied all that was sent before.
 */
export class RepairBook {
  readonly #entries = new Map<number, Entry>();
  readonly #retryMs: number;

  constructor(retryMs: number) {
    this.#retryMs = retryMs;
  }

  /**
   * @param differences all that a complete comparison found; sellers who are not among them are forgotten
   * @param limit repairs in a pass, at most
   * @param now in ms
   */
  plan(differences: readonly Difference[], limit: number, now: number): RepairPlan {
    const found = new Set(differences.map(({ sellerId }) => sellerId));
    for (const sellerId of this.#entries.keys()) if (!found.has(sellerId)) this.#entries.delete(sellerId);
    const send: Difference[] = [];
    const unhealed: number[] = [];
    let waiting = 0;
    for (const one of differences) {
      const { sellerId } = one;
      const row = identityOf(one);
      const before = this.#entries.get(sellerId);
      const attempts = before?.row === row ? before.attempts : 0;
      const hopeless = attempts >= ATTEMPTS || !isSeller(sellerId);
      if (hopeless) unhealed.push(sellerId);
      if (!isSeller(sellerId) || (hopeless && now < before!.at + this.#retryMs)) continue;
      if (send.length >= limit) waiting += 1;
      else send.push(one);
    }
    return { send, unhealed, waiting };
  }

  /** To be called for what was really sent. */
  sent(differences: readonly Difference[], now: number): void {
    for (const one of differences) {
      const row = identityOf(one);
      const before = this.#entries.get(one.sellerId);
      this.#entries.set(one.sellerId, {
        row,
        attempts: before?.row === row ? before.attempts + 1 : 1,
        at: now,
      });
    }
  }
}

const identityOf = ({ expected, held, digests }: Difference) => `${expected} ${held} ${digests.held}`;

/** No message can speak of another id. */
const isSeller = (sellerId: number) => sellerId >= 1;
