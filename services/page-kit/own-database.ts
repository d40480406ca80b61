import { BrokenCircuitError, CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel';
import type { PageDatabase, Statement } from '#pages/page.ts';
import { DeadlineExceeded, pause, within } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import type { Pool } from '#platform/postgres.ts';
import { isDown } from './is-down.ts';
import { askReplica, type Position } from './replica-lag.ts';

/** The page's own database does not answer: down, out of reach, too slow, or asked for more than it can do. */
export class OwnDatabaseUnavailable extends Error {
  override name = 'OwnDatabaseUnavailable';
}

/** Which server of the page's database answers: the one that is written to, or one that follows it. */
export type InstanceName = 'primary' | 'replica';

export interface Replica {
  /** With pipelining, so that its position costs no round trip of its own. */
  readonly pool: Pool;
  /** Whether what an instance at this position answers is fresh enough. */
  isFresh(position: Position): boolean;
}

export interface OwnDatabaseOptions {
  /** How long statements fail at once before one tries again, in ms */
  readonly breakMs?: number;
  readonly replica?: Replica | null;
  /** Told which instance answered a statement. */
  readonly answered?: (by: InstanceName) => void;
}

/** Statements that may wait for a connection, for each connection of the pool. */
const WAITING_PER_CONNECTION = 50;
const FAILURES_TO_BREAK = 5;
/** The share of the time that is left which the primary has for itself, before the replica is asked too. */
const PATIENCE = 0.25;

/** One server, behind a circuit breaker: once it is known to be down nobody waits for it. */
class Instance {
  readonly #pool: Pool;
  readonly #send: (statement: Statement) => Promise<unknown[]>;
  readonly #longestQueue: number;
  readonly #breaker;
  /** When a server that is down is tried again, on the clock of `Date.now()`, as the breaker counts. */
  #nextTry = 0;

  constructor(
    pool: Pool,
    send: (statement: Statement) => Promise<unknown[]>,
    { breakMs, broke, back }: { breakMs: number; broke: (err: unknown) => void; back: () => void },
  ) {
    this.#pool = pool;
    this.#send = send;
    this.#longestQueue = pool.options.max * WAITING_PER_CONNECTION;
    this.#breaker = circuitBreaker(handleWhen(isDown), {
      halfOpenAfter: breakMs,
      breaker: new ConsecutiveBreaker(FAILURES_TO_BREAK),
    });
    this.#breaker.onBreak((reason) => {
      this.#nextTry = Date.now() + breakMs;
      broke('error' in reason ? reason.error : undefined);
    });
    this.#breaker.onReset(back);
  }

  get isWell(): boolean {
    return this.#breaker.state === CircuitState.Closed;
  }

  /** @param isLastResort whether to wait for the one statement that tries if the server is back */
  async ask<Row>(statement: Statement, deadline: number, isLastResort: boolean): Promise<Row[]> {
    if (this.#pool.waitingCount >= this.#longestQueue) {
      throw new OwnDatabaseUnavailable('too many statements wait for the database of the page');
    }
    if (this.#breaker.state === CircuitState.HalfOpen && !isLastResort)
      throw new OwnDatabaseUnavailable('it was down a moment ago');
    try {
      return await this.#breaker.execute(() => this.#run<Row>(statement, deadline));
    } catch (cause) {
      if (isDown(cause) || cause instanceof BrokenCircuitError) {
        throw new OwnDatabaseUnavailable('the database of the page does not answer', { cause });
      }
      throw cause;
    }
  }

  /** Asks at the next try of a server that is down, unless that comes after the deadline. */
  async askAtNextTry<Row>(statement: Statement, deadline: number): Promise<Row[]> {
    const left = deadline - performance.now();
    // A timer may be a millisecond early.
    const wait = this.isWell ? 0 : Math.max(0, this.#nextTry - Date.now()) + 1;
    if (wait >= left) throw new OwnDatabaseUnavailable('it is not tried again in time');
    const answer = pause(wait).then(() => this.ask<Row>(statement, deadline, true));
    return within(left, statement.name, answer);
  }

  /** The pool ends what runs on after the deadline: a wait by its connect timeout, a statement by its own timeout. */
  #run<Row>(statement: Statement, deadline: number): Promise<Row[]> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new DeadlineExceeded(`${statement.name} took too long`)),
        Math.max(0, deadline - performance.now()),
      );
      this.#send(statement).then(
        (rows) => {
          clearTimeout(timer);
          resolve(rows as Row[]);
        },
        (err: unknown) => {
          clearTimeout(timer);
          reject(err);
        },
      );
    });
  }
}

/**
 * The page's own database: every statement has a deadline, and is answered by any instance that can. The primary is asked
 * first. When it fails, or is silent for a part of the time that is left, a replica that is fresh enough is asked; the first
 * answer counts. While the primary is known to be down nobody waits for it, and who tries it asks the replica beside. When
 * none answers, the primary is asked once more at its next try: the only standby is gone from its address when it is promoted.
 */
export class OwnDatabase {
  readonly #primary: Instance;
  readonly #replica: Instance | null;
  readonly #answered: (by: InstanceName) => void;

  constructor(
    pool: Pool,
    log: Log,
    { breakMs = 250, replica = null, answered = () => {} }: OwnDatabaseOptions = {},
  ) {
    const otherwise = replica === null ? '' : '; its replica is read';
    this.#primary = new Instance(pool, async (statement) => (await pool.query(statement)).rows, {
      breakMs,
      broke: (err) => log.error({ err }, `the database of the page is down${otherwise}`),
      back: () => log.info('the database of the page answers again'),
    });
    this.#replica =
      replica &&
      new Instance(replica.pool, (statement) => readFresh(replica, statement), {
        breakMs,
        broke: (err) => log.warn({ err }, 'the replica of the database of the page is down'),
        back: () => log.info('the replica of the database of the page answers again'),
      });
    this.#answered = answered;
  }

  /** @param deadline when the last statement of a request has to be done, on the clock of `performance.now()` */
  until(deadline: number): PageDatabase {
    const db = {
      mayLag: false,
      query: async <Row>(statement: Statement): Promise<Row[]> => {
        const { rows, by } = await this.#ask<Row>(statement, deadline);
        this.#answered(by);
        if (by === 'replica') db.mayLag = true;
        return rows;
      },
    };
    return db;
  }

  async #ask<Row>(statement: Statement, deadline: number): Promise<{ rows: Row[]; by: InstanceName }> {
    if (this.#replica !== null) return this.#askEither(this.#replica, statement, deadline);
    return { rows: await this.#primary.ask<Row>(statement, deadline, false), by: 'primary' };
  }

  #askEither<Row>(
    replica: Instance,
    statement: Statement,
    deadline: number,
  ): Promise<{ rows: Row[]; by: InstanceName }> {
    return new Promise((resolve, reject) => {
      let ofPrimary: OwnDatabaseUnavailable | null = null;
      let ofReplica: Error | null = null;
      const answered = (rows: Row[]) => resolve({ rows, by: 'primary' });
      const failed = () => {
        if (ofPrimary === null || ofReplica === null) return;
        const { cause = ofReplica } = ofReplica;
        const why = `its replica does not help: ${(cause as Error).message}`;
        const told = new OwnDatabaseUnavailable(`${ofPrimary.message}; ${why}`, { cause: ofPrimary.cause });
        this.#primary.askAtNextTry<Row>(statement, deadline).then(answered, () => reject(told));
      };
      let isAsked = false;
      const askReplica = () => {
        if (isAsked) return;
        isAsked = true;
        replica.ask<Row>(statement, deadline, true).then(
          (rows) => resolve({ rows, by: 'replica' }),
          (err: Error) => {
            ofReplica = err;
            failed();
          },
        );
      };
      const patience = this.#primary.isWell ? PATIENCE * Math.max(0, deadline - performance.now()) : 0;
      const timer = setTimeout(askReplica, patience);
      this.#primary.ask<Row>(statement, deadline, false).then(
        (rows) => {
          clearTimeout(timer);
          answered(rows);
        },
        (err: unknown) => {
          clearTimeout(timer);
          // A statement that is refused is a fault of ours, which a replica has too.
          if (!(err instanceof OwnDatabaseUnavailable)) return reject(err);
          ofPrimary = err;
          askReplica();
          failed();
        },
      );
    });
  }
}

async function readFresh({ pool, isFresh }: Replica, statement: Statement): Promise<unknown[]> {
  const { position, rows } = await askReplica(pool, statement);
  if (!isFresh(position)) throw new OwnDatabaseUnavailable('the replica is too far behind');
  return rows;
}
