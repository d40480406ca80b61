import type { Client } from '#contracts/client.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { IdFloor } from '#platform/id-floor.ts';
import type { Log } from '#platform/log.ts';
import type { Queryable } from '#platform/postgres.ts';

/** What the source says of a seller who has changed something at least once. */
interface SellerTruth {
  readonly sellerId: number;
  readonly version: number;
  /** When that version was committed, as the event says it. */
  readonly committedAt: string;
  readonly clients: readonly Client[];
  readonly erased: boolean;
}

/** What a view is compared with. */
interface AuditSource {
  /** Sellers above `after`, by id, `limit` at most. */
  next(after: number, limit: number): Promise<readonly SellerTruth[]>;
  /** Those of the sellers that are known. */
  of(sellerIds: readonly number[]): Promise<readonly SellerTruth[]>;
  /** Marks the youngest message that waits to be sent; null when none does. */
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

/** With its members as an event has them: a view may keep the text, and the order is in the text. */
const inOrder = ({ id, name, industry, description, logo, from, to }: Client): Client => ({
  id,
  name,
  industry,
  description,
  logo,
  from,
  to,
});

/** The tables of the source of truth, only read. Must be the primary: a replica may be behind what a view has. */
export function postgresSource(db: Queryable, log: Log, clock: Clock = SYSTEM_CLOCK): AuditSource {
  const floor = new IdFloor(db, 'outbox', log, clock);
  const truths = async (name: string, text: string, values: unknown[]) => {
    // Rows as arrays: pg has no type for that beside values.
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
      // The last id drawn, and not the highest in the table: to find that among rows that were deleted under an old
      // snapshot takes a walk over all of them.
      const { rows } = await db.query<{ newest: number | null }>({
        name: 'newest-id',
        text: "select pg_sequence_last_value(pg_get_serial_sequence('outbox', 'id')::regclass) as newest",
      });
      return rows[0]!.newest;
    },

    async isSentUpTo(mark) {
      // By position and not by id of a row: one that was drawn before and commits later only makes it wait longer.
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
