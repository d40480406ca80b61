import type { ReadSellerEvent } from '#contracts/events.ts';
import type { Projection } from '#pages/projection.ts';
import type { Queryable } from '#platform/postgres.ts';
import type { Comparison, Truth, View } from './compare-view.ts';

/** Rows that the projection writes in one statement. */
const ROWS_AT_A_TIME = 1_000;

/**
 * A view in its page's database. What must be there is written by the view's own projection, into a temporary table
 * of the same form and name, and the database compares whole rows: nothing here knows their columns.
 * @param db a session of its own that pipelines, the view's schema first in its search path; the caller ends it
 * @throws when the view is not there, or the user may not make temporary tables
 */
export async function postgresView(db: Queryable, projection: Projection, schema: string): Promise<View> {
  // Of this name, because an unqualified name means the temporary table first; empty after each transaction.
  await db
    .query(
      `create temporary table top_clients (like "${schema}".top_clients including indexes) on commit delete rows`,
    )
    .catch((cause: { code?: string; message: string }) => {
      if (cause.code !== '42P01' && cause.code !== '3F000') throw cause;
      throw new Error(`there is no view ${schema} in this database; run migrate for it`, { cause });
    });

  const compare = async (truths: readonly Truth[], statement: string, values: unknown[]) => {
    const steps: Promise<unknown>[] = [db.query('begin')];
    for (let at = 0; at < truths.length; at += ROWS_AT_A_TIME) {
      const rows = truths.slice(at, at + ROWS_AT_A_TIME).map((truth) => projection.toRow(eventOf(truth)));
      steps.push(projection.upsert(db, rows));
    }
    const compared = db.query<ComparedRow>(statement, values);
    try {
      await Promise.all([...steps, compared, db.query('commit')]);
    } catch (err) {
      await db.query('rollback').catch(() => {});
      throw err;
    }
    return toComparison((await compared).rows);
  };

  return {
    compareRange: (truths, after, through) =>
      compare(truths, compareStatement(`"${schema}".top_clients where seller_id > $1 and seller_id <= $2`), [
        after,
        through,
      ]),

    compareSellers: (truths, sellerIds) =>
      compare(truths, compareStatement(`"${schema}".top_clients where seller_id = any ($1::bigint[])`), [
        `{${sellerIds.join(',')}}`,
      ]),

    async checkpoints() {
      const { rows } = await db.query<{ partition: number; next_offset: number }>(
        'select partition, next_offset from checkpoint',
      );
      return new Map(rows.map((row) => [row.partition, row.next_offset]));
    },

    async parkedSellers() {
      const { rows } = await db.query<{ seller_id: number }>(
        'select distinct seller_id from parked where seller_id is not null order by seller_id',
      );
      return rows.map((row) => row.seller_id);
    },
  };
}

/** The newest event of a seller, as far as the state tells it. */
const eventOf = ({ sellerId, version, committedAt, clients }: Truth): ReadSellerEvent => ({
  sellerId,
  version,
  committedAt,
  clients: [...clients],
  get change(): never {
    throw new Error(
      'a view is compared with the state of the source, which does not tell what changed last: toRow must do without',
    );
  },
});

interface ComparedRow {
  /** Null for all that agree, together. */
  seller_id: number | null;
  expected: number | null;
  held: number | null;
  expected_digest: string;
  held_digest: string;
}

const toComparison = (rows: readonly ComparedRow[]): Comparison => ({
  digest: BigInt(rows.find((row) => row.seller_id === null)?.expected_digest ?? 0),
  differences: rows.flatMap(({ seller_id, expected, held, expected_digest, held_digest }) =>
    seller_id === null
      ? []
      : [
          {
            sellerId: seller_id,
            expected,
            held,
            digests: { expected: BigInt(expected_digest), held: BigInt(held_digest) },
          },
        ],
  ),
});

/** A row as 64 bits. */
const digest = (row: string) =>
  `('x' || encode(substr(sha256(record_send(${row})), 1, 8), 'hex'))::bit(64)::bigint`;

/**
 * Rows of the view beside those that must be there. The bytes of a row are cheap to compare (`*=`); only where they
 * differ does the content decide, so that white space in JSON does not.
 * @param held which rows of the view
 */
const compareStatement = (held: string): string => `
  select case when agrees then null else seller_id end as seller_id, min(expected) as expected, min(held) as held,
    coalesce(sum(expected_digest), 0) as expected_digest, coalesce(sum(held_digest), 0) as held_digest
  from (
    select seller_id, wanted.version as expected, held.version as held,
      case when wanted *= held then true else coalesce(to_jsonb(wanted) = to_jsonb(held), false) end as agrees,
      ${digest('wanted')} as expected_digest,
      case when wanted *= held then null else ${digest('held')} end as held_digest
    from pg_temp.top_clients as wanted full join (select * from ${held}) as held using (seller_id)
  ) as pair
  group by 1`;
