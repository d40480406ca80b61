import type { Client } from '#contracts/client.ts';
import type { ErasureReceipt } from '#contracts/erasures.ts';
import type { SellerChange } from '#contracts/events.ts';
import type { Rejection, Seller } from '../domain/seller.ts';

/** JSON as text, ready to be sent. */
export type JsonText = string;

/** A seller's list as it is read: `clients` is a JSON array. `updatedAt` is null before the first change. */
export interface StoredList {
  readonly sellerId: number;
  readonly version: number;
  readonly updatedAt: string | null;
  readonly clients: JsonText;
}

/** One entry of the log; `change` is null before an erasure, from its commit on. */
export interface LogEntry {
  readonly version: number;
  readonly type: string;
  readonly committedAt: string;
  readonly change: JsonText | null;
}

/** The erasure of a seller; it made this version. */
export interface LoggedErasure {
  readonly sellerId: number;
  readonly version: number;
  readonly erasedAt: string;
}

/** What belongs to a write beside the command itself. */
export interface WriteRequest {
  readonly sellerId: number;
  /** The versions that the caller expects; null for any. */
  readonly expectedVersions: readonly number[] | null;
  /** Versions that the caller does not want changed: some, or any. */
  readonly excludedVersions?: readonly number[] | 'any' | null;
  readonly idempotency: { readonly key: string; readonly fingerprint: Uint8Array } | null;
  /** W3C trace context, stored with the event and handed on to its readers. */
  readonly traceparent: string;
}

export type Decided<Answer> =
  | { readonly kind: 'done'; readonly version: number; readonly answer: Answer }
  | { readonly kind: 'rejected'; readonly rejection: Rejection };

/** What an idempotency key keeps: the outcome and its version, but no content of the list. */
export type Kept =
  | {
      readonly kind: 'done';
      readonly version: number;
      /** The id that was drawn for an added client; the request has everything else. */
      readonly addedId: string | null;
    }
  | { readonly kind: 'rejected'; readonly rejection: Rejection };

/**
 * `replayed`: this very request has used the key before. `key-erased`: the seller was erased since the key was used.
 * `too-many-keys`: the seller has no room for another key.
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

/** A locked seller, and the instant read under the lock. It is never before the seller's last change. */
export interface Locked {
  readonly seller: Seller;
  readonly updatedAt: string | null;
  readonly now: string;
  /** How many idempotency keys of the seller are kept; counted up to the limit, and only for a request with a key. */
  readonly keys: number;
}

/** What the rule decides: the changes to commit, each with the list after it, the answer, and what a key keeps. */
export interface CommandVerdict<Answer> {
  readonly commits: readonly { readonly change: SellerChange; readonly after: Seller }[];
  readonly decided: Decided<Answer>;
  readonly kept: Kept;
  /** The version of an erasure, committed now or earlier: a receipt is opened unless it exists. */
  readonly erasedAt?: number;
}

/** The store of sellers, their log and their outbox. */
export interface Sellers {
  /**
   * Runs one command in one transaction: locks the seller, returns what a known idempotency key keeps, compares the
   * version, and applies the rule. It commits the rule's changes together with the log, the outbox and what the key
   * keeps. Resolves only after the commit is durable.
   * @throws Unavailable when the store cannot be reached in time; the write may or may not have been committed
   */
  write<Answer>(
    request: WriteRequest,
    rule: (locked: Locked) => CommandVerdict<Answer> | 'too-many-keys',
  ): Promise<StoreResult<Answer>>;
  /** A seller without changes has version 0 and an empty list. */
  list(sellerId: number): Promise<StoredList>;
  /** In the order asked for. Lists that would exceed `mostBytes` of clients in total are returned as `remaining`. */
  lists(
    sellerIds: readonly number[],
    mostBytes: number,
  ): Promise<{ readonly lists: StoredList[]; readonly remaining: number[] }>;
  /** Entries with a version greater than `after`, oldest first; without contents below the newest erasure. */
  log(sellerId: number, after: number, limit: number): Promise<LogEntry[]>;
  /** Deletes the entries of a seller's log up to a version. Only for the canary, whose state is never rebuilt. */
  shortenLog(sellerId: number, through: number): Promise<void>;
  /** Deletes keys older than `hours`, a bounded number at a time; resolves to how many. */
  forgetKeys(hours: number, signal: AbortSignal): Promise<number>;
}

/** Receipts that wait for a store. Instants in seconds since 1970; null when no receipt waits. */
export interface OpenReceipts {
  /** Receipts that wait for a store other than the topic. */
  readonly receipts: number;
  /** Since when the oldest of them waits. */
  readonly oldestSince: number | null;
  /** Receipts that wait for the topic. */
  readonly topics: number;
  /** By when the topic should have lost the first of these; null also when no tombstone was acknowledged yet. */
  readonly topicDue: number | null;
}

/** A seller, and the version of the erasure. */
export interface Erased {
  readonly sellerId: number;
  readonly version: number;
}

/** The receipts of erasures, and the logs that erasures still have to empty. */
export interface Erasures {
  /** The id of the receipt of an erasure; null when there is none. */
  idOf(sellerId: number, version: number): Promise<string | null>;
  receipt(id: string): Promise<ErasureReceipt | null>;
  /** Erasures committed at `since` or later, oldest first; beyond `limit` all with the same instant as the last. */
  committed(since: string, limit: number): Promise<LoggedErasure[]>;
  /**
   * Empties the next entries of one erased seller's log, `entries` at most, in one transaction that stores the
   * progress.
   * @returns null when no log is left to be emptied, or other processes work at those that are
   * @throws Unavailable when it took too long, or the store cannot be reached
   */
  emptyNextBatch(
    entries: number,
  ): Promise<{ readonly sellerId: number; readonly version: number; readonly isEmptied: boolean } | null>;
  open(): Promise<OpenReceipts>;
  /**
   * Takes the report of self-view, which finds the erased sellers by itself: its record of changes holds nothing from
   * before these erasures. Receipts wait for self-view from its first report on, so it begins with an empty one.
   */
  confirmChanges(erasures: readonly Erased[]): Promise<void>;
}

/** One entry of the log, for rebuilding. */
export interface LoggedChange {
  readonly version: number;
  readonly change: SellerChange | null;
}

/** The state that a store keeps beside the log, and that can be rebuilt from it. */
export interface StateRepair {
  /** Runs `work` while no other repair does; resolves to `busy` when another one runs. */
  exclusively<T>(work: () => Promise<T>): Promise<T | 'busy'>;
  /**
   * Takes the next sellers after an id, locks them as a command would, folds their log with `step` and corrects what
   * differs, in one transaction. `last` is null when there are no more.
   * @throws Error when an entry of the log is missing; none of these sellers is changed then
   */
  repairNext(
    afterSellerId: number,
    step: (seller: Seller, entry: LoggedChange) => Seller,
  ): Promise<{ readonly last: number | null; readonly sellers: number; readonly corrected: number }>;
}

/** The store could not be reached, or not in time. A retry can help. */
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
