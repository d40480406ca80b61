import type { Client } from '#contracts/client.ts';
import type { Outcome, TopClientsView } from '#contracts/delivery.ts';
import type { PageName } from '#contracts/pages.ts';
import type { Clock } from '#platform/clock.ts';
import type { Site } from './layout.ts';

export type SellerLevel = 'new' | 'rising' | 'expert' | 'master';

/** A client as a page may know it: a search card has no more than these members. */
export type PageClient = Pick<Client, 'id' | 'name' | 'logo'> & Partial<Client>;

/** A seller's list at one version, from the view or from the source of truth. */
export interface ClientList {
  /** 0: the seller never had clients. */
  readonly version: number;
  /** Unix milliseconds; null for version 0. */
  readonly committedAt: number | null;
  readonly clients: readonly PageClient[];
  /** How many the seller has, where `clients` holds only the first. */
  readonly total: number;
}

/** What the view of a hybrid page holds of a seller. */
export interface ClientIds {
  readonly version: number;
  readonly committedAt: number | null;
  readonly clientIds: readonly string[];
}

/** What a render shows of a seller, and what became of the data. `list` is null when there is nothing to show. */
export interface ShownList {
  readonly outcome: Outcome;
  readonly list: ClientList | null;
}
/** Null under the delivery `off`: the page without the feature. */
export type ShownOf = ((sellerId: number) => ShownList) | null;

export interface Statement {
  /** The database prepares the statement once per connection under this name. */
  readonly name: string;
  readonly text: string;
  readonly values: unknown[];
}
/** The page's own database within one request, with that request's deadline. */
export interface PageDatabase {
  /** @throws when the database cannot be reached, is too slow or refuses the statement */
  query<Row>(statement: Statement): Promise<Row[]>;
  /**
   * Whether a replica gave one of the answers so far: it may not have a change yet of which this process was notified.
   */
  readonly mayLag?: boolean;
}

/** How a page reads its own database: one statement for each delivery. Null means that the address leads to nothing. */
export interface Reads<Params, Own> {
  own(db: PageDatabase, params: Params): Promise<Own | null>;
  /**
   * A seller that is not in `held` has no row in the view.
   * @param minVersion the version a reader has seen already: an older one must not be shown from the cache
   */
  withLists(
    db: PageDatabase,
    params: Params,
    minVersion: (sellerId: number) => number,
  ): Promise<{ own: Own; held: ReadonlyMap<number, ClientList> } | null>;
  withIds(
    db: PageDatabase,
    params: Params,
  ): Promise<{ own: Own; held: ReadonlyMap<number, ClientIds> } | null>;
  /**
   * Finds out as cheaply as can be which sellers are on the page, so that the source of truth can be asked while
   * `own` reads the rest.
   */
  sellersFirst(
    db: PageDatabase,
    params: Params,
  ): Promise<{ sellers: readonly number[]; own: () => Promise<Own | null> } | null>;
}

/** A process's cache of lists, as invalidation and erasures see it. */
export interface EvictableCache {
  /** Evicts a seller's list, also one that was read before and has not arrived yet. */
  evictSeller(sellerId: number): void;
  /** Evicts lists that the view was last asked for longer ago than this, in ms. */
  evictOlderThan(ms: number): void;
}

/** Invalidates cached lists: says whether a list from the view is still current, without asking the view. */
export interface InvalidationFeed {
  /** Takes a cache, so that erased sellers can be evicted from it. */
  readonly register?: (cache: EvictableCache) => void;
  /**
   * Whether the seller's row is unchanged, as far as the process knows: it is notified of every change a moment after
   * the commit.
   * @param since when the statement that read it was sent, on the monotonic clock of the process
   */
  isUnchanged(sellerId: number, since: number): boolean;
  /** Whether the seller's row changed since then. When neither this nor `isUnchanged` is true, nobody knows. */
  isInvalidated(sellerId: number, since: number): boolean;
}

/** Without notifications the view is asked each time. */
export const NO_INVALIDATION_FEED: InvalidationFeed = {
  isUnchanged: () => false,
  isInvalidated: () => false,
};

/** Why an address is refused before anything is read. */
export interface AddressRefused {
  readonly refused: 'not-found' | 'invalid-request';
  readonly detail: string;
}

/** One page: its folder here, its name in `#contracts/pages.ts`. */
export interface Page<Params = unknown, Own = unknown> {
  readonly name: PageName;
  /** Of the index at `/`. */
  readonly title: string;
  /** Express route of the page. */
  readonly path: string;
  /** A page of one seller takes `minVersion=7`, a page of many `minVersion=<seller>:7`. */
  readonly shows: 'one seller' | 'many sellers';
  /** Reads the address; pure. `query` holds only members given once. */
  address(
    path: Readonly<Record<string, string | undefined>>,
    query: Readonly<Record<string, string>>,
  ): Params | AddressRefused;
  /** An address to try the page's database with, before the first request; it need not lead to anything. */
  readonly probe: Params;
  /**
   * Called once a process: what it returns may cache lists between requests.
   * @param clock the clock of the feed; absent: the process's own
   */
  open(feed: InvalidationFeed, clock?: Clock): Reads<Params, Own>;
  sellersOf(own: Own): readonly number[];
  html(own: Own, shown: ShownOf, site: Site): string;
  /** The page's data, with `topClients` beside each seller's part unless `shown` is null. */
  json(own: Own, shown: ShownOf, now: number): unknown;
  /** For the index at `/`. */
  examples(site: Site): ReadonlyArray<{ readonly label: string; readonly href: string }>;
}

/** Reads an id in an address; null when it is not a positive integer that a JSON number carries exactly. */
export const idIn = (text: string | undefined): number | null => {
  if (text === undefined || !/^[1-9]\d{0,15}$/.test(text)) return null;
  const id = Number(text);
  return Number.isSafeInteger(id) ? id : null;
};

/** @returns how long ago the shown version was committed, in ms; null when nothing with a version is shown */
export const ageOf = ({ list }: ShownList, now: number): number | null =>
  list?.committedAt == null ? null : Math.max(0, now - list.committedAt);

/** The member `topClients` of a page's JSON. */
export const topClientsJson = (shown: ShownList, now: number): TopClientsView => ({
  outcome: shown.outcome,
  version: shown.list?.version ?? null,
  ageMs: ageOf(shown, now),
  clients: [...(shown.list?.clients ?? [])],
  total: shown.list?.total ?? 0,
});
