import type { Client } from '#contracts/client.ts';
import { encodeEventParts } from '#contracts/event-codec.ts';
import { partitionOf } from '#contracts/partition.ts';
import { type Random, randomFor } from '../../services/seed/random.ts';
import type { OutboxRow } from '../../services/top-clients/adapters/postgres/outbox.ts';
import { replacedBy } from '../../services/top-clients/adapters/postgres/repairs.ts';
import {
  type ExtraMessage,
  type LockedSeller,
  movedOf,
  stateOf,
} from '../../services/top-clients/adapters/postgres/states.ts';
import type { Difference, Truth } from '../../services/view-audit/compare-view.ts';
import type { Repairs } from '../../services/view-audit/watch.ts';
import { DatabaseServer, type Session } from './database.ts';
import { BEGINNING } from './process.ts';
import type { Scheduler } from './scheduler.ts';
import type { Witness } from './witness.ts';

/** A row of the table of sellers. */
interface Seller {
  readonly version: number;
  readonly clients: readonly Client[];
  readonly erased: boolean;
  readonly updatedAt: number;
  /** The newest entry of the log, as JSON. */
  readonly change: string;
}

export type WriteKind = 'add' | 'rename' | 'remove' | 'erase';

export interface Written {
  readonly sellerId: number;
  readonly version: number;
}

const NOBODY: Seller = { version: 0, clients: [], erased: false, updatedAt: BEGINNING, change: 'null' };
const MOST_CLIENTS = 3;

/** The database of the source of truth: sellers, the newest entry of each one's log, and the outbox. */
export class SimSource {
  readonly server: DatabaseServer;
  sellers = new Map<number, Seller>();
  /** Committed rows, by id. */
  outbox = new Map<number, OutboxRow>();
  /** Among how many partitions messages are divided. */
  layout: number;
  #isGrowing = false;
  /** The last id drawn. */
  lastId = 0;
  /** Transactions that hold the outbox's lock; an insertion takes it before it draws its id. */
  readonly writers = new Set<string>();
  /** Every version that was ever committed, by seller, as text. */
  readonly history = new Map<number, Map<number, string>>();
  /** The version of each seller's last erasure. */
  readonly erasedAt = new Map<number, number>();
  readonly #witness: Witness;
  readonly #scheduler: Scheduler;
  /** Sellers whose row is locked, with those who wait for it. */
  readonly #locked = new Map<number, (() => void)[]>();
  /** Counts the server's lives: an open transaction does not survive a crash. */
  #era = 0;
  #clients = 0;
  #transactions = 0;
  /** By seller, the effect of the commit of the transaction that has locked its row. */
  readonly #decided = new Map<number, () => void>();
  readonly #random: Random;

  constructor(scheduler: Scheduler, seed: number, partitions: number, witness: Witness) {
    this.layout = partitions;
    this.#scheduler = scheduler;
    this.#random = randomFor('source', 0, seed);
    this.#witness = witness;
    this.server = new DatabaseServer(scheduler, 'source', seed);
    this.server.onCrash.push(() => {
      this.#era += 1;
      this.#decided.clear();
      this.writers.clear();
      this.#locked.clear();
    });
  }

  versionOf(sellerId: number): number {
    return this.sellers.get(sellerId)?.version ?? 0;
  }

  /**
   * Begins a command's transaction: it waits for the seller's row, draws the version and the outbox id under its lock,
   * and commits after `holdMs`.
   * @param aheadMs how far the source's clock is ahead of the true time
   * @param done called with the version once it is committed; with null when the transaction failed
   */
  write(
    sellerId: number,
    kind: WriteKind,
    holdMs: number,
    aheadMs: number,
    done: (written: Written | null) => void,
  ): void {
    if (!this.server.isUp) {
      done(null);
      return;
    }
    const era = this.#era;
    const transaction = `writer ${++this.#transactions}`;
    this.#lock(sellerId, () => {
      const { fraction } = this.#random;
      this.#inTurn(era, () => done(null), [
        [fraction(), () => this.writers.add(transaction)],
        [fraction() * (this.#random.chance(0.05) ? 20 : 0.5), () => this.#decide(sellerId, kind, aheadMs)],
        [
          holdMs,
          () => {
            this.#decided.get(sellerId)!();
            this.#decided.delete(sellerId);
            const version = this.versionOf(sellerId);
            this.#unlock(sellerId);
            done({ sellerId, version });
          },
        ],
        // The lock on the table is released last, after the rows are visible.
        [fraction(), () => this.writers.delete(transaction)],
      ]);
    });
  }

  /** A copy of the tables and the id sequence, to be restored later. */
  backup(): () => void {
    const sellers = new Map(this.sellers);
    const outbox = new Map(this.outbox);
    const lastId = this.lastId;
    return () => {
      this.sellers = sellers;
      this.outbox = outbox;
      this.lastId = lastId;
    };
  }

  /**
   * Like services/republish/growth.ts: first the layout, then after a while each seller who moves, under the lock of
   * its row.
   * @param partitions the number that the topic has by now
   */
  grow(partitions: number, settleMs: number): void {
    const from = this.layout;
    if (this.#isGrowing || partitions <= from) return;
    this.#isGrowing = true;
    this.layout = partitions;
    this.#scheduler.after(settleMs, null, () => {
      const moving = [...this.sellers.keys()].filter(
        (sellerId) => partitionOf(String(sellerId), from) !== partitionOf(String(sellerId), partitions),
      );
      this.#publishMoved(moving, from);
    });
  }

  /** One seller after another; a step that is lost with the server is repeated. */
  #publishMoved([sellerId, ...others]: readonly number[], from: number): void {
    if (sellerId === undefined) {
      this.#isGrowing = false;
      return;
    }
    const again = () =>
      this.#scheduler.after(200, null, () => this.#publishMoved([sellerId, ...others], from));
    if (!this.server.isUp) {
      again();
      return;
    }
    const era = this.#era;
    let isDone = false;
    this.#lock(sellerId, () => {
      isDone = true;
      const locked = this.#readLocked(sellerId);
      const state = locked.version === 0 ? [] : stateOf(locked, null);
      this.#addAll([...state, movedOf(locked, partitionOf(String(sellerId), from))]);
      this.#unlock(sellerId);
      this.#scheduler.after(5, null, () => this.#publishMoved(others, from));
    });
    // When the server went down, the wait for the row's lock is lost: the step is repeated.
    const watch = () => {
      if (isDone) return;
      if (era !== this.#era) again();
      else this.#scheduler.after(200, null, watch);
    };
    if (!isDone) this.#scheduler.after(200, null, watch);
  }

  get isGrowing(): boolean {
    return this.#isGrowing;
  }

  /** Deletes rows of the outbox. */
  remove(ids: readonly number[]): void {
    const removed = ids.flatMap((id) => this.outbox.get(id) ?? []);
    for (const { id } of removed) this.outbox.delete(id);
    if (removed.length > 0) this.#witness.removed(removed);
  }

  /** Like `postgresRepairs`: under the locks of the sellers' rows, one seller after another. */
  repairs(session: Session): Repairs {
    return {
      send: async (differences) => {
        const inOrder = differences.toSorted((a, b) => a.sellerId - b.sellerId);
        this.#witness.repairsSent(inOrder);
        for (const one of inOrder) await this.#repair(session, one);
        return inOrder;
      },
    };
  }

  truthOf(sellerId: number): Truth {
    const { version, clients, erased, updatedAt } = this.sellers.get(sellerId)!;
    return { sellerId, version, clients, erased, committedAt: new Date(updatedAt).toISOString() };
  }

  #repair(session: Session, one: Difference): Promise<void> {
    return new Promise((resolve, reject) => {
      const era = this.#era;
      let isLocked = false;
      let isOver = false;
      const unlock = () => {
        if (isLocked && era === this.#era) this.#unlock(one.sellerId);
        isLocked = false;
      };
      session.onEnd.push(() => {
        isOver = true;
        unlock();
        session.process.after(0, () => reject(new Error('Connection terminated')));
      });
      this.#lock(one.sellerId, () => {
        isLocked = true;
        if (isOver) unlock();
        else {
          session
            .query(() => {
              if (!isLocked) throw new Error('the transaction is gone');
              this.#addRepair(one);
              unlock();
            })
            .then(resolve, (err) => {
              unlock();
              reject(err);
            });
        }
      });
    });
  }

  #readLocked(sellerId: number): LockedSeller {
    const { version, clients, erased, updatedAt, change } = this.sellers.get(sellerId) ?? NOBODY;
    return {
      sellerId,
      version,
      clients: JSON.stringify(clients),
      erased,
      updatedAt: new Date(updatedAt),
      change,
    };
  }

  #addRepair(one: Difference): void {
    const locked = this.#readLocked(one.sellerId);
    this.#addAll(stateOf(locked, replacedBy(one, locked.version)));
  }

  #addAll(messages: readonly ExtraMessage[]): void {
    for (const message of messages) {
      const committedAt = message.committedAt?.getTime() ?? this.#clock(0);
      this.#add({ ...message, committedAt, traceparent: null });
    }
  }

  /** Runs steps one after another, each so many ms after the one before, unless the server goes down meanwhile. */
  #inTurn(
    era: number,
    isGone: () => void,
    [step, ...others]: readonly (readonly [number, () => void])[],
  ): void {
    if (step === undefined) return;
    const [ms, work] = step;
    this.#scheduler.after(ms, null, () => {
      if (era !== this.#era) {
        isGone();
        return;
      }
      work();
      this.#inTurn(era, isGone, others);
    });
  }

  #clock(aheadMs: number): number {
    return Math.floor(BEGINNING + this.#scheduler.now + aheadMs);
  }

  #lock(sellerId: number, locked: () => void): void {
    const waiting = this.#locked.get(sellerId);
    if (waiting) waiting.push(locked);
    else {
      this.#locked.set(sellerId, []);
      locked();
    }
  }

  #unlock(sellerId: number): void {
    const next = this.#locked.get(sellerId)?.shift();
    if (next) next();
    else this.#locked.delete(sellerId);
  }

  /** Draws version and ids; the effect of the commit is kept until then. */
  #decide(sellerId: number, asked: WriteKind, aheadMs: number): void {
    const before = this.sellers.get(sellerId) ?? NOBODY;
    const version = before.version + 1;
    // An erasure of a seller without content would change nothing, so the seller adds instead.
    const kind = asked === 'erase' && (before.erased || before.version === 0) ? 'add' : asked;
    const change = this.#change(before, kind, `s${sellerId}v${version}`);
    const updatedAt = Math.max(this.#clock(aheadMs), before.updatedAt);
    const committedAt = new Date(updatedAt).toISOString();
    const changeJson = JSON.stringify(change.change);
    const value = encodeEventParts({
      sellerId,
      version,
      committedAt,
      changeJson,
      clientsJson: JSON.stringify(change.clients),
    });
    const isErasure = kind === 'erase';
    // Ids are drawn here and become visible at the commit: later ones may be committed earlier.
    const rows: OutboxRow[] = [this.#row(sellerId, version, change.change.type, value, updatedAt)];
    if (isErasure) rows.push(this.#row(sellerId, version, change.change.type, null, updatedAt));
    this.#decided.set(sellerId, () => {
      this.sellers.set(sellerId, {
        version,
        clients: change.clients,
        erased: isErasure,
        updatedAt,
        change: changeJson,
      });
      for (const row of rows) this.outbox.set(row.id, row);
      const history = this.history.get(sellerId) ?? new Map<number, string>();
      this.history.set(sellerId, history.set(version, value));
      if (isErasure) this.erasedAt.set(sellerId, version);
      this.#witness.note('source', () => `commits ${sellerId}/${version} (${kind})`, { seller: sellerId });
    });
  }

  #change(before: Seller, kind: WriteKind, name: string) {
    const [first] = before.clients;
    if (kind === 'erase') return { change: { type: 'seller-erased' as const }, clients: [] };
    if (kind === 'remove' && first) {
      return {
        change: { type: 'client-removed' as const, clientId: first.id },
        clients: before.clients.slice(1),
      };
    }
    if (first && (kind === 'rename' || before.clients.length >= MOST_CLIENTS)) {
      const client = { ...first, name };
      return {
        change: { type: 'client-updated' as const, client },
        clients: [client, ...before.clients.slice(1)],
      };
    }
    const client = this.#client(name);
    return {
      change: { type: 'client-added' as const, client, position: before.clients.length },
      clients: [...before.clients, client],
    };
  }

  #client(name: string): Client {
    this.#clients += 1;
    const id = `00000000-0000-4000-8000-${String(this.#clients).padStart(12, '0')}`;
    return { id, name, industry: '', description: '', logo: null, from: null, to: null };
  }

  #row(
    sellerId: number,
    version: number,
    type: string,
    value: string | null,
    committedAt: number,
  ): OutboxRow {
    this.lastId += 1;
    return {
      id: this.lastId,
      sellerId,
      version,
      type,
      value,
      committedAt,
      traceparent: null,
      replaces: null,
      partition: null,
    };
  }

  #add(row: Omit<OutboxRow, 'id'>): void {
    this.lastId += 1;
    this.outbox.set(this.lastId, { id: this.lastId, ...row });
    this.#witness.note(
      'source',
      () => `${row.type} of ${row.sellerId}/${row.version}${row.replaces ? ` replaces ${row.replaces}` : ''}`,
      { seller: row.sellerId },
    );
  }
}
