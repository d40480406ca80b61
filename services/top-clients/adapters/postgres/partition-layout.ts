import type { Queryable } from '#platform/postgres.ts';

/**
 * By how many partitions messages are divided, as the source's database says: the authority, whatever the topic has or
 * a client of Kafka knows.
 */
export interface PartitionLayout {
  readonly partitions: number;
  /** The number before, while sellers are still being published in their new partitions. */
  readonly movedFrom: number | null;
  /** How long it has been so, in ms, by the clock of the database. */
  readonly ageMs: number;
}

/** Null until the first relay has led. */
export async function readLayout(db: Queryable): Promise<PartitionLayout | null> {
  const { rows } = await db.query<{ partitions: number; moved_from: number | null; age: number }>(
    `select partitions, moved_from, extract(epoch from clock_timestamp() - changed_at)::float8 * 1000 as age
    from partition_layout`,
  );
  const [row] = rows;
  return row ? { partitions: row.partitions, movedFrom: row.moved_from, ageMs: row.age } : null;
}

/** Stores the first layout; one that is there stays. */
export async function storeFirstLayout(db: Queryable, partitions: number): Promise<void> {
  await db.query('insert into partition_layout (partitions) values ($1) on conflict do nothing', [
    partitions,
  ]);
}

/** Divides messages by another number from now on, while sellers move there from where the number before put them. */
export async function changeLayout(db: Queryable, from: number, to: number): Promise<void> {
  await db.query(
    'update partition_layout set partitions = $2, moved_from = $1, changed_at = clock_timestamp()',
    [from, to],
  );
}

/** Says that every seller is where the layout says. */
export async function endMove(db: Queryable): Promise<void> {
  await db.query('update partition_layout set moved_from = null');
}

/** How far states have been published again, for whoever shows it. */
export interface RepublishProgress {
  readonly sellersDone: number;
  readonly sellers: number;
  /** When it last went on, in ms since the epoch. */
  readonly progressedAt: number;
}

/** Of a growth that is not finished, else of the oldest run that is not; null when there is none. */
export async function readProgress(db: Queryable): Promise<RepublishProgress | null> {
  const { rows } = await db.query<{ sellers_done: number; sellers: number; progressed_at: Date }>(
    `select sellers_done, sellers, progressed_at from republish where finished_at is null
    order by moved_from is null, started_at limit 1`,
  );
  const [row] = rows;
  return row
    ? { sellersDone: row.sellers_done, sellers: row.sellers, progressedAt: row.progressed_at.getTime() }
    : null;
}
