import type { CopyRows } from '#platform/postgres-copy.ts';
import { type JoinedTexts, plainArray } from '#platform/postgres-statement.ts';

/** What every view keeps of a seller, whatever it keeps of the list. */
interface VersionedRow {
  readonly sellerId: number;
  readonly version: number;
  readonly committedAt: string;
}

/** The values of these columns for an upsert: an array each, in this order. */
export const versionColumns = (rows: readonly VersionedRow[]): readonly string[] => [
  plainArray(rows.map((row) => row.sellerId)),
  plainArray(rows.map((row) => row.version)),
  plainArray(rows.map((row) => row.committedAt)),
];

/** The same columns of one row that is copied, which come first. @param columns how many the row has in all */
export function beginCopy(to: CopyRows, columns: number, row: VersionedRow): void {
  to.begin(columns);
  to.bigint(row.sellerId);
  to.bigint(row.version);
  to.timestamptz(row.committedAt);
}

/**
 * JSON texts as two values, for `string_to_array`. JSON text never holds this raw control character, so that nothing has to be
 * escaped for an array literal here or unescaped there.
 */
export const jsonTexts = (texts: JoinedTexts['texts']): readonly [JoinedTexts, string] => [
  { texts, separator: SEPARATOR },
  SEPARATOR,
];
const SEPARATOR = '\x1e';
