import type pg from 'pg';
import { BUCKETS } from '#contracts/bucket.ts';
import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { connect, type PoolSettings, SharedSession } from '#platform/postgres.ts';
import type { Shard } from '../top-clients/adapters/postgres/outbox.ts';

/** First key of the advisory locks; any number that nobody else takes in the source's database. */
export const LOCK_CLASS = 20_260_817;

/** How often a standby tries to take the lock, and how often a leader shows that it lives. */
const TRY_EVERY_MS = 200;
const RENEW_EVERY_MS = 500;
/** PostgreSQL ends a leader's session, and with it the lock, after this long without a sign of life. */
const SERVER_PATIENCE_MS = 5_000;
/** The leader itself stops earlier. The time counts from just before its last successful sign of life. */
const LEASE_MS = 3_000;

/** Fencing: keeps a deposed leader (a zombie) from acting. Asked before each act. */
export interface Fence {
  /** Compares with the clock, because a process that was asleep has missed its timers. */
  isHeld(): boolean;
}

/** Leadership over a shard, for as long as `lost` has not been aborted. */
export interface Lease extends Fence {
  readonly lost: AbortSignal;
  /** Gives the leadership back at once. */
  release(): Promise<void>;
}

/**
 * Waits until this process leads the shard. The lock is a session advisory lock on each of the shard's buckets, so that
 * relays with different numbers of shards cannot overlap either. The lock is polled, not waited for: a waiting
 * statement holds a snapshot, and vacuum could not clean the outbox.
 *
 * @param onStandby called once connected, before leadership
 * @returns null when `stopped` was aborted first
 * @throws what `pg` throws when the database cannot be reached
 */
export async function acquireLease(
  settings: Omit<PoolSettings, 'maximum'>,
  shard: Shard,
  stopped: AbortSignal,
  log: Log,
  onStandby: () => void,
): Promise<Lease | null> {
  const lost = new AbortController();
  const db = await connect(settings, (err) => lost.abort(err));
  db.on('end', () => lost.abort(new Error('the connection ended')));
  try {
    await db.query(`set idle_session_timeout = ${SERVER_PATIENCE_MS}`);
    onStandby();
    for (;;) {
      if (stopped.aborted) {
        await db.end();
        return null;
      }
      if (lost.signal.aborted)
        throw new Error('lost the connection while in waiting', { cause: lost.signal.reason });
      const askedAt = Date.now();
      const backend = await tryLock(db, shard);
      if (backend !== null) return holdLease(db, backend, lost, askedAt, log);
      await pause(TRY_EVERY_MS, stopped);
    }
  } catch (err) {
    void db.end().catch(() => {});
    throw err;
  }
}

/** @returns the backend's process id of the session that has the locks now; null when another session has them */
async function tryLock(db: pg.Client, shard: Shard): Promise<number | null> {
  // The first bucket decides almost always. A node that was demoted to a replica leads nothing.
  const { rows } = await db.query<{ got: boolean; backend: number }>(
    'select not pg_is_in_recovery() and pg_try_advisory_lock($1, $2) as got, pg_backend_pid() as backend',
    [LOCK_CLASS, shard.index],
  );
  const { got, backend } = rows[0]!;
  if (!got) return null;
  const all = await db.query<{ got: boolean }>(
    'select bool_and(pg_try_advisory_lock($1, bucket)) as got from generate_series($2::integer, $3::integer, $4::integer) bucket',
    [LOCK_CLASS, shard.index, BUCKETS - 1, shard.of],
  );
  if (all.rows[0]!.got) return backend;
  await db.query('select pg_advisory_unlock_all()');
  return null;
}

function holdLease(db: pg.Client, backend: number, lost: AbortController, since: number, log: Log): Lease {
  let validUntil = since + LEASE_MS;
  let watch = setTimeout(expire, LEASE_MS);
  function expire() {
    lost.abort(new Error(`no sign of life reached the database for ${LEASE_MS} ms`));
  }
  const renew = async () => {
    const askedAt = Date.now();
    const { rows } = await db.query<{ replica: boolean; backend: number }>(
      'select pg_is_in_recovery() as replica, pg_backend_pid() as backend',
    );
    if (rows[0]!.replica) throw new Error('the database was demoted to a replica');
    // A pooler was told to share its sessions meanwhile.
    if (rows[0]!.backend !== backend)
      throw new SharedSession('a connection changed its session', 'the relay');
    if (lost.signal.aborted) return;
    validUntil = askedAt + LEASE_MS;
    clearTimeout(watch);
    watch = setTimeout(expire, validUntil - Date.now());
  };
  const renewing = setInterval(() => {
    renew().catch((err) => lost.abort(err));
  }, RENEW_EVERY_MS);
  const rest = () => {
    clearTimeout(watch);
    clearInterval(renewing);
    return db.end();
  };
  const onLost = () => {
    log.warn({ err: lost.signal.reason }, 'lost the leadership');
    rest().catch(() => {});
  };
  lost.signal.addEventListener('abort', onLost);
  return {
    lost: lost.signal,
    isHeld: () => !lost.signal.aborted && Date.now() < validUntil,
    async release() {
      lost.signal.removeEventListener('abort', onLost);
      await rest();
    },
  };
}
