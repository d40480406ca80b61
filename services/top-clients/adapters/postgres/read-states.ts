import { CANARY_SELLER } from '#contracts/canary.ts';
import type { Queryable } from '#platform/postgres.ts';

/** How many of these sellers have a row. */
export async function countKnown(db: Queryable, sellerIds: readonly number[]): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    'select count(*) from seller where seller_id = any($1)',
    [sellerIds],
  );
  return rows[0]!.count;
}

/** How many sellers have changed something, and the sum of their versions; without the canary, which always changes. */
export async function sumVersions(db: Queryable): Promise<{ sellers: number; versions: number }> {
  const { rows } = await db.query<{ sellers: number; versions: number }>(
    `select count(*) as sellers, coalesce(sum(version), 0)::bigint as versions
    from seller where version > 0 and seller_id <> ${CANARY_SELLER}`,
  );
  return rows[0]!;
}

/** The newest version of a seller, and when it was committed, in ms since the epoch; null for one without a row. */
export async function readVersion(
  db: Queryable,
  sellerId: number,
): Promise<{ version: number; committedAt: number } | null> {
  const { rows } = await db.query<{ version: number; updated_at: Date }>(
    'select version, updated_at from seller where seller_id = $1',
    [sellerId],
  );
  const [row] = rows;
  return row ? { version: row.version, committedAt: row.updated_at.getTime() } : null;
}

/** The versions of the sellers up to an id. */
export async function readVersions(
  db: Queryable,
  through: number,
): Promise<readonly { readonly sellerId: number; readonly version: number }[]> {
  const { rows } = await db.query<{ sellerId: number; version: number }>(
    'select seller_id as "sellerId", version from seller where seller_id <= $1',
    [through],
  );
  return rows;
}
