import type { ReadSellerEvent } from '#contracts/event-codec.ts';
import { TOMBSTONES_LAST_MS } from '#contracts/tombstones.ts';
import { type Projection, rowDigest } from '#pages/projection.ts';
import type { Queryable } from '#platform/postgres.ts';
import type { Comparison, Truth, View } from './compare-view.ts';

/** Rows that the projection writes with one statement. */
const ROWS_AT_A_TIME = 1_000;

/**
 * A view in its page's database. The view's own projection writes the expected rows into a temporary table of the same
 * form and name, and the database compares whole rows: this file does not know their columns.
 * @param db a session of its own that pipelines, the view's schema first in its search path; the caller ends it
 * @throws when the view does not exist, or the user may not make temporary tables
 */
export async function postgresView(db: Queryable, projection: Projection, schema: string): Promise<View> {
  // The same name, because an unqualified name means the temporary table first. It is empty after each transaction.
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
    const compared = db.query<Compared>(statement, values);
    try {
      await Promise.all([...steps, compared, db.query('commit')]);
    } catch (err) {
      await db.query('rollback').catch(() => {});
      throw err;
    }
    return toComparison((await compared).rows[0]!);
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

    async parked() {
      const { rows } = await db.query<{ seller_id: number; version: number | null; is_outdated: boolean }>(
        `select seller_id, version, parked_at < now() - $1 * interval '1 ms' as is_outdated
        from parked where seller_id is not null order by seller_id`,
        [TOMBSTONES_LAST_MS],
      );
      return rows.map((row) => ({
        sellerId: row.seller_id,
        version: row.version,
        isOutdated: row.is_outdated,
      }));
    },
  };
}

/** The newest event of a seller, as far as it can be derived from the state. */
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

/** The sum of the digests of the rows that agree, and every row that does not; digests as text, as they exceed 2^53. */
interface Compared {
  digest: string;
  differences: ReadonlyArray<{
    seller_id: number;
    expected: number | null;
    held: number | null;
    expected_digest: string | null;
    held_digest: string | null;
  }>;
}

const toComparison = ({ digest, differences }: Compared): Comparison => ({
  digest: BigInt(digest),
  differences: differences.map((one) => ({
    sellerId: one.seller_id,
    expected: one.expected,
    held: one.held,
    digests: { expected: BigInt(one.expected_digest ?? 0), held: BigInt(one.held_digest ?? 0) },
  })),
});

/**
 * The view's rows beside the expected rows. To compare their bytes is cheap (`*=`). Only where the bytes differ is the
 * content compared, so that white space in JSON does not count. `offset 0` makes the planner judge each row once, not
 * again for each use of the result.
 * @param held which rows of the view
 */
const compareStatement = (held: string): string => `
  select coalesce(sum(expected_digest) filter (where agrees), 0) as digest,
    coalesce(json_agg(json_build_object(
      'seller_id', seller_id, 'expected', expected, 'held', held,
      'expected_digest', expected_digest::text, 'held_digest', held_digest::text
    )) filter (where not agrees), '[]') as differences
  from (
    select seller_id, expected, held, agrees,
      case when expected is not null then ${rowDigest('wanted_row')} end as expected_digest,
      case when not agrees and held is not null then ${rowDigest('held_row')} end as held_digest
    from (
      select seller_id, wanted.version as expected, held.version as held, wanted as wanted_row, held as held_row,
        case when wanted *= held then true else coalesce(to_jsonb(wanted) = to_jsonb(held), false) end as agrees
      from pg_temp.top_clients as wanted full join (select * from ${held}) as held using (seller_id)
      offset 0
    ) as pair
  ) as judged`;
