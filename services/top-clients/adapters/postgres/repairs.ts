import type { Queryable } from '#platform/postgres.ts';
import { addMessages, lockSellers, stateOf } from './states.ts';

/** A seller whose row in a view differs from the source. */
interface WrongSeller {
  readonly sellerId: number;
  /** The view's version; null when it has no row. */
  readonly held: number | null;
  readonly digests: { readonly held: bigint };
}

interface Repairs {
  /**
   * Sends the state of these sellers again, in one transaction.
   * @returns those that could be sent: a seller with a damaged log is left out
   */
  send<T extends WrongSeller>(wrongSellers: readonly T[]): Promise<readonly T[]>;
}

/**
 * Sends sellers' states again through the source's outbox, under the locks of their rows. No change of theirs can
 * commit in between, so the repairs are in the right order among their events.
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
 * A seller that the source does not know gets an empty row, as after a refused first command. There must be a row to
 * lock: otherwise a first change could overtake the message that the seller has no list.
 */
async function admit(db: Queryable, sellerIds: readonly number[]): Promise<void> {
  await db.query(
    `insert into seller (seller_id, updated_at) select id, clock_timestamp() from unnest($1::bigint[]) id
    on conflict do nothing`,
    [sellerIds],
  );
}

/** An older or absent row is replaced by version alone, whatever the seller has changed since it was found. */
export const replacedBy = ({ held, digests }: WrongSeller, version: number) =>
  held !== null && held >= version ? { version: held, digest: String(digests.held) } : null;
