import type { ToldOfChanges } from '#pages/page.ts';
import { pause, within } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { connect, type PoolSettings } from '#platform/postgres.ts';

/** Sellers whose last change is remembered, at most: beyond, all of them count as changed. */
const LONGEST = 20_000;
const TRY_AGAIN_MS = 1_000;
/** A database that cannot tell may be replaced by one that can. */
const LOOK_AGAIN_MS = 60_000;

/**
 * Which sellers' rows changed lately, as the view's triggers tell it (tell-of-changes.sql). All times are of this
 * process: what it hears at a time was committed before, so that a statement sent later read it.
 */
export class ViewChanges implements ToldOfChanges {
  readonly #changedAt = new Map<number, number>();
  /** Nothing is known of changes before this. */
  #since = Number.POSITIVE_INFINITY;

  isUnchanged(sellerId: number, since: number): boolean {
    return since > this.#since && since > (this.#changedAt.get(sellerId) ?? 0);
  }

  /** Every change from now on will be noted. */
  begin(): void {
    this.#changedAt.clear();
    this.#since = performance.now();
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
      return;
    }
    const now = performance.now();
    for (const seller of sellers) this.#changedAt.set(Number(seller), now);
  }
}

/**
 * Listens to the changes of a view until the signal, on a connection of its own. Without it, and where the database
 * cannot tell, pages ask the view at every visit, as they do for a list that was not asked for lately.
 * @param onListening told whether it listens
 */
export async function followViewChanges(
  database: Omit<PoolSettings, 'maximum'>,
  schema: string,
  changes: ViewChanges,
  onListening: (listens: boolean) => void,
  signal: AbortSignal,
  log: Log,
): Promise<void> {
  while (!signal.aborted) {
    let again = TRY_AGAIN_MS;
    const over = Promise.withResolvers<Error | null>();
    const stop = () => over.resolve(null);
    signal.addEventListener('abort', stop);
    try {
      const client = await connect(database, over.resolve);
      try {
        client.on('end', () => over.resolve(new Error('the database ended the connection')));
        client.on('notification', ({ payload = '*' }) => changes.note(payload));
        // A pooler shows another process id than the server's, and may give the session, and what it is told, to others.
        const { rows } = await client.query<{ tells: boolean }>(
          `select pg_backend_pid() = $1 and exists (
            select from pg_trigger where tgrelid = $2::regclass and tgname = 'tell_of_updates') as tells`,
          [(client as unknown as { processID: number }).processID, `"${schema}".top_clients`],
        );
        if (rows[0]!.tells) {
          await client.query(`listen "${schema}"`);
          changes.begin();
          onListening(true);
          const lost = await over.promise;
          if (lost)
            log.warn({ err: lost }, 'is not told of changes of the view any more; asks at every visit');
        } else {
          again = LOOK_AGAIN_MS;
          log.warn(
            'the database cannot tell of changes of the view: a pooler shares the session, or migrate has not run; asks at every visit',
          );
        }
      } finally {
        changes.end();
        onListening(false);
        await within(1_000, 'to end the connection', client.end()).catch(() => {});
      }
    } catch (err) {
      log.debug({ err }, 'could not listen to the changes of the view; tries again');
    }
    signal.removeEventListener('abort', stop);
    await pause(again, signal);
  }
}
