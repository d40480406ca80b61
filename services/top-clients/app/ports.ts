import type { Client } from '#contracts/client.ts';
import type { ErasureReceipt } from '#contracts/erasures.ts';
import type { SellerChange } from '#contracts/events.ts';
import type { Rejection, Seller } from '../domain/seller.ts';

/** JSON as text, ready to be sent. */
export type JsonText = string;

/** A seller's list as it is read: `clients` is a JSON array of clients. `updatedAt` is null before the first change. */
export interface StoredList {
  readonly sellerId: number;
  readonly version: number;
  readonly updatedAt: string | null;
  readonly clients: JsonText;
}

/** One entry of the log; `change` is null below an erasure, from its commit on. */
export interface LogEntry {
  readonly version: number;
  readonly type: string;
  readonly committedAt: string;
  readonly change: JsonText | null;
}

/** A seller was forgotten by making this version. */
export interface LoggedErasure {
  readonly sellerId: number;
  readonly version: number;
  readonly erasedAt: string;
}

/** What is known of a write beside the command itself. */
export interface WriteRequest {
  readonly sellerId: number;
  /** The versions the caller is willing to change; null for any. */
  readonly expectedVersions: readonly number[] | null;
  /** Versions the caller wants left as they are: some, or whatever there is. */
  readonly excludedVersions?: readonly number[] | 'any' | null;
  readonly idempotency: { readonly key: string; readonly fingerprint: Uint8Array } | null;
  /** W3C trace context, stored with the event and handed on to its readers. */
  readonly traceparent: string;
}

export type Decided<Answer> =
  | { readonly kind: 'done'; readonly version: number; readonly answer: Answer }
  | { readonly kind: 'rejected'; readonly rejection: Rejection };

/** What an idempotency key keeps: what was decided and where it led, and nothing of what the list says. */
export type Kept =
  | {
      readonly kind: 'done';
      readonly version: number;
      /** The id that was drawn for an added client; all else of it stands in the request. */
      readonly addedId: string | null;
    }
  | { readonly kind: 'rejected'; readonly rejection: Rejection };

/**
 * `replayed`: the key was used by this very request before. `key-erased`: the seller was erased since the key was
 * used. `too-many-keys`: the seller has no room for another key.
 */
export type Undecided =
  | { readonly kind: 'version-mismatch' | 'version-excluded'; readonly version: number }
  | { readonly kind: 'key-reused' | 'key-erased' | 'too-many-keys' };

export type StoreResult<Answer> =
  | { readonly kind: 'committed' | 'unchanged'; readonly decided: Decided<Answer> }
  | { readonly kind: 'replayed'; readonly kept: Kept; readonly locked: Locked }
  | Undecided;

export type WriteResult<Answer> =
  | { readonly kind: 'committed' | 'unchanged' | 'replayed'; readonly decided: Decided<Answer> }
  | Undecided;

/** A locked seller and the instant drawn under the lock, never before the seller's last change. */
export interface Locked {
  readonly seller: Seller;
  readonly updatedAt: string | null;
  readonly now: string;
  /** How many idempotency keys of the seller are kept; counted no further than it matters, and only for a request with one. */
  readonly keys: number;
}

/** What the rule wants done: the changes to commit, each with the list it leads to, the answer, and what a key keeps. */
export interface CommandVerdict<Answer> {
  readonly commits: readonly { readonly change: SellerChange; readonly after: Seller }[];
  readonly decided: Decided<Answer>;
  readonly kept: Kept;
  /** The version of an erasure, whether it is committed now or was before: a receipt is opened unless there is one. */
  readonly erasedAt?: number;
}

/** The store of sellers, their log and their outbox. */
export interface Sellers {
  /**
   * Runs one command as one transaction: locks the seller, tells what is kept of a known idempotency key, compares
   * the version, applies the rule, and commits what the rule wants together with the log, the outbox and what the key
   * keeps. Resolves only after the commit is durable.
   * @throws Unavailable when the store cannot be reached in time; the write may or may not have been committed
   */
  write<Answer>(
    request: WriteRequest,
    rule: (locked: Locked) => CommandVerdict<Answer> | 'too-many-keys',
  ): Promise<StoreResult<Answer>>;
  /** A seller without changes has version 0 and an empty list. */
  list(sellerId: number): Promise<StoredList>;
  /** In the order asked for; those that would have more than `mostBytes` of clients, all together, remain. */
  lists(
    sellerIds: readonly number[],
    mostBytes: number,
  ): Promise<{ readonly lists: StoredList[]; readonly remaining: number[] }>;
  /** Entries with a version greater than `after`, oldest first; without contents below the newest erasure. */
  log(sellerId: number, after: number, limit: number): Promise<LogEntry[]>;
  /** Forgets the entries of a seller's log up to a version. Only for the canary, whose state nobody rebuilds. */
  shortenLog(sellerId: number, through: number): Promise<void>;
  /** Forgets keys older than `hours`, a bounded number at a time; resolves to how many. */
  forgetKeys(hours: number, signal: AbortSignal): Promise<number>;
}

/** Receipts that wait for a store. Instants in seconds since 1970; null where none waits. */
export interface OpenReceipts {
  /** For another store than the topic. */
  readonly receipts: number;
  /** Since when the oldest of them waits. */
  readonly oldestSince: number | null;
  /** For the topic. */
  readonly topics: number;
  /** By when the first of these should be gone from it; null as well where no tombstone was acknowledged. */
  readonly topicDue: number | null;
}

/** A seller, and the version that the erasure led to. */
export interface Erased {
  readonly sellerId: number;
  readonly version: number;
}

/** The receipts of erasures, and the logs that erasures left to be emptied. */
export interface Erasures {
  /** The id of the receipt of an erasure; null when there is none. */
  idOf(sellerId: number, version: number): Promise<string | null>;
  receipt(id: string): Promise<ErasureReceipt | null>;
  /** Erasures committed at `since` or later, oldest first; those of the same instant as the last come along. */
  committed(since: string, limit: number): Promise<LoggedErasure[]>;
  /**
   * Empties the next entries of some erased seller's log, `entries` at most, in one transaction that stores how far it got.
   * @returns null when no log is left to be emptied, or others are at those that are
   * @throws Unavailable when it took too long, or the store cannot be reached
   */
  emptyNextBatch(
    entries: number,
  ): Promise<{ readonly sellerId: number; readonly version: number; readonly isEmptied: boolean } | null>;
  open(): Promise<OpenReceipts>;
  /**
   * Takes the report of self-view, which looks by itself which sellers were erased: nothing from before these erasures is
   * left in its record of changes. Receipts wait for it from its first report on, so an empty one is a beginning.
   */
  confirmChanges(erasures: readonly Erased[]): Promise<void>;
}

/** One entry of the log, for rebuilding. */
export interface LoggedChange {
  readonly version: number;
  readonly change: SellerChange | null;
}

/** The state as a store keeps it beside the log, to be made anew from the log. */
export interface StateRepair {
  /** Runs `work` while no other repair does; resolves to `busy` when another one runs. */
  exclusively<T>(work: () => Promise<T>): Promise<T | 'busy'>;
  /**
   * Takes the next sellers after an id, locks them as a command would, folds their log with `step` and corrects what
   * differs, in one transaction. `last` is null when there are no more.
   * @throws Error when an entry of the log is missing; nothing of these sellers is changed then
   */
  repairNext(
    afterSellerId: number,
    step: (seller: Seller, entry: LoggedChange) => Seller,
  ): Promise<{ readonly last: number | null; readonly sellers: number; readonly corrected: number }>;
}

/** The store could not be reached, or not in time. Trying again later can help. */
export class Unavailable extends Error {
  override name = 'Unavailable';
}

/** A list in the shape of the contract. */
export interface ListAnswer {
  readonly sellerId: number;
  readonly version: number;
  readonly clients: readonly Client[];
  readonly updatedAt: string | null;
}
