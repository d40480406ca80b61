import { within } from '#platform/lifecycle.ts';
import type { Pool } from '#platform/postgres.ts';
import type { Command } from './command.ts';

/** A change that was acknowledged, and how to take it back from the version it led to. */
export interface Change {
  readonly title: string;
  readonly version: number;
  /** Null when it is not known how to. */
  readonly inverse: Command | null;
}

/**
 * What self-view remembers of each seller's changes, in its own database. All of it rejects soon when that does not
 * answer: the page can do without.
 */
export interface ChangeLog {
  /** Before a change is sent. A retry under the same key leaves the first entry, made for the same list. */
  begin(sellerId: number, key: string, change: { title: string; inverse: Command | null }): Promise<void>;
  /** After the source of truth acknowledged it; `inverse` replaces what was known before. */
  acknowledge(sellerId: number, key: string, version: number, inverse: Command | null): Promise<void>;
  /** The change that led to this version, if it was made here and within the hour. */
  find(sellerId: number, version: number): Promise<Change | undefined>;
  /** The newest version acknowledged to the seller; 0 when none is remembered. */
  acknowledgedVersion(sellerId: number): Promise<number>;
}

/** Often enough to keep what sellers wrote no longer than promised, seldom enough to cost nothing. In ms. */
const FORGET_EVERY_MS = 60_000;

/**
 * @param pageDeadlineMs of a page in all: looking something up may take a sixth of it, for a page does so several
 *   times; noting something, which would be lost otherwise, may take twice as long
 * @param clock milliseconds that only go forward
 */
export function openChangeLog(
  db: Pool,
  pageDeadlineMs: number,
  clock: () => number = () => performance.now(),
): ChangeLog {
  const readMs = Math.ceil(pageDeadlineMs / 6);
  const noteMs = readMs * 2;
  let forgotAt = 0;
  const forget = async () => {
    if (clock() - forgotAt < FORGET_EVERY_MS) return;
    forgotAt = clock();
    const remove = db.query(
      `with old_changes as (delete from change where at < now() - interval '1 hour')
       delete from acknowledged where at < now() - interval '1 day'`,
    );
    await within(noteMs, 'forgetting old changes', remove);
  };
  return {
    async begin(sellerId, key, { title, inverse }) {
      await forget();
      const insert = db.query(
        `insert into change (seller_id, idempotency_key, title, inverse) values ($1, $2, $3, $4)
         on conflict (seller_id, idempotency_key) do nothing`,
        [sellerId, key, title, inverse === null ? null : JSON.stringify(inverse)],
      );
      await within(noteMs, 'noting a change', insert);
    },
    async acknowledge(sellerId, key, version, inverse) {
      const update = db.query(
        `with done as (
           update change set version = $3, inverse = coalesce($4::jsonb, inverse), at = now()
           where seller_id = $1 and idempotency_key = $2)
         insert into acknowledged (seller_id, version) values ($1, $3)
         on conflict (seller_id) do update
           set version = greatest(acknowledged.version, excluded.version), at = excluded.at`,
        [sellerId, key, version, inverse === null ? null : JSON.stringify(inverse)],
      );
      await within(noteMs, 'noting an acknowledged version', update);
    },
    async find(sellerId, version) {
      await forget();
      const select = db.query<Change>(
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
  };
}
