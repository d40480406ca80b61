import type { Difference } from './compare-view.ts';

/** How often the same wrong row is repaired before it counts as unhealed. */
export const ATTEMPTS = 3;

interface Entry {
  /** The wrong row as it was when its repair was last sent. */
  readonly row: string;
  readonly attempts: number;
  /** When the last repair was sent, in ms. */
  readonly at: number;
}

export interface RepairPlan {
  /** The repairs to send now. */
  readonly send: readonly Difference[];
  /** Sellers whose row is unchanged after `ATTEMPTS` repairs. */
  readonly unhealed: readonly number[];
  /** How many have to wait for a later pass, because one pass sends only so many. */
  readonly waiting: number;
}

/**
 * Remembers which wrong rows were repaired, so that a repair without effect is not repeated for ever. A row that is
 * unchanged to the last byte after `ATTEMPTS` repairs is sent again only every `retryMs`. Each pass that finds a row
 * has first waited until the view had applied everything sent before.
 */
export class RepairBook {
  readonly #entries = new Map<number, Entry>();
  readonly #retryMs: number;

  constructor(retryMs: number) {
    this.#retryMs = retryMs;
  }

  /**
   * @param differences all that a complete comparison found; sellers not among them are forgotten
   * @param limit most repairs in a pass
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

  /** Call it for every repair that was tried. */
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

/** Messages exist only for these ids. */
const isSeller = (sellerId: number) => sellerId >= 1;
