import { BUCKETS } from '#contracts/bucket.ts';
import { Bell, untilRung } from '#platform/bell.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import type { Log } from '#platform/log.ts';
import type { Client } from '#platform/postgres.ts';
import type { Shard } from './outbox.ts';

/** First key of the locks of those who sleep, and into how many parts the outbox is divided for them: migration 008. */
const ALARM_CLASS = 20_260_818;
const PARTS = 64;

/** Wakes a relay that sleeps when a row of its shard is committed. */
export interface OutboxAlarm {
  /**
   * Everything that was written before is visible to the next look at the outbox; everything after it rings.
   * @returns null when it cannot be set at the moment: somebody is writing, the outbox does not ring, or PostgreSQL refuses
   * what it takes, which is logged once
   */
  set(): Promise<SetAlarm | null>;
}

export interface SetAlarm {
  /** Resolves once it has rung since it was set or since the last call, after `ms`, or when the signal aborts. */
  rung(ms: number, signal: AbortSignal): Promise<void>;
  /** Rows that are committed from now on do not ring. */
  off(): void;
}

/**
 * While a relay sleeps it holds a session lock of each part of the outbox that its shard has rows in. A transaction that
 * writes a row tries to share the part's lock until it ends, and notifies the relay if it cannot. To get the lock, the relay
 * needs every transaction that has shared it to have ended, so that its rows are visible: no row is missed. What does not
 * fire triggers (`session_replication_role`) does not ring, so a sleeper looks by itself now and then.
 *
 * Where shards do not divide {@link PARTS}, two have rows in the same part, and one of them cannot sleep meanwhile.
 *
 * @param db the connection of the relay's looks, with a session of its own
 */
export function openOutboxAlarm(
  db: Client,
  shard: Shard,
  log: Log,
  clock: Clock = SYSTEM_CLOCK,
): OutboxAlarm {
  const parts = partsOf(shard);
  const bell = new Bell();
  let hears = false;
  let warned = false;
  db.on('notification', ({ channel, payload }) => {
    if (channel === 'outbox' && parts.has(Number(payload))) bell.ring();
  });
  const off = () => {
    // A lost connection has no locks either.
    db.query('select pg_advisory_unlock_all()').catch(() => {});
  };
  /** @returns whether all locks are held, so that every row rings */
  const take = async (): Promise<boolean> => {
    try {
      if (!hears) await db.query('listen outbox');
      hears = true;
      const values = [ALARM_CLASS, [...parts]];
      const { rows } = await db.query<{ got: boolean | null }>({ ...TAKE_LOCKS, values });
      return rows[0]!.got === true;
    } catch (err) {
      // Whoever looks by himself needs no alarm. A lost connection is told by the next look.
      if (!warned) log.warn({ err }, 'the relay cannot be woken by those who write; it looks by itself');
      warned = true;
      return false;
    }
  };
  return {
    async set() {
      let ring = bell.next();
      if (!(await take())) {
        // Some locks may be held, and stay so after an error.
        off();
        return null;
      }
      return {
        async rung(ms, signal) {
          await untilRung(ring, ms, signal, clock);
          ring = bell.next();
        },
        off,
      };
    },
  };
}

const TAKE_LOCKS = {
  name: 'set-alarm',
  text: `select case when exists (
      select from pg_trigger where tgrelid = 'outbox'::regclass and tgname = 'wake_relay' and tgenabled in ('O', 'A')
    ) then (select bool_and(pg_try_advisory_lock($1, part)) from unnest($2::integer[]) part) end as got`,
};

function partsOf({ index, of }: Shard): ReadonlySet<number> {
  const parts = new Set<number>();
  for (let bucket = index; bucket < BUCKETS; bucket += of) parts.add(bucket % PARTS);
  return parts;
}
