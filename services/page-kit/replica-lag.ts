import type { Statement } from '#pages/page.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { within } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { LeadsElsewhere, type Pool, type Queryable } from '#platform/postgres.ts';
import { isDown } from './is-down.ts';

/** Where an instance is in the log of changes (WAL) of its database. */
export interface Position {
  readonly is_standby: boolean;
  /** In bytes; null where the instance does not say. */
  readonly position: number | null;
  /** Whether it has replayed all that it received. */
  readonly replayed_all: boolean;
}

// Every user may ask for these. The views of replication tell most users nothing.
export const POSITION = {
  name: 'position',
  text: `select standby as is_standby, (lsn - '0/0'::pg_lsn)::bigint as position,
      coalesce(lsn >= pg_last_wal_receive_lsn(), true) as replayed_all
    from (select pg_is_in_recovery() as standby) as one,
      lateral (select case when standby then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end as lsn) as other`,
};

const LOOK_EVERY_MS = 1_000;
const DEADLINE_MS = 2_000;
/** Looks at the primary that are kept, so that a lag of up to a minute is told exactly. */
const MOST_MARKS = 64;

/**
 * How far a replica is behind: by positions in the log that the primary told, each with the time it was asked. An instance
 * that is beyond one of them has all that was committed until then. No clock of a server counts, and a primary that
 * commits nothing makes nobody late.
 */
export class ReplicaLag {
  readonly #marks: { readonly at: number; readonly position: number }[] = [];

  /** @param at when the primary was asked, in ms, before it answered */
  primaryWasAt(position: number, at: number): void {
    this.#marks.push({ at, position });
    if (this.#marks.length > MOST_MARKS) this.#marks.shift();
  }

  /**
   * @returns the time until which an instance at this position has everything; null when the primary was never heard, or
   * the instance is further behind than is remembered
   */
  hasAllUntil(position: number): number | null {
    // From the newest: a primary that took over may be at a lower position than the one before it was.
    return this.#marks.findLast((mark) => mark.position <= position)?.at ?? null;
  }

  /**
   * By how much an answer is older than what the primary would have answered, in ms, to a second. Once the primary is
   * not heard any more this stands still: what was not heard of was hardly acknowledged.
   */
  of({ is_standby, position, replayed_all }: Position): number {
    if (!is_standby) return 0;
    const newest = this.#marks.at(-1);
    // Started while the primary was down: the standby itself is the only witness.
    if (newest === undefined) return replayed_all ? 0 : Number.POSITIVE_INFINITY;
    const until = position === null ? null : this.hasAllUntil(position);
    return until === null ? Number.POSITIVE_INFINITY : newest.at - until;
  }
}

/**
 * Asks a replica for its position, and something else on the same connection: behind an address there may be several.
 * A standby that is promoted keeps its sessions, while its address leads to others: they are given up.
 */
export async function askReplica(
  pool: Pick<Pool, 'connect'>,
  statement?: Statement,
): Promise<{ readonly position: Position; readonly rows: unknown[] }> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    // The position first: the statement then sees all that came until there.
    const [positions, answer] = await Promise.all([
      client.query<Position>(POSITION),
      statement && client.query<object>(statement),
    ]);
    const position = positions.rows[0]!;
    if (!position.is_standby) broken = new LeadsElsewhere('the replica has become the primary');
    return { position, rows: answer?.rows ?? [] };
  } catch (err) {
    // A connection on which a statement was refused is as good as before.
    if (isDown(err)) broken = err as Error;
    throw err;
  } finally {
    client.release(broken);
  }
}

export interface ReplicaObserver {
  /** @param at until when the replica has all that the primary had, in ms since 1970 */
  hasAllUntil(at: number): void;
}

/** Asks both, each second until the signal, where they are, and logs when the replica falls behind, is gone, or comes back. */
export async function followReplica(
  { primary, replica }: { readonly primary: Queryable; readonly replica: Pick<Pool, 'connect'> },
  lag: ReplicaLag,
  { longestMs, observer }: { readonly longestMs: number; readonly observer: ReplicaObserver },
  signal: AbortSignal,
  log: Log,
  clock: Clock = SYSTEM_CLOCK,
): Promise<void> {
  const inTime = <T>(what: string, asked: Promise<T>): Promise<T> => {
    asked.catch(() => {});
    return within(DEADLINE_MS, `to ask ${what} for its position`, asked, clock);
  };
  let last = '';
  const is = (state: 'current' | 'behind' | 'away', details: object) => {
    if (state === last) return;
    if (state === 'behind')
      log.warn(details, 'the replica of the database of the page is too far behind to be read');
    else if (state === 'away') log.warn(details, 'the replica of the database of the page does not answer');
    else log.info(details, 'the replica of the database of the page is current');
    last = state;
  };
  while (!signal.aborted) {
    const [monotonic, wall] = [clock.monotonic(), Date.now()];
    try {
      const { rows } = await inTime('the primary', primary.query<Position>(POSITION));
      const { is_standby, position } = rows[0]!;
      if (!is_standby && position !== null) lag.primaryWasAt(position, monotonic);
    } catch (err) {
      log.debug({ err }, 'could not ask the primary for its position');
    }
    if (signal.aborted) return;
    try {
      const { position: found } = await inTime('the replica', askReplica(replica));
      const behindMs = lag.of(found);
      const until = found.position === null ? null : lag.hasAllUntil(found.position);
      if (until !== null) observer.hasAllUntil(wall - (monotonic - until));
      is(behindMs <= longestMs ? 'current' : 'behind', { behindMs });
    } catch (err) {
      if (!signal.aborted) is('away', { err });
    }
    await clock.pause(LOOK_EVERY_MS, signal);
  }
}
