import { bucketOf } from '#contracts/bucket.ts';
import { encodeEventParts } from '#contracts/event-codec.ts';
import type { SellerEvent } from '#contracts/events.ts';
import type { Queryable } from '#platform/postgres.ts';

/**
 * Gives sellers their clients as their own commands would have done: state, event log and outbox in one transaction. A
 * seller that already has a row is skipped, so a second run neither repeats an event nor undoes later changes.
 * @param histories the events of each seller, oldest first, each of them an added client
 * @param committedAt when these changes were made, in ISO 8601, UTC
 * @returns how many events were written
 */
export async function addHistories(
  source: Queryable,
  histories: readonly (readonly SellerEvent[])[],
  committedAt: string,
): Promise<number> {
  const events = histories.flat();
  if (events.length === 0) return 0;
  const changes = events.map((event) => JSON.stringify(event.change));
  const { rows } = await source.query<{ events: number }>({
    name: 'seed-clients',
    text: `
      with added as (
        insert into seller (seller_id, version, clients, updated_at)
        select seller_id, version, clients::json, $8::timestamptz
        from rows from (
          unnest($1::bigint[]), unnest($2::bigint[]), unnest(string_to_array($3, $9))
        ) as state (seller_id, version, clients)
        on conflict (seller_id) do nothing
        returning seller_id
      ),
      event as (
        select * from rows from (
          unnest($4::bigint[]), unnest($5::bigint[]),
          unnest(string_to_array($6, $9)), unnest(string_to_array($7, $9)), unnest($10::smallint[])
        ) as one (seller_id, version, change, value, bucket)
        where seller_id in (select seller_id from added)
      ),
      logged as (
        insert into seller_event (seller_id, version, type, change, committed_at)
        select seller_id, version, 'client-added', change::json, $8 from event
        returning 1
      ),
      queued as (
        insert into outbox (bucket, seller_id, version, type, value, committed_at)
        select bucket, seller_id, version, 'client-added', value, $8
        from event
        order by seller_id, version
      )
      select count(*) as events from logged`,
    values: [
      histories.map((history) => history[0]!.sellerId),
      histories.map((history) => history.length),
      histories.map((history) => JSON.stringify(history.at(-1)!.clients)).join(SEPARATOR),
      events.map((event) => event.sellerId),
      events.map((event) => event.version),
      changes.join(SEPARATOR),
      events
        .map((event, at) =>
          encodeEventParts({
            ...event,
            changeJson: changes[at]!,
            clientsJson: JSON.stringify(event.clients),
          }),
        )
        .join(SEPARATOR),
      committedAt,
      SEPARATOR,
      events.map((event) => bucketOf(event.sellerId)),
    ],
  });
  return rows[0]!.events;
}

// JSON text never holds this raw control character, so a chunk travels as one string without escaping.
const SEPARATOR = '\x1e';
