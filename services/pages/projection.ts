import type { ReadSellerEvent } from '#contracts/event-codec.ts';
import type { Queryable } from '#platform/postgres.ts';
import type { CopyRows } from '#platform/postgres-copy.ts';

/**
 * How a view follows the events: what a page exports for each delivery that keeps data in its database.
 * The tables live in the schema of the view version (`viewSchema`), which leads the connection's search path, so
 * that two versions stand side by side under the same names.
 */
export interface Projection<Row = unknown> {
  /** The folder of the migrations that make its table. */
  readonly migrations: URL;
  /** One row a seller. Pure. An erased or empty seller still has a row: its version keeps late messages out. */
  toRow(event: ReadSellerEvent): Row;
  /**
   * Writes rows of distinct sellers in one statement, each only where its version is newer than the stored one.
   * @returns how many rows changed
   */
  upsert(db: Queryable, rows: readonly Row[]): Promise<number>;
  /** How new rows are copied into the table, for a small part of what `upsert` costs. */
  readonly copy: {
    /** `copy … from stdin (format binary)`, which fails if a seller has a row already. */
    readonly statement: string;
    /** Pure. @throws RangeError for a row that only `upsert` can write */
    write(row: Row, to: CopyRows): void;
  };
  /** What the read surface selects from its table, with the columns of `lists` or `client_ids`. */
  readonly surface: string;
}

/**
 * A digest of all the bytes of a row in 64 bits, as SQL of type bigint. It names a wrong row, so that the program that
 * finds it and the one that replaces it mean the same row.
 * @param row the name of a row
 */
export const rowDigest = (row: string): string =>
  `('x' || encode(substr(sha256(record_send(${row})), 1, 8), 'hex'))::bit(64)::bigint`;

/** The schema that holds one version of a page's view, its checkpoints and its parked messages. */
export const viewSchema = (delivery: 'asynchronous' | 'hybrid', viewVersion: number): string =>
  `top_clients_${delivery}_v${viewVersion}`;
