import type { Queryable } from '#platform/postgres.ts';

/**
 * How messages are divided among partitions. The source's database is the authority, whatever the topic or a Kafka
 * client says.
 */
export interface PartitionLayout {
  readonly partitions: number;
  /** The number of partitions before, while sellers are still being republished to their new ones. */
  readonly movedFrom: number | null;
  /** The age of this layout in ms, by the clock of the database. */
  readonly ageMs: number;
}

/** Null until the first relay has led its shard. */
export async function readLayout(db: Queryable): Promise<PartitionLayout | null> {
  const { rows } = await db.query<{ partitions: number; moved_from: number | null; age: number }>(
    `select partitions, moved_from, extract(epoch from clock_timestamp() - changed_at)::float8 * 1000 as age
    from partition_layout`,
  );
  const [row] = rows;
  return row ? { partitions: row.partitions, movedFrom: row.moved_from, ageMs: row.age } : null;
}

/** Stores the first layout; an existing one stays. */
export async function storeFirstLayout(db: Queryable, partitions: number): Promise<void> {
  await db.query('insert into partition_layout (partitions) values ($1) on conflict do nothing', [
    partitions,
  ]);
}

/** Divides messages among another number of partitions from now on, while sellers move from their old partitions. */
export async function changeLayout(db: Queryable, from: number, to: number): Promise<void> {
  await db.query(
    'update partition_layout set partitions = $2, moved_from = $1, changed_at = clock_timestamp()',
    [from, to],
  );
}

/** Marks that every seller is in the partition of the layout. */
export async function endMove(db: Queryable): Promise<void> {
  await db.query('update partition_layout set moved_from = null');
}

/** The progress of republishing, to be shown. */
export interface RepublishProgress {
  readonly sellersDone: number;
  readonly sellers: number;
  /** When it last made progress, in ms since the epoch. */
  readonly progressedAt: number;
}

/** The progress of an unfinished growth, else of the oldest unfinished run; null when there is none. */
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
