import { bucketOf } from '#contracts/bucket.ts';
import { type EventParts, encodeEventParts } from '#contracts/event-codec.ts';
import type { ChangeType } from '#contracts/events.ts';
import type { Queryable } from '#platform/postgres.ts';

/** A change that was decided, and the state after it. */
export interface DecidedEvent extends EventParts {
  readonly type: ChangeType;
  readonly erased: boolean;
  readonly traceparent: string | null;
}

// One statement for the three tables that every change touches.
const RECORD = {
  name: 'record',
  text: `with state as (
      update seller set version = $2, clients = $3, erased = $4, updated_at = $5 where seller_id = $1
    ), event as (
      insert into seller_event (seller_id, version, type, change, committed_at, traceparent)
      values ($1, $2, $6, $7, $5, $8)
    )
    insert into outbox (bucket, seller_id, version, type, value, committed_at, traceparent)
    values ($9, $1, $2, $6, $10, $5, $8)`,
};

/** Writes state, log and outbox. The caller has locked the seller's row, or nobody else can write it. */
export function recordEvent(db: Queryable, event: DecidedEvent): Promise<unknown> {
  const { sellerId, version, type, changeJson, clientsJson, erased, committedAt, traceparent } = event;
  return db.query({
    ...RECORD,
    values: [
      sellerId,
      version,
      clientsJson,
      erased,
      committedAt,
      type,
      changeJson,
      traceparent,
      bucketOf(sellerId),
      encodeEventParts(event),
    ],
  });
}
