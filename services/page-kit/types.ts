// All that the package says of itself: its declarations are made from this file alone, so it imports nothing of ours.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';

export interface Options {
  /** The name of the page, as its PageView has it; the label of its metrics. */
  readonly page: string;
  /** The page's own database, in which the views are kept. */
  readonly database: {
    /** `postgresql://user:password@host:5432/name`, of a role in `external.readerRoles`. */
    readonly url: string;
    /** A file with the certificate of the authority that signed the server's; absent: the address decides of TLS. */
    readonly caFile?: string;
    /** Connections at most, beside one that listens to change notifications. 4 unless given. */
    readonly connections?: number;
    /**
     * A server that follows the first, such as a standby: read while that one does not answer in time. Lists from it are not
     * cached, and those that are too old are not used.
     */
    readonly replica?: {
      readonly url: string;
      /** As above; that one unless given. */
      readonly caFile?: string;
      /** The longest that it may be behind to be read, in ms. 10,000 unless given. */
      readonly lagMs?: number;
    };
  };
  /** As the PageView says: whole lists in the database, or ids, for which the source is asked. */
  readonly delivery: 'asynchronous' | 'hybrid';
  /**
   * The source of truth. `hybrid` needs it; `asynchronous` asks it for what a reader has seen and the database does not
   * have yet, and says `stale` without it.
   */
  readonly source?: {
    /** Key `url` of the secret `top-clients-caller-<page>`. */
    readonly url: string;
    /** Key `credential` of that secret; without it the source limits the page as a stranger. */
    readonly credential?: string;
    /** For one call, in ms. 150 unless given. */
    readonly deadlineMs?: number;
    /** Calls in flight; as many again may wait. 64 unless given. */
    readonly concurrency?: number;
  };
  /** For one read in all, in ms, the source included. 500 unless given; at least 50 more than that of the source. */
  readonly deadlineMs?: number;
  /** Calls to the source that one client may cause in a minute by `minVersion`; 0 for any number. 60 unless given. */
  readonly versionCallsPerMinute?: number;
  /** Where the metrics of the page are registered; a registry of its own when absent. */
  readonly registry?: Registry;
  /** Told what goes wrong and right; nobody when absent. Loggers like pino fit. */
  readonly log?: Logger;
}

export interface Logger {
  debug(details: object, message: string): void;
  info(details: object | string, message?: string): void;
  warn(details: object | string, message?: string): void;
  error(details: object | string, message?: string): void;
}

/** A brand a seller has worked with. What a seller typed is text of a stranger: escape it. */
export interface Client {
  readonly id: string;
  readonly name: string;
  readonly logo: string | null;
  readonly industry?: string | null | undefined;
  readonly description?: string | null | undefined;
  /** `2024-03` */
  readonly from?: string | null | undefined;
  /** `2024-11`; null while it goes on. */
  readonly to?: string | null | undefined;
}

/**
 * What became of the list: `full`: it is here, as the delivery promises. `stale`: it is here, and older than what the reader
 * has seen. `missing`: it could not be had in time; render the page without it.
 */
export type Outcome = 'full' | 'stale' | 'missing';

export interface List {
  readonly outcome: Outcome;
  /** Counts the changes of the seller; 0 for one who never had clients, null when the list is missing. */
  readonly version: number | null;
  /** Since that version was committed, in ms; null where there is none. */
  readonly ageMs: number | null;
  readonly clients: readonly Client[];
  /**
   * Why the version that was asked for is not shown: `beyond`: nobody has it, so the reader is mistaken; `limited`: this client has
   * caused too many calls to the source.
   */
  readonly refused?: 'beyond' | 'limited';
}

export interface ReadOptions {
  /** The version that the reader has seen already, as a write was answered with. */
  readonly minVersion?: number;
  /** Ends the read: what is not here by then is missing. */
  readonly signal?: AbortSignal;
  /** Who reads, such as an address: counted for `versionCallsPerMinute`, which does not limit without. */
  readonly client?: string;
}

/** A list as a page got it another way, such as by a call to the source. */
export interface OtherList {
  readonly version: number;
  readonly clients: readonly { readonly id: string; readonly name: string }[];
}

/**
 * What a comparison found: `behind`: the view has an older version than the other list, as it does for a moment after a write;
 * `ahead`: a newer one; `different`: the same version with other clients, which never happens; `missing`: the view could not be
 * read.
 */
export type Comparison = 'equal' | 'behind' | 'ahead' | 'different' | 'missing';

export interface TopClients {
  /**
   * A seller's list. Resolves within the deadline and never rejects because of the source or the database.
   * @throws TypeError for what is no seller's id
   */
  read(sellerId: number, options?: ReadOptions): Promise<List>;
  /** The lists of up to 100 sellers, in one statement and at most one call; every seller asked for is in the answer. */
  readMany(
    sellerIds: readonly number[],
    options?: Omit<ReadOptions, 'minVersion'>,
  ): Promise<ReadonlyMap<number, List>>;
  /**
   * Compares a list that the page shows another way with its view, and counts what it found: before a page changes over to
   * the view. Never rejects, and asks the source nothing beyond what its delivery does.
   */
  compare(sellerId: number, other: OtherList): Promise<Comparison>;
  /**
   * Middleware for Express: puts the list into `res.locals.topClients`, says in headers what became of it, counts the
   * render, and refuses a `minVersion` that is none, does not exist, or was asked for too often, and by 404 what is no
   * seller's id.
   * @param sellerId of a request; null: not this page's, nothing is done
   */
  express(
    sellerId: (req: IncomingMessage & { readonly params: Record<string, string> }) => number | null,
  ): (
    req: IncomingMessage,
    res: ServerResponse & { locals: Record<string, unknown> },
    next: (err?: unknown) => void,
  ) => void;
  /** For `/readyz`: why lists cannot be read yet; null when they can. */
  notReadyBecause(): string | null;
  /** Where the metrics are. */
  readonly registry: Registry;
  /** Ends connections. Reads under way come to their end. */
  close(): Promise<void>;
}

/** @throws Error that names the option and says what to change */
export type OpenTopClients = (options: Options) => TopClients;
