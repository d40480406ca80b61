import type { Queryable } from '#platform/postgres.ts';
import { addMessages, lockSellers, stateOf } from './states.ts';

/** A seller whose row in a view is not as the source has it. */
interface WrongSeller {
  readonly sellerId: number;
  /** The view's version; null when it has no row. */
  readonly held: number | null;
  readonly digests: { readonly held: bigint };
}

interface Repairs {
  /**
   * Sends the state of these sellers again, in one transaction.
   * @returns those it could send: one whose log is damaged is left out
   */
  send<T extends WrongSeller>(wrongSellers: readonly T[]): Promise<readonly T[]>;
}

/**
 * Sends sellers' states again through the outbox of the source, under the locks of their rows: nothing of them can be
 * committed in between, so the repairs stand where they belong among their events.
 * @param db a session of its own on the primary; the caller ends it
 */
export function postgresRepairs(db: Queryable): Repairs {
  return {
    async send(wrongSellers) {
      const wrong = new Map(wrongSellers.map((one) => [one.sellerId, one]));
      const sellerIds = [...wrong.keys()].sort((a, b) => a - b);
      await db.query('begin');
      try {
        await admit(db, sellerIds);
        const sellers = await lockSellers(db, sellerIds);
        const known = sellers.filter((one) => one.version === 0 || one.change !== null);
        await addMessages(
          db,
          known.flatMap((one) => stateOf(one, replacedBy(wrong.get(one.sellerId)!, one.version))),
        );
        await db.query('commit');
        return known.map((one) => wrong.get(one.sellerId)!);
      } catch (err) {
        await db.query('rollback').catch(() => {});
        throw err;
      }
    },
  };
}

/**
 * A seller the source does not know gets the empty row that a refused first command leaves as well: there must be
 * something to lock, or a first change could overtake the message that there is nothing.
 */
async function admit(db: Queryable, sellerIds: readonly number[]): Promise<void> {
  await db.query(
    `insert into seller (seller_id, updated_at) select id, clock_timestamp() from unnest($1::bigint[]) id
    on conflict do nothing`,
    [sellerIds],
  );
}

/** An older row, or none, needs no more than the version, whatever the seller changed since the row was found. */
export const replacedBy = ({ held, digests }: WrongSeller, version: number) =>
  held !== null && held >= version ? { version: held, digest: String(digests.held) } : null;
