import type { Client } from '#contracts/client.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { IdFloor } from '#platform/id-floor.ts';
import type { Log } from '#platform/log.ts';
import type { Queryable } from '#platform/postgres.ts';

/** What the source has for a seller with at least one change. */
interface SellerTruth {
  readonly sellerId: number;
  readonly version: number;
  /** When that version was committed, as in its event. */
  readonly committedAt: string;
  readonly clients: readonly Client[];
  readonly erased: boolean;
}

/** What a view is compared with. */
interface AuditSource {
  /** Sellers above `after`, by id, `limit` at most. */
  next(after: number, limit: number): Promise<readonly SellerTruth[]>;
  /** Those of the sellers that the source knows. */
  of(sellerIds: readonly number[]): Promise<readonly SellerTruth[]>;
  /** A mark of the newest message that waits to be sent; null when none waits. */
  newestUnsent(): Promise<number | null>;
  /** Whether every message up to the mark has been sent. */
  isSentUpTo(mark: number): Promise<boolean>;
}

type Row = [sellerId: number, version: number, clients: string, erased: boolean, updatedAt: number];

const toTruth = ([sellerId, version, clients, erased, updatedAt]: Row): SellerTruth => ({
  sellerId,
  version,
  committedAt: new Date(updatedAt).toISOString(),
  clients: (JSON.parse(clients) as Client[]).map(inOrder),
  erased,
});

/** With its members in the order of the event: a view may store the text, and the text keeps the order. */
const inOrder = ({ id, name, industry, description, logo, from, to }: Client): Client => ({
  id,
  name,
  industry,
  description,
  logo,
  from,
  to,
});

/** The tables of the source of truth, read-only. Must be the primary: a replica may be behind the view. */
export function postgresSource(db: Queryable, log: Log, clock: Clock = SYSTEM_CLOCK): AuditSource {
  const floor = new IdFloor(db, 'outbox', log, clock);
  const truths = async (name: string, text: string, values: unknown[]) => {
    // Rows come as arrays, for which pg has no type together with `values`.
    const { rows } = await db.query<Row>({ name, text, values, rowMode: 'array' } as never);
    return rows.map(toTruth);
  };
  return {
    next: (after, limit) =>
      truths(
        'truths-next',
        `select seller_id, version, clients::text, erased, floor(extract(epoch from updated_at) * 1000)::bigint
        from seller where seller_id > $1 and version > 0 order by seller_id limit $2`,
        [after, limit],
      ),

    of: (sellerIds) =>
      truths(
        'truths-of',
        `select seller_id, version, clients::text, erased, floor(extract(epoch from updated_at) * 1000)::bigint
        from seller where seller_id = any ($1::bigint[]) and version > 0`,
        [`{${sellerIds.join(',')}}`],
      ),

    async newestUnsent() {
      // The last id drawn, not the highest id in the table: to find the latter, PostgreSQL would walk over all rows
      // that were deleted under an old snapshot.
      const { rows } = await db.query<{ newest: number | null }>({
        name: 'newest-id',
        text: "select pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass) as newest",
      });
      return rows[0]!.newest;
    },

    async isSentUpTo(mark) {
      // Compares with the oldest row, not the marked one: a smaller id that commits later only makes the wait longer.
      await floor.prove();
      const look = floor.look();
      const { rows } = await db.query<{ id: number }>({
        name: 'oldest-unsent',
        text: 'select id from outbox where id >= $1 order by id limit 1',
        values: [look.from],
      });
      const oldest = rows[0]?.id ?? null;
      look.saw(oldest);
      return oldest === null || oldest > mark;
    },
  };
}
