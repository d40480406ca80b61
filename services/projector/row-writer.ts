import type { Projection } from '#pages/projection.ts';
import { isUnavailable, type Queryable } from '#platform/postgres.ts';
import { CopyRows, copyRows } from '#platform/postgres-copy.ts';

/** Fewer rows are written faster by the one prepared statement. */
const LEAST_ROWS = 200;
/** Of a full list of three clients; a wrong guess costs a copy in memory. */
const EXPECTED_BYTES = 750;
/** Chunks written by `upsert` after a refused COPY: as many as this at most, however often it was refused. */
const MOST_UPSERTS = 256;

/**
 * What refuses a COPY and not an upsert. A unique violation (23505): a seller has a row. A deadlock (40P01) with another
 * session that writes the same sellers. Not supported (0A000): row level security of somebody else's server.
 */
const ONLY_COPY: ReadonlySet<unknown> = new Set(['23505', '40P01', '0A000']);

/**
 * Whether chunks are copied. After each refusal more chunks are upserted before the next one is copied, so that a backlog
 * of a view that stands tries it only a few times. It outlives sessions: where a connection breaks whenever rows are
 * copied, because of something in between that does not know COPY, a build gets on all the same.
 */
export class Copying {
  /** How many chunks are to be upserted before the next COPY. */
  #upserts = 0;
  /** How many after the next refusal. */
  #afterRefusal = 1;

  /** Whether the next chunk is copied. */
  get isOn(): boolean {
    return this.#upserts === 0;
  }

  /** Asked once for each chunk. */
  next(): boolean {
    if (this.isOn) return true;
    this.#upserts -= 1;
    return false;
  }

  succeeded(): void {
    this.#afterRefusal = Math.max(1, this.#afterRefusal / 2);
  }

  refused(): void {
    // Those in flight are refused together, which counts once.
    if (this.#upserts > 0) return;
    this.#upserts = this.#afterRefusal;
    this.#afterRefusal = Math.min(MOST_UPSERTS, this.#afterRefusal * 2);
  }
}

/**
 * Writes chunks of rows of distinct sellers, each row where it is newer. A chunk of a view that is being built holds
 * sellers that the view does not have: it is copied in. The primary key proves that they are new, whoever else writes,
 * and refuses the whole chunk if one of them is not; then it is upserted.
 */
export class RowWriter {
  readonly #db: Queryable;
  readonly #projection: Projection;
  readonly #copying: Copying;

  /** @param db a connection that may send statements before the one ahead is answered */
  constructor(db: Queryable, projection: Projection, copying: Copying) {
    this.#db = db;
    this.#projection = projection;
    this.#copying = copying;
  }

  /** @returns how many rows changed */
  async write(rows: readonly unknown[]): Promise<number> {
    const copy = rows.length >= LEAST_ROWS && this.#copying.next() ? this.#encoded(rows) : null;
    if (copy === null) return this.#projection.upsert(this.#db, rows);
    try {
      await copyRows(this.#db, this.#projection.copy.statement, copy);
      this.#copying.succeeded();
      return rows.length;
    } catch (err) {
      const isOnlyCopys = ONLY_COPY.has((err as { code?: unknown }).code);
      if (isOnlyCopys || isUnavailable(err)) this.#copying.refused();
      if (!isOnlyCopys) throw err;
      return this.#projection.upsert(this.#db, rows);
    }
  }

  /** Null where COPY cannot say it, or nobody can: the statement tells. */
  #encoded(rows: readonly unknown[]): CopyRows | null {
    const { copy } = this.#projection;
    const encoded = new CopyRows(rows.length * EXPECTED_BYTES);
    try {
      for (const row of rows) copy.write(row, encoded);
    } catch {
      return null;
    }
    return encoded;
  }
}
