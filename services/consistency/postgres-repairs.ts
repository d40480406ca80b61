import { bucketOf } from '#contracts/bucket.ts';
import { REPAIR, repairValue, writeWrongRow } from '#contracts/repair.ts';
import type { Queryable } from '#platform/postgres.ts';
import type { Difference } from './compare-view.ts';
import type { Repairs } from './watch.ts';

interface Locked {
  readonly seller_id: number;
  readonly version: number;
  readonly clients: string;
  readonly erased: boolean;
  readonly updated_at: Date;
  /** Null when the log has no entry of that version. */
  readonly change: string | null;
}

interface Row {
  readonly sellerId: number;
  readonly version: number;
  readonly type: string;
  readonly value: string | null;
  readonly replaces: string | null;
  /** Null: now. */
  readonly committedAt: Date | null;
}

/**
 * Sends sellers' states again through the outbox of the source, under the locks of their rows: nothing of them can be
 * committed in between, so the repairs stand where they belong among their events.
 * @param db a session of its own on the primary; the caller ends it
 */
export function postgresRepairs(db: Queryable): Repairs {
  return {
    async send(differences) {
      const wrong = new Map(differences.map((one) => [one.sellerId, one]));
      // Always in this order, as whoever else locks several sellers does.
      const sellerIds = [...wrong.keys()].sort((a, b) => a - b);
      await db.query('begin');
      try {
        const sellers = await lock(db, sellerIds);
        const known = sellers.filter((one) => one.version === 0 || one.change !== null);
        await db.query(ADD, columnsOf(known.flatMap((one) => rowsOf(one, wrong.get(one.seller_id)!))));
        await db.query('commit');
        return known.map((one) => wrong.get(one.seller_id)!);
      } catch (err) {
        await db.query('rollback').catch(() => {});
        throw err;
      }
    },
  };
}

async function lock(db: Queryable, sellerIds: readonly number[]): Promise<Locked[]> {
  // A seller the source does not know gets the empty row that a refused first command leaves as well: there must be
  // something to lock, or a first change could overtake the message that there is nothing.
  await db.query(
    `insert into seller (seller_id, updated_at) select id, clock_timestamp() from unnest($1::bigint[]) id
    on conflict do nothing`,
    [sellerIds],
  );
  await db.query('select from seller where seller_id = any ($1::bigint[]) order by seller_id for update', [
    sellerIds,
  ]);
  // A statement after the one that waited for the locks sees what was committed before them.
  const { rows } = await db.query<Locked>(
    `select seller_id, version, clients::text, erased, updated_at, change::text
    from seller left join seller_event using (seller_id, version)
    where seller_id = any ($1::bigint[]) order by seller_id`,
    [sellerIds],
  );
  return rows;
}

/** The messages that put a seller's row right, whatever the seller changed since the row was found. */
function rowsOf(seller: Locked, { held, digests }: Difference): Row[] {
  const { seller_id: sellerId, version } = seller;
  const repair = {
    sellerId,
    version,
    type: REPAIR,
    // An older row, or none, needs no more than the version.
    replaces:
      held !== null && held >= version
        ? writeWrongRow({ version: held, digest: String(digests.held) })
        : null,
    committedAt: null,
  };
  if (version === 0) return [{ ...repair, value: null }];
  const committedAt = seller.updated_at.toISOString();
  const value = repairValue({ sellerId, version, committedAt }, seller.change!, seller.clients);
  if (!seller.erased) return [{ ...repair, value }];
  // As behind the erasure itself: Kafka may forget the seller. It may remain alone, and then tells a new view when the
  // erasure was, which is compared.
  return [
    { ...repair, value },
    {
      sellerId,
      version,
      type: 'seller-erased',
      value: null,
      replaces: null,
      committedAt: seller.updated_at,
    },
  ];
}

const ADD = `insert into outbox (bucket, seller_id, version, type, value, committed_at, replaces)
  select bucket, seller_id, version, type, value, coalesce(committed_at, clock_timestamp()), replaces
  from unnest($1::smallint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
    with ordinality as row (bucket, seller_id, version, type, value, replaces, committed_at, position)
  order by position`;

const columnsOf = (rows: readonly Row[]): unknown[] => [
  rows.map((row) => bucketOf(row.sellerId)),
  rows.map((row) => row.sellerId),
  rows.map((row) => row.version),
  rows.map((row) => row.type),
  rows.map((row) => row.value),
  rows.map((row) => row.replaces),
  rows.map((row) => row.committedAt),
];
