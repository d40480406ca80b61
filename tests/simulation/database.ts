import { type Random, randomFor } from '../../services/seed/random.ts';
import type { SimProcess } from './process.ts';
import type { Event, Scheduler } from './scheduler.ts';

/** An error as `pg` throws it. */
export const databaseError = (code: string, message: string): Error =>
  Object.assign(new Error(message), { code });

const terminated = () => new Error('Connection terminated unexpectedly');

interface Pending {
  readonly table: string | null;
  readonly work: () => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (err: unknown) => void;
  readonly sentAt: number;
  isSettled: boolean;
  /** The event by which the server ends a statement that waits too long for a lock. */
  cancel: Event | null;
}

/** A PostgreSQL server as sessions see it. What it stores is in the files that use it. */
export class DatabaseServer {
  readonly scheduler: Scheduler;
  readonly sessions = new Set<Session>();
  /** One way, in ms. */
  latency: readonly [number, number] = [0.1, 0.6];
  readonly onCrash: (() => void)[] = [];
  readonly #random: Random;
  readonly #locked = new Set<string>();
  #isUp = true;
  #pids = 100;

  constructor(scheduler: Scheduler, name: string, seed: number) {
    this.scheduler = scheduler;
    this.#random = randomFor(`database ${name}`, 0, seed);
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Opens a session, in a round trip. */
  connect(process: SimProcess, onLost: (err: Error) => void, statementTimeoutMs: number): Promise<Session> {
    return new Promise((resolve, reject) => {
      this.scheduler.after(this.wait(), null, () => {
        if (!this.#isUp) {
          process.after(this.wait(), () => reject(databaseError('ECONNREFUSED', 'connection refused')));
          return;
        }
        const session = new Session(this, process, ++this.#pids, onLost, statementTimeoutMs);
        this.sessions.add(session);
        process.after(this.wait(), () => resolve(session));
      });
    });
  }

  wait(): number {
    const [least, most] = this.latency;
    return least + this.#random.fraction() * (most - least);
  }

  isLocked(table: string | null): boolean {
    return table !== null && this.#locked.has(table);
  }

  /** Makes statements on the table wait until it is unlocked. */
  lock(table: string): void {
    this.#locked.add(table);
  }

  unlock(table: string): void {
    this.#locked.delete(table);
    for (const session of this.sessions) session.proceed();
  }

  /** Ends every session and refuses new ones, until `start`. Unflushed writes are lost. */
  crash(): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    for (const session of [...this.sessions]) session.lose();
    for (const told of this.onCrash) told();
  }

  start(): void {
    this.#isUp = true;
  }

  /** Ends sessions while the server goes on: a cut connection, or `pg_terminate_backend`. */
  cut(which: (session: Session) => boolean): void {
    for (const session of [...this.sessions]) if (which(session)) session.lose();
  }
}

/** A connection of a process: its statements run one after another, and are answered in that order. */
export class Session {
  readonly process: SimProcess;
  /** The process id of the backend. */
  readonly pid: number;
  /** Advisory locks that it holds; they are released with it. */
  readonly locks = new Set<string>();
  /** Called when the server has noticed that the session is over. */
  readonly onEnd: (() => void)[] = [];
  /** The server ends the session after so long without a statement. */
  idleTimeoutMs = Number.POSITIVE_INFINITY;
  /** Until then, messages of both sides are delayed. */
  silentUntil = 0;
  readonly #server: DatabaseServer;
  readonly #onLost: (err: Error) => void;
  readonly #statementTimeoutMs: number;
  readonly #queue: Pending[] = [];
  readonly #unanswered = new Set<Pending>();
  #heardAt = 0;
  #isOver = false;
  #isEnded = false;
  #arrivesAt = 0;
  #answersAt = 0;

  constructor(
    server: DatabaseServer,
    process: SimProcess,
    pid: number,
    onLost: (err: Error) => void,
    statementTimeoutMs: number,
  ) {
    this.#server = server;
    this.process = process;
    this.pid = pid;
    this.#onLost = onLost;
    this.#statementTimeoutMs = statementTimeoutMs;
    this.#heardAt = server.scheduler.now;
    process.onDeath.push((lingerMs) => this.#end(lingerMs));
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * @param work the effect of the statement: it happens at once and completely, or not at all when it throws
   * @param table must not be locked by others meanwhile
   */
  query<T>(work: () => T, table: string | null = null): Promise<T> {
    if (this.#isOver || this.#isEnded) return Promise.reject(new Error('Connection terminated'));
    const { scheduler } = this.#server;
    return new Promise<T>((resolve, reject) => {
      const pending: Pending = {
        table,
        work,
        resolve: resolve as (value: unknown) => void,
        reject,
        sentAt: scheduler.now,
        isSettled: false,
        cancel: null,
      };
      this.#unanswered.add(pending);
      this.#arrivesAt =
        Math.max(scheduler.now + this.#server.wait(), this.#arrivesAt, this.silentUntil) + 1e-6;
      this.#watch(pending);
      scheduler.at(this.#arrivesAt, null, () => {
        if (this.#isOver) return;
        this.#heardAt = scheduler.now;
        this.#queue.push(pending);
        this.proceed();
      });
    });
  }

  /** Ends the session from the client's side. */
  async end(): Promise<void> {
    this.#isEnded = true;
    this.#fail(new Error('Connection terminated'));
    this.#end(this.#server.wait());
  }

  /** Ends the session from outside; the client hears of it after the network's delay. */
  lose(): void {
    if (this.#isOver) return;
    this.#end(0);
    this.process.after(this.#server.wait(), () => {
      this.#fail(terminated());
      this.#onLost(terminated());
    });
  }

  /** Nothing gets through for so long, and neither side gets an error. */
  silence(ms: number): void {
    this.silentUntil = Math.max(this.silentUntil, this.#server.scheduler.now + ms);
    for (const pending of this.#unanswered) this.#watch(pending);
    this.expectSilence();
  }

  /** Call it when no statement may come for a while: the server ends the session if that takes too long. */
  expectSilence(): void {
    const look = () => {
      if (this.#isOver || this.#queue.length > 0) return;
      const idleUntil = this.#heardAt + this.idleTimeoutMs;
      if (idleUntil <= this.#server.scheduler.now) this.lose();
      else if (this.process.isPaused || this.silentUntil > this.#server.scheduler.now) {
        this.#server.scheduler.at(idleUntil, null, look);
      }
    };
    if (this.idleTimeoutMs < Number.POSITIVE_INFINITY) {
      this.#server.scheduler.at(this.#heardAt + this.idleTimeoutMs, null, look);
    }
  }

  /** Runs the waiting statements, up to one that waits for a table. */
  proceed(): void {
    for (let next = this.#queue[0]; next && !this.#isOver; next = this.#queue[0]) {
      if (this.#server.isLocked(next.table)) {
        this.#waitForLock(next);
        return;
      }
      this.#queue.shift();
      if (next.cancel) next.cancel.run = null;
      this.#answer(next, next.work);
    }
  }

  #waitForLock(pending: Pending): void {
    pending.cancel ??= this.#server.scheduler.after(this.#statementTimeoutMs, null, () => {
      if (this.#queue[0] !== pending || this.#isOver) return;
      this.#queue.shift();
      this.#answer(pending, () => {
        throw databaseError('57014', 'canceling statement due to statement timeout');
      });
      this.proceed();
    });
  }

  #answer(pending: Pending, work: () => unknown): void {
    let settle: () => void;
    try {
      const value = work();
      settle = () => pending.resolve(value);
    } catch (err) {
      settle = () => pending.reject(err);
    }
    const { scheduler } = this.#server;
    this.#answersAt = Math.max(scheduler.now + this.#server.wait(), this.#answersAt, this.silentUntil) + 1e-6;
    scheduler.at(this.#answersAt, this.process, () => {
      if (!this.#unanswered.delete(pending) || pending.isSettled) return;
      pending.isSettled = true;
      settle();
    });
  }

  /** The driver gives up on an answer a little after the server's own timeout: only a silent server gets that far. */
  #watch(pending: Pending): void {
    if (this.silentUntil < pending.sentAt + this.#statementTimeoutMs + 500) return;
    this.#server.scheduler.at(pending.sentAt + this.#statementTimeoutMs + 500, this.process, () => {
      if (pending.isSettled) return;
      pending.isSettled = true;
      pending.reject(new Error('Query read timeout'));
    });
  }

  #fail(err: Error): void {
    for (const pending of this.#unanswered) {
      if (!pending.isSettled) pending.reject(err);
      pending.isSettled = true;
    }
    this.#unanswered.clear();
  }

  #end(afterMs: number): void {
    if (this.#isOver) return;
    if (afterMs > 0) {
      // What was sent earlier arrives earlier.
      this.#server.scheduler.at(Math.max(this.#server.scheduler.now + afterMs, this.#arrivesAt), null, () =>
        this.#end(0),
      );
      return;
    }
    this.#isOver = true;
    this.#queue.length = 0;
    this.#server.sessions.delete(this);
    this.locks.clear();
    for (const told of this.onEnd) told();
  }
}
