import { BrokenCircuitError, CircuitState, ConsecutiveBreaker, circuitBreaker, handleWhen } from 'cockatiel';
import type { PageDatabase, Statement } from '#pages/page.ts';
import { DeadlineExceeded } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { isUnavailable, type Pool } from '#platform/postgres.ts';

/** The page's own database does not answer: down, out of reach, too slow, or asked for more than it can do. */
export class OwnDatabaseUnavailable extends Error {
  override name = 'OwnDatabaseUnavailable';
}

// `57014 query_canceled`: the statement timeout.
const isTooSlow = (err: unknown) =>
  err instanceof DeadlineExceeded || (err as { code?: unknown } | null)?.code === '57014';
const isDown = (err: unknown) => isUnavailable(err) || isTooSlow(err);

/** Statements that may wait for a connection, for each connection of the pool. */
const WAITING_PER_CONNECTION = 50;
const FAILURES_TO_BREAK = 5;

/** The page's own database: every statement has a deadline, and once it is known to be down nobody waits for it. */
export class OwnDatabase {
  readonly #pool: Pool;
  readonly #longestQueue: number;
  readonly #breaker;

  /** @param breakMs how long statements fail at once before one tries again, in ms */
  constructor(pool: Pool, log: Log, breakMs = 250) {
    this.#pool = pool;
    this.#longestQueue = pool.options.max * WAITING_PER_CONNECTION;
    this.#breaker = circuitBreaker(handleWhen(isDown), {
      halfOpenAfter: breakMs,
      breaker: new ConsecutiveBreaker(FAILURES_TO_BREAK),
    });
    this.#breaker.onBreak((reason) =>
      log.error({ err: 'error' in reason ? reason.error : undefined }, 'the database of the page is down'),
    );
    this.#breaker.onReset(() => log.info('the database of the page answers again'));
  }

  /** @param deadline when the last statement of a request has to be done, on the clock of `performance.now()` */
  until(deadline: number): PageDatabase {
    return { query: (statement) => this.#query(statement, deadline) };
  }

  async #query<Row>(statement: Statement, deadline: number): Promise<Row[]> {
    if (this.#pool.waitingCount >= this.#longestQueue) {
      throw new OwnDatabaseUnavailable('too many statements wait for the database of the page');
    }
    // One statement tries whether the database is back. The others fail at once; the library would let them wait.
    if (this.#breaker.state === CircuitState.HalfOpen)
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

  /** The pool ends what runs on after the deadline: a wait by its connect timeout, a statement by its own timeout. */
  #run<Row>(statement: Statement, deadline: number): Promise<Row[]> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new DeadlineExceeded(`${statement.name} took too long`)),
        Math.max(0, deadline - performance.now()),
      );
      this.#pool.query(statement).then(
        (result) => {
          clearTimeout(timer);
          resolve(result.rows as Row[]);
        },
        (err: unknown) => {
          clearTimeout(timer);
          reject(err);
        },
      );
    });
  }
}
