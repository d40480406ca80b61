import type { Queryable } from '#platform/postgres.ts';

/** A named run that republishes sellers from one id to another, both included. */
export interface WantedRun {
  readonly request: string;
  readonly first: number;
  readonly last: number;
  /** The number of partitions before; null when the sellers do not move. */
  readonly movedFrom: number | null;
}

/** Stores a run unless one of its name exists. */
export async function addRun(db: Queryable, { request, first, last, movedFrom }: WantedRun): Promise<void> {
  await db.query(
    `insert into republish (request, first_seller, last_seller, moved_from, through, sellers)
    select $1, $2, $3, $4, $2::bigint - 1, count(*) from seller where seller_id between $2 and $3
    on conflict do nothing`,
    [request, first, last, movedFrom],
  );
}

/** Ends older runs whose sellers are all in this run. Runs of a growth stay: they have to leave markers. */
export async function endRunsWithin(db: Queryable, request: string): Promise<void> {
  await db.query(
    `update republish older set finished_at = clock_timestamp()
    from republish this
    where this.request = $1 and older.started_at < this.started_at and older.finished_at is null
      and older.moved_from is null and older.first_seller >= this.first_seller and older.last_seller <= this.last_seller`,
    [request],
  );
}

export async function removeRun(db: Queryable, request: string): Promise<void> {
  await db.query('delete from republish where request = $1', [request]);
}

/** A run, and the layout at the same moment. */
export interface LockedRun {
  /** Sellers up to this id are done. */
  readonly through: number;
  readonly lastSeller: number;
  readonly movedFrom: number | null;
  readonly sellersDone: number;
  readonly sellers: number;
  readonly finished: boolean;
  /** Null while no layout is stored. */
  readonly partitions: number | null;
}

interface RunRow {
  readonly through: number;
  readonly last_seller: number;
  readonly moved_from: number | null;
  readonly sellers_done: number;
  readonly sellers: number;
  readonly finished: boolean;
  readonly partitions: number | null;
}

/** Locks a run until the transaction ends; null when there is none of that name. */
export async function lockRun(db: Queryable, request: string): Promise<LockedRun | null> {
  const { rows } = await db.query<RunRow>(
    `select through, last_seller, republish.moved_from, sellers_done, sellers, finished_at is not null as finished,
      partitions
    from republish left join partition_layout on true where request = $1 for update of republish`,
    [request],
  );
  const [row] = rows;
  if (!row) return null;
  const { through, last_seller, moved_from, sellers_done, sellers, finished, partitions } = row;
  return {
    through,
    lastSeller: last_seller,
    movedFrom: moved_from,
    sellersDone: sellers_done,
    sellers,
    finished,
    partitions,
  };
}

/** Sellers in (after, last] by id, `limit` at most. */
export async function nextSellers(
  db: Queryable,
  after: number,
  last: number,
  limit: number,
): Promise<readonly number[]> {
  const { rows } = await db.query<{ seller_id: number }>(
    'select seller_id from seller where seller_id > $1 and seller_id <= $2 order by seller_id limit $3',
    [after, last, limit],
  );
  return rows.map(({ seller_id }) => seller_id);
}

/** Stores how far a run has come, in the transaction that adds its messages. */
export async function advanceRun(
  db: Queryable,
  request: string,
  { through, sellers, finished }: { through: number; sellers: number; finished: boolean },
): Promise<void> {
  await db.query(
    `update republish set through = $2, sellers_done = sellers_done + $3, progressed_at = clock_timestamp(),
      finished_at = case when $4 then clock_timestamp() end
    where request = $1`,
    [request, through, sellers, finished],
  );
}

/** Whether the outbox has more than so many rows, of any shard. */
export async function isOutboxLongerThan(db: Queryable, rowCount: number): Promise<boolean> {
  const { rows } = await db.query<{ waiting: number }>(
    'select count(*) as waiting from (select from outbox limit $1) waiting',
    [rowCount + 1],
  );
  return rows[0]!.waiting > rowCount;
}
