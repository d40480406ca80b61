import { type Clock, SYSTEM_CLOCK } from './clock.ts';
import type { Log } from './log.ts';
import type { Queryable } from './postgres.ts';

/** A transaction that writes the table: it holds the lock that every insertion takes before it draws an id. */
export interface Writer {
  /** As pg_locks names it: unique for as long as the server runs. */
  readonly transaction: string;
  /** Process id of its session; null for a prepared transaction. */
  readonly pid: number | null;
}

/**
 * Up to which id everything is decided. An insertion locks the table, then draws its id, then ends; the lock is
 * released last, after the row can be seen. So the last id drawn is read first, and **then** who holds the lock. When
 * none of these holds it any more, every transaction that drew an id up to that one has ended: what a statement sees
 * there from now on is all there will ever be.
 */
export class IdProof {
  #upTo = 0;
  #pending: { readonly last: number; readonly since: number; readonly writers: ReadonlySet<string> } | null =
    null;

  /** The highest id up to which nothing can appear any more; 0 before anything is proven. */
  get upTo(): number {
    return this.#upTo;
  }

  /** Since when the oldest unfinished proof waits for others, by the clock of `observe`; null when none does. */
  get waitsSince(): number | null {
    return this.#pending?.since ?? null;
  }

  /**
   * @param last the last id drawn, read **before** `writers`
   * @param writers who holds the lock
   */
  observe(last: number, writers: readonly Writer[], now: number): void {
    const holding = new Set(writers.map(({ transaction }) => transaction));
    // A transaction keeps its name when it is prepared; before PostgreSQL 14.1 it got one of this form. One of this
    // form may be any of those that are waited for.
    const renamed = writers.some(({ transaction }) => transaction.startsWith('-1/'));
    const pending = this.#pending;
    if (pending !== null) {
      if (renamed || [...pending.writers].some((writer) => holding.has(writer))) return;
      this.#upTo = Math.max(this.#upTo, pending.last);
      this.#pending = null;
    }
    if (holding.size === 0) this.#upTo = Math.max(this.#upTo, last);
    else this.#pending = { last, since: now, writers: holding };
  }

  reset(): void {
    this.#upTo = 0;
    this.#pending = null;
  }
}

/** A walk along a table by id that is about to begin. */
export interface Look {
  /** Rows below this id need not be looked at. */
  readonly from: number;
  /** Tells the lowest id that the walk could see, from `from` on; null when there was none. */
  saw(lowest: number | null): void;
}

const PROVE_EVERY_MS = 500;
/** Before anything is proven every walk begins at the very first row. */
const FIRST_PROOF_EVERY_MS = 50;
const PROVE_IDLE_EVERY_MS = 5_000;
const WARN_AFTER_MS = 60_000;

/**
 * The id at which walks along a table of short-lived rows may begin: below it no row can be seen, and none will ever
 * appear. Deleted rows stay in the index for as long as any snapshot in the database is older than their deletion;
 * without a floor each walk goes over all of them.
 *
 * It is no cursor. It passes an id only once every transaction that could still put a row there has ended (`IdProof`)
 * and a walk that began afterwards has found nothing. It costs writers nothing. Only transactions that write this table
 * hold it up. It is kept in memory: a new holder begins at 0.
 *
 * Assumption: ids come from the identity of the column `id`, one at a time and upwards. With a sequence that has a
 * cache or a step the floor stays at 0; a sequence that was set back takes it to 0. An id that was written by hand
 * (`overriding system value`) may be missed: look below the floor now and then, and `reset` it if there is something.
 */
export class IdFloor {
  readonly #db: Queryable;
  readonly #table: string;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #proof = new IdProof();
  #from = 0;
  /** Changes when the floor is taken back: a walk that began before does not raise it. */
  #turn = 0;
  #provenAt = Number.NEGATIVE_INFINITY;
  /** Rows came or went since the proof. */
  #flows = true;
  #proving: Promise<void> | null = null;
  #warned = false;

  constructor(db: Queryable, table: string, log: Log, clock: Clock = SYSTEM_CLOCK) {
    this.#db = db;
    this.#table = table;
    this.#log = log;
    this.#clock = clock;
  }

  get from(): number {
    return this.#from;
  }

  look(): Look {
    // Taken before the walk: a proof that comes later says nothing about what the walk sees.
    const { upTo } = this.#proof;
    const turn = this.#turn;
    return {
      from: this.#from,
      saw: (lowest) => {
        if (lowest !== null) this.#flows = true;
        if (turn !== this.#turn) return;
        this.#from = Math.max(this.#from, Math.min(upTo + 1, lowest ?? Number.POSITIVE_INFINITY));
      },
    };
  }

  /** Rows from this id on are to be looked at again. */
  lower(id: number): void {
    this.#from = Math.min(this.#from, id);
    this.#turn += 1;
  }

  /** Walks begin at the very first row until something is proven anew. */
  reset(): void {
    this.#from = 0;
    this.#turn += 1;
    this.#proof.reset();
    this.#provenAt = Number.NEGATIVE_INFINITY;
  }

  /** Rows were written or deleted. */
  flows(): void {
    this.#flows = true;
  }

  /**
   * Asks who writes, if it is time to: every half second while rows come and go. Never two at once.
   * @throws what `pg` throws
   */
  async prove(): Promise<void> {
    const first = this.#proof.upTo === 0 && this.#proof.waitsSince !== null;
    const every = first ? FIRST_PROOF_EVERY_MS : this.#flows ? PROVE_EVERY_MS : PROVE_IDLE_EVERY_MS;
    if (this.#clock.monotonic() - this.#provenAt < every) return;
    this.#proving ??= this.#prove().finally(() => {
      this.#proving = null;
    });
    await this.#proving;
  }

  async #prove(): Promise<void> {
    this.#provenAt = this.#clock.monotonic();
    const { rows: ids } = await this.#db.query<{ last: number | null; cache: number; step: number }>({
      name: 'last-id',
      text: `select pg_sequence_last_value(seqrelid) as last, seqcache as cache, seqincrement as step
        from pg_sequence where seqrelid = pg_get_serial_sequence($1, 'id')::regclass`,
      values: [this.#table],
    });
    const sequence = ids[0];
    if (sequence === undefined || sequence.cache !== 1 || sequence.step !== 1) {
      this.#warn(
        { sequence },
        'the ids of a table do not come one by one; every look at it begins at its first row',
      );
      this.reset();
      this.#provenAt = this.#clock.monotonic();
      return;
    }
    const last = sequence.last ?? 0;
    if (last < this.#proof.upTo) {
      this.#log.error({ table: this.#table, last, from: this.#from }, 'the ids of a table were set back');
      this.reset();
    }
    // Only now: see IdProof.
    const { rows: writers } = await this.#db.query<Writer>({
      name: 'writers',
      text: `select distinct virtualtransaction as transaction, pid from pg_locks
        where locktype = 'relation' and granted and mode = 'RowExclusiveLock' and relation = $1::regclass
          and database = (select oid from pg_database where datname = current_database())`,
      values: [this.#table],
    });
    const now = this.#clock.monotonic();
    this.#proof.observe(last, writers, now);
    const { waitsSince } = this.#proof;
    if (waitsSince === null) this.#warned = false;
    else if (now - waitsSince > WARN_AFTER_MS) {
      this.#warn(
        { table: this.#table, writers },
        'a transaction that writes a table stays open; looks at the table become slower until it ends',
      );
    }
    if (this.#proof.upTo >= last) this.#flows = false;
  }

  #warn(about: object, message: string): void {
    if (!this.#warned) this.#log.warn(about, message);
    this.#warned = true;
  }
}
