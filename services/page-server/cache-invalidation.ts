import type { ListMemory, ToldOfChanges } from '#pages/page.ts';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import { within } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { connect, type PoolSettings, SharedSession } from '#platform/postgres.ts';

/** Sellers whose last change is remembered, at most: beyond, all of them count as changed. */
const LONGEST = 20_000;
const TRY_AGAIN_MS = 1_000;
/** A database that cannot tell may be replaced by one that can. */
const LOOK_AGAIN_MS = 60_000;
/** How often it asks how full the queue of notifications is, and so whether the connection still lives, in ms. */
const LOOK_AT_QUEUE_MS = 2_000;
/** Longer than a page may wait: a database that is slow is not gone, and must not be asked for every list on top. */
const STATEMENT_TIMEOUT_MS = 5_000;
/** Shares of the queue. The triggers tell nothing above one half (notify-never-stops-a-write.sql): this comes before. */
const QUEUE_FILLS = 0.4;
const QUEUE_HAS_ROOM = 0.3;

/**
 * Which sellers' rows changed lately, as the view's triggers tell it (tell-of-changes.sql). All times are of this
 * process: what it hears at a time was committed before, so that a statement sent later read it.
 */
export class ViewChanges implements ToldOfChanges {
  /** Of this process, all that remembers lists. */
  readonly memory: ListMemory = {
    forgetSeller: (sellerId) => {
      for (const one of this.#memories) one.forgetSeller(sellerId);
    },
    forgetUnlessAskedWithin: (ms) => {
      for (const one of this.#memories) one.forgetUnlessAskedWithin(ms);
    },
  };
  readonly #memories: ListMemory[] = [];
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #changedAt = new Map<number, number>();
  /** Nothing is known of changes before this. */
  #since = Number.POSITIVE_INFINITY;

  constructor(clock: Pick<Clock, 'monotonic'> = SYSTEM_CLOCK) {
    this.#clock = clock;
  }

  remembering(memory: ListMemory): void {
    this.#memories.push(memory);
  }

  isUnchanged(sellerId: number, since: number): boolean {
    return since > this.#since && !this.hasChanged(sellerId, since);
  }

  hasChanged(sellerId: number, since: number): boolean {
    const changedAt = this.#changedAt.get(sellerId);
    return changedAt !== undefined && since <= changedAt;
  }

  /** Every change from now on will be noted. */
  begin(): void {
    this.#changedAt.clear();
    this.#since = this.#clock.monotonic();
  }

  /** Changes may go unnoticed from now on. */
  end(): void {
    this.#since = Number.POSITIVE_INFINITY;
  }

  /** @param payload ids of sellers, separated by commas, or `*` for all */
  note(payload: string): void {
    const sellers = payload === '*' ? [] : payload.split(',');
    if (sellers.length === 0 || this.#changedAt.size + sellers.length > LONGEST) {
      if (this.#since < Number.POSITIVE_INFINITY) this.begin();
      else this.#changedAt.clear();
      return;
    }
    const now = this.#clock.monotonic();
    for (const seller of sellers) this.#changedAt.set(Number(seller), now);
  }
}

export interface TellingObserver {
  /** Whether changes are told to this process. */
  told(is: boolean): void;
  /** Which share of the server's queue of notifications is taken; 0 where that is not known. */
  queueUsed(share: number): void;
}

/**
 * Listens to the changes of a view until the signal, on a connection of its own. Without it, where the database cannot
 * tell, and while its queue of notifications fills, pages ask the view at every visit, as they do for a list that was not
 * asked for lately.
 * @param clock the one of `changes`
 */
export async function followViewChanges(
  database: Omit<PoolSettings, 'maximum'>,
  schema: string,
  changes: ViewChanges,
  observer: TellingObserver,
  signal: AbortSignal,
  log: Log,
  clock: Clock = SYSTEM_CLOCK,
): Promise<void> {
  while (!signal.aborted) {
    let again = TRY_AGAIN_MS;
    const over = Promise.withResolvers<Error | null>();
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
        const { rows } = await client.query<{ tells: boolean; backend: number }>(
          `select pg_backend_pid() as backend, exists (
            select from pg_trigger where tgrelid = $1::regclass and tgname = 'tell_of_updates') as tells`,
          [`"${schema}".top_clients`],
        );
        const { tells, backend } = rows[0]!;
        if (tells) {
          await client.query(`listen "${schema}"`);
          let trusts = false;
          while (!ended.signal.aborted) {
            const used = await queueUsed(client, backend).catch((err: Error) => {
              over.resolve(err);
              return null;
            });
            if (used === null) break;
            observer.queueUsed(used);
            if (trusts && used >= QUEUE_FILLS) {
              trusts = false;
              changes.end();
              observer.told(false);
              log.warn(
                { used },
                'the queue of notifications of the database fills, which some session keeps from being emptied; asks for each list at every visit until it has room',
              );
            } else if (!trusts && used < QUEUE_HAS_ROOM) {
              trusts = true;
              changes.begin();
              observer.told(true);
              log.info({ used }, 'is told of changes of the view');
            }
            await clock.pause(LOOK_AT_QUEUE_MS, ended.signal);
          }
          const lost = await over.promise;
          if (lost)
            log.warn({ err: lost }, 'is not told of changes of the view any more; asks at every visit');
        } else {
          again = LOOK_AGAIN_MS;
          log.warn(
            'the database cannot tell of changes of the view: migrate has not run; asks at every visit',
          );
        }
      } finally {
        changes.end();
        observer.told(false);
        observer.queueUsed(0);
        await within(1_000, 'to end the connection', client.end()).catch(() => {});
      }
    } catch (err) {
      if (err instanceof SharedSession) {
        again = LOOK_AGAIN_MS;
        log.warn({ err }, 'the database cannot tell of changes of the view; asks at every visit');
      } else log.debug({ err }, 'could not listen to the changes of the view; tries again');
    }
    signal.removeEventListener('abort', stop);
    await clock.pause(again, signal);
  }
}

/** @throws SharedSession when a pooler was told to share its sessions since: another one may be told in its place */
async function queueUsed(client: Awaited<ReturnType<typeof connect>>, backend: number): Promise<number> {
  const { rows } = await client.query<{ used: number; backend: number }>(
    'select pg_notification_queue_usage() as used, pg_backend_pid() as backend',
  );
  if (rows[0]!.backend !== backend)
    throw new SharedSession('a connection changed its session', 'who is told of changes');
  return rows[0]!.used;
}
