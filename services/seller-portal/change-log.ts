import { within } from '#platform/lifecycle.ts';
import type { Pool } from '#platform/postgres.ts';
import type { PortalCommand } from './command.ts';

/** A change that was acknowledged, and how to take it back from the version it led to. */
export interface LoggedChange {
  readonly title: string;
  readonly version: number;
  /** Null when it is not known how to. */
  readonly inverse: PortalCommand | null;
}

/** A change before it is sent. */
export interface Intent {
  readonly title: string;
  readonly inverse: PortalCommand | null;
  /** The version of the list it was made for: an erasure after that version forgets it. */
  readonly madeFor: number;
}

/** An erasure: the source of truth forgot a seller by making this version. */
export interface Erasure {
  readonly sellerId: number;
  readonly version: number;
}

/**
 * What self-view remembers of each seller's changes, in its own database. Every method rejects soon when the database
 * does not answer: the page can do without.
 */
export interface ChangeLog {
  /**
   * Notes a change before it is sent. A retry under the same key leaves the first entry, made for the same list. A
   * change to a list that is known to be older than an acknowledged one is not noted. Of each seller the newest few are
   * kept.
   */
  begin(sellerId: number, key: string, change: Intent): Promise<void>;
  /** Notes that the source of truth acknowledged it; `inverse` replaces what was known before. */
  acknowledge(sellerId: number, key: string, version: number, inverse: PortalCommand | null): Promise<void>;
  /** The change that led to this version, if it was made here and within the hour. */
  find(sellerId: number, version: number): Promise<LoggedChange | undefined>;
  /** The newest version acknowledged to the seller; 0 when none is remembered. */
  acknowledgedVersion(sellerId: number): Promise<number>;
}

/** How the record is emptied. */
export interface Forgetting {
  /** Deletes what sellers wrote more than an hour ago. */
  forgetOld(): Promise<void>;
  /**
   * Deletes what was noted of lists before these erasures, and lets no such note in any more.
   * @returns how many notes were deleted
   */
  erase(erasures: readonly Erasure[]): Promise<number>;
  /** Whether the erasure was carried out here: nothing is left of the lists before it, and nothing can be added. */
  isErased(erasure: Erasure): Promise<boolean>;
}

/** Changes kept of each seller. Undo needs the last one; the others are repetitions under way in other windows. */
export const CHANGES_KEPT = 20;
/** Rows deleted by one statement, so that it ends well before its timeout. */
const SWEEP = 1_000;

/**
 * @param pageDeadlineMs the deadline of a whole page. A look-up may take a sixth of it, because a page makes several.
 * Noting something may take twice as long, because it would be lost otherwise
 */
export function openChangeLog(db: Pool, pageDeadlineMs: number): ChangeLog & Forgetting {
  const readMs = Math.ceil(pageDeadlineMs / 6);
  const noteMs = readMs * 2;
  const sweep = async (statement: string) => {
    for (let swept = SWEEP; swept === SWEEP; ) swept = (await db.query(statement)).rowCount ?? 0;
  };
  return {
    async begin(sellerId, key, { title, inverse, madeFor }) {
      // The row of `acknowledged` is locked by this and by an erasure: one of them sees the other.
      const insert = db.query(
        `with known as (
           insert into acknowledged (seller_id, version) values ($1, $5)
           on conflict (seller_id) do update
             set version = greatest(acknowledged.version, excluded.version), at = excluded.at
           returning version),
         surplus as (
           delete from change where seller_id = $1 and idempotency_key in (
             select idempotency_key from change where seller_id = $1 and idempotency_key <> $2
             order by at desc offset $6))
         insert into change (seller_id, idempotency_key, title, inverse, made_for)
         select $1, $2, $3, $4, $5 from known where known.version <= $5
         on conflict (seller_id, idempotency_key) do nothing`,
        [sellerId, key, title, inverse === null ? null : JSON.stringify(inverse), madeFor, CHANGES_KEPT - 1],
      );
      await within(noteMs, 'noting a change', insert);
    },
    async acknowledge(sellerId, key, version, inverse) {
      const update = db.query(
        `with done as (
           update change set version = $3, inverse = coalesce($4::jsonb, inverse)
           where seller_id = $1 and idempotency_key = $2)
         insert into acknowledged (seller_id, version) values ($1, $3)
         on conflict (seller_id) do update
           set version = greatest(acknowledged.version, excluded.version), at = excluded.at`,
        [sellerId, key, version, inverse === null ? null : JSON.stringify(inverse)],
      );
      await within(noteMs, 'noting an acknowledged version', update);
    },
    async find(sellerId, version) {
      const select = db.query<LoggedChange>(
        `select title, version, inverse from change
         where seller_id = $1 and version = $2 and at > now() - interval '1 hour'
         order by at desc limit 1`,
        [sellerId, version],
      );
      const { rows } = await within(readMs, 'looking for the last change', select);
      return rows[0];
    },
    async acknowledgedVersion(sellerId) {
      const select = db.query<{ version: number }>('select version from acknowledged where seller_id = $1', [
        sellerId,
      ]);
      const { rows } = await within(readMs, 'looking for the acknowledged version', select);
      return rows[0]?.version ?? 0;
    },

    async forgetOld() {
      await sweep(`delete from change where (seller_id, idempotency_key) in (
        select seller_id, idempotency_key from change where at < now() - interval '1 hour' limit ${SWEEP})`);
      await sweep(`delete from acknowledged where seller_id in (
        select seller_id from acknowledged where at < now() - interval '1 day' limit ${SWEEP})`);
    },
    async erase(erasures) {
      if (erasures.length === 0) return 0;
      const values = [erasures.map(({ sellerId }) => sellerId), erasures.map(({ version }) => version)];
      // First the mark, then the deletion: a note that got in before the mark is there to be deleted.
      await db.query(
        `insert into acknowledged (seller_id, version)
         select seller_id, max(version) from unnest($1::bigint[], $2::bigint[]) erased (seller_id, version)
         group by seller_id order by seller_id
         on conflict (seller_id) do update
           set version = greatest(acknowledged.version, excluded.version), at = excluded.at`,
        values,
      );
      const { rowCount } = await db.query(
        `delete from change using unnest($1::bigint[], $2::bigint[]) erased (seller_id, version)
         where change.seller_id = erased.seller_id and change.made_for < erased.version`,
        values,
      );
      return rowCount ?? 0;
    },
    async isErased({ sellerId, version }) {
      const { rows } = await db.query<{ erased: boolean }>(
        `select exists (select from acknowledged where seller_id = $1 and version >= $2)
           and not exists (select from change where seller_id = $1 and made_for < $2) as erased`,
        [sellerId, version],
      );
      return rows[0]!.erased;
    },
  };
}
