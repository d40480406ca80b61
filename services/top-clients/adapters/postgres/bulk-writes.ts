/** Bulk writes for measurements, past the domain's rules. No program that serves anybody uses them. */
import type { Queryable } from '#platform/postgres.ts';

/** A list in the state alone, without an event. */
export interface BareState {
  readonly sellerId: number;
  readonly clientsJson: string;
}

/** Gives sellers a list each, at version 1; those that have a row keep it. */
export async function addBareStates(db: Queryable, states: readonly BareState[]): Promise<void> {
  await db.query(
    `insert into seller (seller_id, version, clients, updated_at)
    select seller_id, 1, clients, now() from unnest($1::bigint[], $2::json[]) as row (seller_id, clients)
    on conflict do nothing`,
    [states.map(({ sellerId }) => sellerId), states.map(({ clientsJson }) => clientsJson)],
  );
}

/**
 * Gives the sellers of a range of numbers an empty list each, at version 1: the table's size, at little cost. The
 * longest range of a benchmark takes seconds, so the session has no statement timeout.
 * @param db a session of its own
 */
export async function addEmptyStates(db: Queryable, first: number, last: number): Promise<void> {
  await db.query(
    `insert into seller (seller_id, version, clients, updated_at)
    select seller_id, 1, '[]', now() from generate_series($1::bigint, $2::bigint) seller_id`,
    [first, last],
  );
  await db.query('vacuum (freeze, analyze) seller');
}

/** An event that waits to be sent but is in no event log. */
export interface BareEvent {
  readonly bucket: number;
  readonly sellerId: number;
  readonly version: number;
  readonly value: string;
  /** Milliseconds since the epoch. */
  readonly committedAt: number;
}

const IN_NO_JSON = '\u001f';

/** Puts events into the outbox, in their order. */
export async function addBareEvents(
  db: Queryable,
  events: readonly BareEvent[],
  traceparent: string,
): Promise<void> {
  await db.query(
    `insert into outbox (bucket, seller_id, version, type, value, committed_at, traceparent)
    select bucket, seller_id, version, 'client-updated', value, to_timestamp(committed_at / 1000), $6
    from unnest($1::smallint[], $2::bigint[], $3::bigint[], string_to_array($4, $7), $5::float8[]) with ordinality
      as row (bucket, seller_id, version, value, committed_at, position)
    order by position`,
    [
      events.map((row) => row.bucket),
      events.map((row) => row.sellerId),
      events.map((row) => row.version),
      // In an array each of their quotes would be written as two characters, and read again.
      events.map((row) => row.value).join(IN_NO_JSON),
      events.map((row) => row.committedAt),
      traceparent,
      IN_NO_JSON,
    ],
  );
}

/** What the server itself can make events of: a list, and the change that it came by, as members of an event's JSON. */
export interface KeptList {
  readonly bucket: number;
  readonly sellerId: number;
  readonly members: string;
}

/** Keeps lists in the session, for `addEventsOfKept`. @param db a session of its own */
export async function keepLists(db: Queryable, lists: readonly KeptList[]): Promise<void> {
  await db.query(
    `create temporary table kept_list as
    select * from unnest($1::smallint[], $2::bigint[], $3::text[]) as row (bucket, seller_id, members)`,
    [lists.map((list) => list.bucket), lists.map((list) => list.sellerId), lists.map((list) => list.members)],
  );
  await db.query('create index on kept_list (seller_id)');
}

/** Puts an event into the outbox for each of a range of sellers whose lists this session keeps. */
export async function addEventsOfKept(
  db: Queryable,
  first: number,
  last: number,
  version: number,
  committedAt: Date,
  traceparent: string,
): Promise<void> {
  await db.query({
    name: 'add-events-of-kept',
    text: `insert into outbox (bucket, seller_id, version, type, value, committed_at, traceparent)
      select bucket, seller_id, $3::bigint, 'client-updated',
        format('{"sellerId":%s,"version":%s,"committedAt":"%s",%s}', seller_id, $3::bigint, $4::text, members),
        $4::text::timestamptz, $5
      from kept_list where seller_id between $1::bigint and $2::bigint`,
    values: [first, last, version, committedAt.toISOString(), traceparent],
  });
}

/** Takes the oldest rows out of the outbox, whatever shard they are of: seller, value and trace context of each. */
export async function takeBareRows(
  db: Queryable,
  limit: number,
): Promise<ReadonlyArray<readonly [number, string, string | null]>> {
  const { rows } = await db.query<[number, string, string | null]>({
    name: 'take-bare-rows',
    rowMode: 'array',
    text: `delete from outbox where id in (select id from outbox order by id limit $1)
      returning seller_id, value, traceparent`,
    values: [limit],
  });
  return rows;
}

/**
 * Leaves dead rows in the outbox: written and deleted in one transaction, so that no relay sends them.
 * @param db a session of its own
 */
export async function addDeadRows(db: Queryable, rowCount: number): Promise<void> {
  await db.query('begin');
  const { rows: ids } = await db.query<{ first: number; last: number }>(
    `with made as (
      insert into outbox (bucket, seller_id, version, type, value, committed_at)
      select n % 1024, n, 1, 'client-updated', repeat('x', 400), now() from generate_series(1, $1::integer) n
      returning id
    ) select min(id) as first, max(id) as last from made`,
    [rowCount],
  );
  await db.query("delete from outbox where id between $1 and $2 and value = repeat('x', 400)", [
    ids[0]!.first,
    ids[0]!.last,
  ]);
  await db.query('commit');
}

/** Vacuums the outbox's dead rows, in the index too. */
export async function vacuumOutbox(db: Queryable): Promise<void> {
  await db.query('vacuum (index_cleanup on) outbox');
}

/** Empties sellers, log and outbox. */
export async function emptySource(db: Queryable): Promise<void> {
  await db.query('truncate seller, seller_event, outbox');
}
