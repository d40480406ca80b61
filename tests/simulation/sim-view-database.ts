import type { FullListRow } from '../../services/pages/views/full-list.ts';
import { type Random, randomFor } from '../../services/seed/random.ts';
import { DatabaseServer, databaseError } from './database.ts';
import type { SimProcess } from './process.ts';
import type { Scheduler } from './scheduler.ts';
import { SimParked } from './sim-parked.ts';
import type { Cause, RowChange, Witness } from './witness.ts';

interface Listener {
  readonly process: SimProcess;
  readonly told: (payload: string) => void;
}

/** A commit that does not wait for the disk is on disk after this time at most. */
const FLUSHED_AFTER_MS = 600;

/** A page's database: the tables of one view. Rows that were not flushed are lost in a crash. */
export class SimViewDatabase {
  readonly server: DatabaseServer;
  readonly rows = new Map<number, FullListRow>();
  readonly checkpoints = new Map<number, number>();
  readonly parked: SimParked;
  /** Every change of a row, for the judge. */
  readonly changes: RowChange[] = [];
  /** Which session owns which partition. */
  readonly owners = new Map<number, number>();
  readonly members = new Set<number>();
  readonly listeners = new Set<Listener>();
  /** Sellers whose rows the table refuses (by a constraint, or because of a value). */
  readonly refused = new Set<number>();
  /** The queue of notifications is full: commits that notify are refused. */
  isNotifyQueueFull = false;
  /** The probability that a notification is lost, and the most that one is late. */
  notifications = { lost: 0, lateMs: 0 };
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly witness: Witness;
  #unflushed: RowChange[] = [];

  constructor(scheduler: Scheduler, seed: number, witness: Witness) {
    this.#scheduler = scheduler;
    this.witness = witness;
    this.#random = randomFor('view database', 0, seed);
    this.parked = new SimParked(this, scheduler, witness);
    this.server = new DatabaseServer(scheduler, 'view', seed);
    this.server.onCrash.push(() => this.#loseUnflushed());
  }

  /** Like `upsert-full-list`: writes each row that is newer than the stored one. @returns how many changed */
  upsert(rows: readonly FullListRow[], isMuted: boolean, cause: Cause = 'upsert'): number {
    this.#mayCommit(rows, isMuted);
    const changed = rows.filter((row) => {
      const held = this.rows.get(row.sellerId);
      return held === undefined || held.version < row.version;
    });
    for (const row of changed) this.#set(row.sellerId, row, cause);
    if (!isMuted) this.notify(changed.map(({ sellerId }) => sellerId).join(','));
    return changed.length;
  }

  /** Removes a wrong row and writes another, in one transaction. @returns whether anything changed */
  replace(
    sellerId: number,
    wrong: readonly { version: number; digest: string }[],
    row: FullListRow | null,
    isMuted: boolean,
  ): boolean {
    this.#mayCommit(row ? [row] : [], isMuted);
    const held = this.rows.get(sellerId);
    const isWrong =
      held !== undefined &&
      wrong.some(({ version, digest }) => held.version === version && String(digestOf(held)) === digest);
    const left = isWrong ? undefined : held;
    const after = row !== null && (left === undefined || left.version < row.version) ? row : (left ?? null);
    if (after === (held ?? null)) return false;
    this.#set(sellerId, after, 'replace');
    if (!isMuted) this.notify(String(sellerId));
    return true;
  }

  /** Writes a row as a stranger would. */
  plant(sellerId: number, row: FullListRow | null): void {
    this.#set(sellerId, row, 'planted');
    this.notify(String(sellerId));
    this.flush();
  }

  /** @param payload as the triggers send it */
  notify(payload: string): void {
    if (payload === '') return;
    for (const { process, told } of this.listeners) {
      if (this.#random.chance(this.notifications.lost)) continue;
      process.after(this.server.wait() + this.#random.fraction() * this.notifications.lateMs, () =>
        told(payload),
      );
    }
  }

  /** Flushes everything: a commit that waits for the disk takes everything before it along. */
  flush(): void {
    this.#unflushed = [];
  }

  /** The session of that process id is over: frees what it owned. */
  freeOf(pid: number): void {
    for (const [partition, owner] of this.owners) if (owner === pid) this.owners.delete(partition);
    this.members.delete(pid);
  }

  #mayCommit(rows: readonly FullListRow[], isMuted: boolean): void {
    if (rows.some(({ sellerId }) => this.refused.has(sellerId))) {
      throw databaseError('22001', 'value too long for type character varying');
    }
    if (this.isNotifyQueueFull && !isMuted) {
      throw Object.assign(databaseError('54000', 'too many notifications in the NOTIFY queue'), {
        file: 'async.c',
      });
    }
  }

  #set(sellerId: number, after: FullListRow | null, cause: Cause): void {
    const before = this.rows.get(sellerId) ?? null;
    if (after) this.rows.set(sellerId, after);
    else this.rows.delete(sellerId);
    const change = { at: this.#scheduler.now, sellerId, before, after, cause };
    this.changes.push(change);
    if (cause !== 'crash') this.#unflushed.push(change);
    this.witness.rowChanged(change);
  }

  #loseUnflushed(): void {
    const since = this.#scheduler.now - this.#random.fraction() * FLUSHED_AFTER_MS;
    for (const { at, sellerId, before } of this.#unflushed.reverse()) {
      if (at >= since) this.#set(sellerId, before, 'crash');
    }
    this.#unflushed = [];
  }
}

/** 64 bits of the whole row, like the database's `rowDigest`. */
export function digestOf(row: FullListRow): bigint {
  let high = 0x811c9dc5;
  let low = 0x9e3779b9;
  for (const character of `${row.version} ${row.committedAt} ${row.clients}`) {
    const code = character.charCodeAt(0);
    high = Math.imul(high ^ code, 0x01000193);
    low = Math.imul(low ^ code, 0x85ebca6b);
  }
  return BigInt.asIntN(64, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
}
