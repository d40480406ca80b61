import type { EvictableCache, InvalidationFeed } from '#pages/page.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { within } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { connect, type PoolSettings, SharedSession } from '#platform/postgres.ts';
import { type ListeningSession, QueueLooks } from './queue-looks.ts';

/** Most sellers whose last change is kept. Beyond, every cache entry is invalidated. */
const MOST_SELLERS = 20_000;
const TRY_AGAIN_MS = 1_000;
/** Pause before the next attempt, in ms: a database that sends no notifications may be replaced by one that does. */
const LOOK_AGAIN_MS = 60_000;
/** Longer than a page may wait: a slow database is not gone, and must not be asked for every list on top. */
const STATEMENT_TIMEOUT_MS = 5_000;
/**
 * Shares of the queue at which caching stops and resumes. The triggers notify nobody above one half
 * (notify-never-stops-a-write.sql), so caching stops earlier.
 */
const QUEUE_FILLS = 0.4;
const QUEUE_HAS_ROOM = 0.3;

/**
 * Invalidates cached lists by change notification: the triggers of the shown view notify which sellers' rows changed
 * (view-migrations/009-read-surface.sql), and showing another view notifies of all. All times are this process's own: a
 * change was committed before the process hears of it, so a statement that is sent later reads the change.
 */
export class ChangeNotifications implements InvalidationFeed {
  /** All caches of this process as one. */
  readonly cache: EvictableCache = {
    evictSeller: (sellerId) => {
      for (const one of this.#caches) one.evictSeller(sellerId);
    },
    evictOlderThan: (ms) => {
      for (const one of this.#caches) one.evictOlderThan(ms);
    },
  };
  readonly #caches: EvictableCache[] = [];
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #changedAt = new Map<number, number>();
  /** While there is one. */
  listening: ListeningSession | null = null;
  /** Notifications are complete from this time on. */
  #since = Number.POSITIVE_INFINITY;

  constructor(clock: Pick<Clock, 'monotonic'> = SYSTEM_CLOCK) {
    this.#clock = clock;
  }

  register(cache: EvictableCache): void {
    this.#caches.push(cache);
  }

  isUnchanged(sellerId: number, since: number): boolean {
    return since > this.#since && !this.isInvalidated(sellerId, since);
  }

  isInvalidated(sellerId: number, since: number): boolean {
    const changedAt = this.#changedAt.get(sellerId);
    return changedAt !== undefined && since <= changedAt;
  }

  /** Every change from now on is notified. */
  begin(): void {
    this.#changedAt.clear();
    this.#since = this.#clock.monotonic();
  }

  /** Notifications may be missed from now on. */
  end(): void {
    this.#since = Number.POSITIVE_INFINITY;
  }

  /** @param payload ids of sellers, separated by commas, or `*` for all */
  note(payload: string): void {
    const sellers = payload === '*' ? [] : payload.split(',');
    if (sellers.length === 0 || this.#changedAt.size + sellers.length > MOST_SELLERS) {
      if (this.#since < Number.POSITIVE_INFINITY) this.begin();
      else this.#changedAt.clear();
      return;
    }
    const now = this.#clock.monotonic();
    for (const seller of sellers) this.#changedAt.set(Number(seller), now);
  }
}

export interface InvalidationObserver {
  /** Whether change notifications reach this process. */
  connected(is: boolean): void;
  /** Which share of the server's queue of notifications is taken; 0 where that is not known. */
  queueUsed(share: number): void;
}

/** `Promise.withResolvers`, which Node 20 lacks. */
function deferred<T>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/**
 * Listens to the change notifications of the read surface until the signal, on a connection of its own. While it cannot,
 * and while the database's queue of notifications fills, no cached list is current: pages ask the view at every visit.
 * @param clock the clock of `changes`
 */
export async function followChangeNotifications(
  database: Omit<PoolSettings, 'maximum'>,
  changes: ChangeNotifications,
  observer: InvalidationObserver,
  signal: AbortSignal,
  log: Log,
  clock: Clock = SYSTEM_CLOCK,
): Promise<void> {
  while (!signal.aborted) {
    let again = TRY_AGAIN_MS;
    const over = deferred<Error | null>();
    // What ends the connection ends the pause between two looks at the queue too.
    const ended = new AbortController();
    void over.promise.then(() => ended.abort());
    const stop = () => over.resolve(null);
    signal.addEventListener('abort', stop);
    try {
      const client = await connect({ ...database, statementTimeoutMs: STATEMENT_TIMEOUT_MS }, over.resolve);
      try {
        client.on('end', () => over.resolve(new Error('the database ended the connection')));
        client.on('notification', ({ payload = '*' }) => changes.note(payload));
        const { rows } = await client.query<{ notifies: boolean; backend: number }>(
          // From the catalogue, which every reader may read. The triggers of what is shown alone are enabled.
          `select pg_backend_pid() as backend, exists (
            select from pg_trigger
              join pg_class on pg_class.oid = tgrelid join pg_namespace as space on space.oid = relnamespace
            where nspname like 'top\\_clients\\_asynchronous\\_v%' and relname = 'top_clients'
              and tgname = 'notify_of_updates' and tgenabled <> 'D') as notifies`,
        );
        const { notifies, backend } = rows[0]!;
        if (notifies) {
          await client.query('listen top_clients');
          const looks = new QueueLooks(client, backend, ended.signal, over.resolve);
          changes.listening = looks;
          let trusts = false;
          while (!ended.signal.aborted) {
            const used = await looks.next();
            if (used === null) break;
            observer.queueUsed(used);
            if (trusts && used >= QUEUE_FILLS) {
              trusts = false;
              changes.end();
              observer.connected(false);
              log.warn(
                { used },
                'the queue of notifications of the database fills, which some session keeps from being emptied; no cached list is shown until it has room',
              );
            } else if (!trusts && used < QUEUE_HAS_ROOM) {
              trusts = true;
              changes.begin();
              observer.connected(true);
              log.info({ used }, 'cache invalidation is connected');
            }
            await looks.untilDue(clock);
          }
          const lost = await over.promise;
          if (lost)
            log.warn({ err: lost }, 'cache invalidation lost its connection; asks the view at every visit');
        } else {
          again = LOOK_AGAIN_MS;
          log.warn(
            'the view sends no change notifications: migrate has not run; asks the view at every visit',
          );
        }
      } finally {
        changes.listening = null;
        changes.end();
        observer.connected(false);
        observer.queueUsed(0);
        await within(1_000, 'to end the connection', client.end()).catch(() => {});
      }
    } catch (err) {
      if (err instanceof SharedSession) {
        again = LOOK_AGAIN_MS;
        log.warn({ err }, 'cache invalidation needs a session of its own; asks the view at every visit');
      } else log.debug({ err }, 'could not listen to change notifications; tries again');
    }
    signal.removeEventListener('abort', stop);
    await clock.pause(again, signal);
  }
}
