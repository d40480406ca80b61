import type { Clock } from '#platform/clock.ts';
import { type Client, SharedSession } from '#platform/postgres.ts';

/** How often it asks how full the queue of notifications is, and so whether the connection still lives, in ms. */
const LOOK_AT_QUEUE_MS = 2_000;
/** How much later it asks while another statement of the session has told it so far, in ms. */
const WAIT_TO_BE_TOLD_MS = 500;

/** How full the queue of notifications is, and of which session that was asked. */
export interface QueueLook {
  /** A share. */
  readonly used: number;
  readonly backend: number;
}

/** `QueueLook` as columns of a select. */
export const QUEUE_LOOK = 'pg_notification_queue_usage() as used, pg_backend_pid() as backend';

/** The session that listens. Whoever has a statement that any session will do for asks the look along: one wake-up for both. */
export interface ListeningSession {
  query<Row extends object>(statement: {
    readonly name: string;
    readonly text: string;
    readonly values: unknown[];
  }): Promise<{ readonly rows: Row[] }>;
  looked(look: QueueLook): void;
}

/** Looks at the queue of notifications by the session that listens, which so shows that it lives. */
export class QueueLooks implements ListeningSession {
  readonly #client: Pick<Client, 'query'>;
  readonly #backend: number;
  readonly #end: (why: Error) => void;
  readonly #ended: AbortSignal;
  /** Cut short when it is told, or the session has ended. */
  #rest = new AbortController();
  #look: QueueLook | null = null;
  #isTold = false;

  /**
   * @param ended aborts when the session has
   * @param end told why the session is of no use any more
   */
  constructor(client: Pick<Client, 'query'>, backend: number, ended: AbortSignal, end: (why: Error) => void) {
    this.#client = client;
    this.#backend = backend;
    this.#end = end;
    this.#ended = ended;
    ended.addEventListener('abort', () => this.#rest.abort(), { once: true });
  }

  async query<Row extends object>(statement: { name: string; text: string; values: unknown[] }) {
    try {
      return await this.#client.query<Row>(statement);
    } catch (err) {
      // What the server refuses says nothing of the session. That nothing came from it does.
      if (!('severity' in (err as Error))) this.#end(err as Error);
      throw err;
    }
  }

  looked(look: QueueLook): void {
    this.#look = look;
    this.#rest.abort();
  }

  /** @returns which share is taken; null once the session is of no use any more */
  async next(): Promise<number | null> {
    try {
      const told = this.#look;
      this.#isTold = told !== null;
      this.#look = null;
      const { used, backend } = told ?? (await this.#ask());
      if (backend === this.#backend) return used;
      // Another connection may get the notifications instead.
      throw new SharedSession('a connection changed its session', 'who listens to change notifications');
    } catch (err) {
      this.#end(err as Error);
      return null;
    }
  }

  /** Resolves when it was told, or has to ask. */
  async untilDue(clock: Clock): Promise<void> {
    if (this.#ended.aborted || this.#look !== null) return;
    this.#rest = new AbortController();
    await clock.pause(LOOK_AT_QUEUE_MS + (this.#isTold ? WAIT_TO_BE_TOLD_MS : 0), this.#rest.signal);
  }

  async #ask(): Promise<QueueLook> {
    return (await this.#client.query<QueueLook>(`select ${QUEUE_LOOK}`)).rows[0]!;
  }
}
