import { cloudEventType } from './events.ts';

/**
 * A repair says once more what a seller's list is, because the row of some view is not as the source has it. Its value
 * is the seller's newest event, or null where the source does not know the seller; header `ce_replaces` names the
 * wrong row. The reasoning, which the projector and the property tests beside it follow:
 *
 * - **It goes through the outbox, under the lock of the seller's row**, so on the topic it comes after every version
 *   it knows and before every version it does not. Compaction may therefore keep it as the seller's only message: it
 *   carries the full list, and a view that is built from it has what the event itself would have given.
 * - **To most views it is an ordinary event**, written where the view is older or has no row. A row that is as it
 *   should be has that version already, and nothing happens: duplicates, replays from offset 0 and views of other
 *   pages, deliveries or versions all read it without harm.
 * - **A row at the same version, or above it, is replaced only when it is the wrong row itself**: compared by version
 *   *and* by a digest of all its bytes. The version alone would not do: after a repair of a row that was at 10 while
 *   the source was at 5, the seller goes on to a rightful 10, and a zombie that applied the repair then would take it
 *   back to 5. The rightful row has other bytes. It also keeps a repair from views that are wrong in
 *   another way, or not at all.
 * - **Its type is its own**, so that readers recognise it without another header; a reader that does not know it takes
 *   it for an event, which does no harm.
 */
export const REPAIR = 'seller-repaired';

export const REPAIR_TYPE = cloudEventType(REPAIR);

/** The header that names the row to replace. Absent: only an older row is replaced, or a missing one written. */
export const REPLACES_HEADER = 'ce_replaces';

/** A row of a view that is known to be wrong. */
export interface WrongRow {
  readonly version: number;
  /** A digest of all its bytes in 64 bits, as a signed decimal number. */
  readonly digest: string;
}

/** As header and outbox carry it: `<version>:<digest>`. */
export const writeWrongRow = ({ version, digest }: WrongRow): string => `${version}:${digest}`;

/** Null for a text that names no row: nothing is replaced on a guess. */
export function readWrongRow(text: string | null): WrongRow | null {
  const [, version, digest] = /^(-?\d{1,16}):(-?\d{1,19})$/.exec(text ?? '') ?? [];
  if (version === undefined || digest === undefined || !Number.isSafeInteger(Number(version))) return null;
  // The database would refuse a number beyond its type.
  return BigInt.asIntN(64, BigInt(digest)) === BigInt(digest) ? { version: Number(version), digest } : null;
}
