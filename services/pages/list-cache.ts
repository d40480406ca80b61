import { LRUCache } from 'lru-cache';
import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import type {
  ClientList,
  EvictableCache,
  InvalidationFeed,
  PageClient,
  PageDatabase,
  Statement,
} from './page.ts';

// What an entry costs beside its text, so that many empty lists, and sellers without one, are bounded too.
const ENTRY = 200;
const ENTRY_WITHOUT_LIST = 40;
/**
 * The TTL of an entry, in ms: a list is asked for again after this long even if no notification invalidated it. So a
 * lost notification, a replica behind or a full queue does harm for no longer.
 */
export const CACHE_TTL_MS = 5_000;
/** The age at which an entry that was a hit is confirmed, in ms: early enough for a page that is visited in bursts. */
const CONFIRM_AFTER_MS = CACHE_TTL_MS / 2;
/** Pause between two statements that confirm, in ms. */
const CONFIRM_EVERY_MS = 250;
/** Most entries that one statement confirms; visits ask for what is left when its TTL ends. */
const MOST_CONFIRMED = 2_000;
/** No page waits longer for its database, in ms. */
const LONGEST_ANSWER_MS = 60_000;

export interface CachedList {
  readonly sellerId: number;
  /** Null where the view has no row. */
  readonly list: ClientList | null;
  /** Digest of the view's whole answer, as the view made it; null where the view has no row. */
  readonly digest: string | null;
  readonly size: number;
  /** When the last statement that confirmed this entry was sent, on the clock's monotonic time. */
  askedAt: number;
}

/** What a view keeps of a list: all clients, or the first of them and their number. */
type Keeps = 'all' | 'the first';

/**
 * The column that `ListCache` reads: null without a row, empty when the row is what is cached, else `<digest> <version>
 * <seconds since 1970> <JSON of the clients>`, before which stands how many clients there are where the view keeps the
 * first alone. The digest is of all the rest, because the version alone does not suffice: a repair replaces a wrong row
 * and keeps its version, and a restored database may have another row under the same version. It is one column, because every column costs again at every row. It is a subquery, because a join would
 * carry all of the page's own columns once more. `offset 0` keeps PostgreSQL from copying the subquery into the
 * statement and computing the answer three times.
 * @param seller the seller's column in the page's row
 * @param cached the parameter with the digest of the cached list, which need not be sent again; null: none is cached
 * @param keeps whether the view keeps each list whole, or the first clients and their number
 */
export const listIfNewer = (seller: string, cached: string, keeps: Keeps = 'all'): string =>
  `(select case when hashtextextended(answer, 0) = ${cached}::bigint then ''
    else concat_ws(' ', hashtextextended(answer, 0), answer) end
  from (select concat_ws(' ', held.version, extract(epoch from held.committed_at), ${keeps === 'all' ? '' : 'held.total, '}held.clients) as answer
    from top_clients.lists as held where held.seller_id = ${seller} offset 0) as told)`;

/** Finds the entries whose lists the view no longer has as they are cached. */
const changedLists = (entries: readonly CachedList[], keeps: Keeps): Statement => ({
  name: 'changed-lists',
  text: `select position::int from unnest($1::bigint[], $2::bigint[]) with ordinality as asked (seller_id, cached, position)
    where ${listIfNewer('asked.seller_id', 'asked.cached', keeps)} is distinct from case when cached is not null then '' end`,
  values: [entries.map(({ sellerId }) => sellerId), entries.map(({ digest }) => digest)],
});

/**
 * An LRU cache of lists, by the id of a page, bounded by the size of their text. While change notifications arrive, an
 * entry is a hit until it is invalidated or its TTL ends. Otherwise the view is asked with the digest of the entry, and
 * sends the list only when it differs: each content of a list is sent, parsed and rendered once. Entries that are visited
 * are confirmed ahead of their TTL, many in one statement: a visit that asks costs a tenth more.
 */
export class ListCache implements EvictableCache {
  readonly #lists: LRUCache<number, CachedList>;
  /** When a seller was last evicted: the answer of a statement that was sent before is not cached. */
  readonly #evictedAt = new Map<number, number>();
  /** The same for all sellers. */
  #allEvictedAt = Number.NEGATIVE_INFINITY;
  /** Entries that were hits since the view was asked about them. */
  readonly #hits = new Set<CachedList>();
  #confirmsNext = Number.NEGATIVE_INFINITY;
  readonly #feed: InvalidationFeed;
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #keeps: Keeps;

  /**
   * @param clock the clock of the feed
   * @param keeps what the view keeps of a list
   * @param capacity characters of JSON in all; the memory used is about six times that in bytes
   */
  constructor(
    feed: InvalidationFeed,
    clock: Pick<Clock, 'monotonic'> = SYSTEM_CLOCK,
    keeps: Keeps = 'all',
    capacity: number = 8_000_000,
  ) {
    this.#feed = feed;
    this.#clock = clock;
    this.#keeps = keeps;
    this.#lists = new LRUCache({
      maxSize: capacity,
      sizeCalculation: ({ size }) => size,
      dispose: (entry) => this.#hits.delete(entry),
    });
    feed.register?.(this);
  }

  evictSeller(sellerId: number): void {
    const now = this.now();
    for (const [seller, at] of this.#evictedAt) {
      if (at > now - LONGEST_ANSWER_MS) break;
      this.#evictedAt.delete(seller);
    }
    this.#evictedAt.delete(sellerId);
    this.#evictedAt.set(sellerId, now);
    for (const [id, list] of this.#lists) if (list.sellerId === sellerId) this.#lists.delete(id);
  }

  evictOlderThan(ms: number): void {
    const oldest = this.now() - ms;
    this.#allEvictedAt = oldest;
    for (const [id, { askedAt }] of this.#lists) if (askedAt <= oldest) this.#lists.delete(id);
  }

  /** The present time on the clock of `askedAt`. */
  now(): number {
    return this.#clock.monotonic();
  }

  /** @returns the entry; an invalidated entry is evicted and not returned */
  get(id: number): CachedList | undefined {
    const known = this.#lists.get(id);
    if (known === undefined) return undefined;
    if (this.#feed.isInvalidated(known.sellerId, known.askedAt)) {
      this.#lists.delete(id);
      return undefined;
    }
    return known;
  }

  /**
   * Whether the entry may be shown without asking the view.
   * @param minVersion the version that the reader has seen already
   */
  isCurrent({ sellerId, list, askedAt }: CachedList, minVersion: number): boolean {
    return (
      this.now() - askedAt < CACHE_TTL_MS &&
      (list?.version ?? 0) >= minVersion &&
      this.#feed.isUnchanged(sellerId, askedAt)
    );
  }

  /**
   * Notes entries that were shown without asking the view. Then, unless it did so shortly before, asks the view about
   * those whose TTL ends soon, all in one statement, and lets those live on that are as in the view. Never throws: what
   * is not confirmed is asked for by its next visit.
   */
  async hit(entries: readonly CachedList[], db: PageDatabase): Promise<void> {
    for (const entry of entries) this.#hits.add(entry);
    const askedAt = this.now();
    if (askedAt < this.#confirmsNext) return;
    this.#confirmsNext = askedAt + CONFIRM_EVERY_MS;
    const confirmed = this.#takeHits(askedAt);
    if (confirmed.length === 0) return;
    this.#confirmsNext = Number.POSITIVE_INFINITY;
    try {
      const changed = await db.query<{ readonly position: number }>(changedLists(confirmed, this.#keeps));
      if (db.mayLag) return;
      const changedAt = new Set(changed.map(({ position }) => position - 1));
      for (const [i, entry] of confirmed.entries()) {
        // An entry about which a later statement asked is left as that one found it.
        if (entry.askedAt > askedAt) continue;
        entry.askedAt = changedAt.has(i) ? Number.NEGATIVE_INFINITY : askedAt;
      }
    } catch {
      // The next visits ask, and say what is wrong.
    } finally {
      this.#confirmsNext = this.now() + CONFIRM_EVERY_MS;
    }
  }

  #takeHits(now: number): CachedList[] {
    const taken: CachedList[] = [];
    for (const entry of this.#hits) {
      const age = now - entry.askedAt;
      if (age < CONFIRM_AFTER_MS) continue;
      this.#hits.delete(entry);
      if (age < CACHE_TTL_MS && taken.push(entry) === MOST_CONFIRMED) break;
    }
    return taken;
  }

  /**
   * Reads what the view answered in the column of `listIfNewer`.
   * @param cached what `get` gave before the statement was sent
   * @param askedAt when it was sent, as `now()` told
   * @param mayLag whether a replica answered: it proves nothing about the present, so nothing is cached
   * @returns null when the view has no row
   */
  read(
    id: number,
    sellerId: number,
    answer: string | null,
    cached: CachedList | undefined,
    askedAt: number,
    mayLag = false,
  ): ClientList | null {
    if (answer === '') {
      if (!mayLag) cached!.askedAt = Math.max(cached!.askedAt, askedAt);
      return cached!.list;
    }
    const list = answer === null ? null : parse(answer);
    if (mayLag) {
      // A reader does not go back in time because the primary is away, nor when it is back.
      const kept = this.get(id)?.list ?? null;
      if (kept !== null && kept.version > (list?.version ?? 0)) return kept;
      this.#lists.delete(id);
      return list;
    }
    // An answer that a later one has overtaken is right for its own request, and is not cached.
    if ((this.#lists.peek(id)?.askedAt ?? Number.NEGATIVE_INFINITY) > askedAt) return list;
    if (askedAt <= Math.max(this.#allEvictedAt, this.#evictedAt.get(sellerId) ?? Number.NEGATIVE_INFINITY))
      return list;
    const digest = answer === null ? null : answer.slice(0, answer.indexOf(' '));
    const size = answer === null ? ENTRY_WITHOUT_LIST : answer.length + ENTRY;
    // An entry that is larger than all of the cache is not kept, nor is the one it replaces.
    this.#lists.delete(id);
    this.#lists.set(id, { sellerId, list, digest, size, askedAt });
    return list;
  }
}

function parse(answer: string): ClientList {
  const afterHead = answer.indexOf('[');
  const clients = JSON.parse(answer.slice(afterHead)) as PageClient[];
  const [, version, seconds, total] = answer.slice(0, afterHead - 1).split(' ');
  return {
    version: Number(version),
    committedAt: Math.round(Number(seconds) * 1_000),
    clients,
    total: total ? Number(total) : clients.length,
  };
}

/**
 * `Reads.withLists` of a page of one seller: from the cache where the entry is current, else from the view.
 * @param id of the page
 * @param db by which `readOwn` and `readBoth` read
 * @param minVersion the version that the reader has seen already, by seller
 * @param readOwn reads the page's own row alone
 * @param readBoth reads it with the column of `listIfNewer`, given the digest of the cached list
 */
export async function readThroughCache<Own extends { readonly seller_id: number }>(
  cache: ListCache,
  id: number,
  db: PageDatabase,
  minVersion: (sellerId: number) => number,
  readOwn: () => Promise<Own | null>,
  readBoth: (cached: string | null) => Promise<ReadonlyArray<Own & { readonly held: string | null }>>,
): Promise<{ own: Own; held: ReadonlyMap<number, ClientList> } | null> {
  let cached = cache.get(id);
  if (cached !== undefined && cache.isCurrent(cached, minVersion(cached.sellerId))) {
    const reading = readOwn();
    void cache.hit([cached], db);
    const own = await reading;
    if (own === null) return null;
    if (own.seller_id === cached.sellerId) return { own, held: heldBy(own.seller_id, cached.list) };
    // The page is of another seller now, and the cached list is not its.
    cached = undefined;
  }
  const askedAt = cache.now();
  const [own] = await readBoth(cached?.digest ?? null);
  if (own === undefined) return null;
  const list = cache.read(id, own.seller_id, own.held, cached, askedAt, db.mayLag);
  return { own, held: heldBy(own.seller_id, list) };
}

/**
 * The lists of a page of many sellers: from the cache where entries are current, the others from the view, all at once.
 * @param sellers each once; their entries have their ids
 * @param readLists reads the column of `listIfNewer` for these sellers, given the digests of their cached lists
 */
export async function readManyThroughCache(
  cache: ListCache,
  sellers: readonly number[],
  db: PageDatabase,
  minVersion: (sellerId: number) => number,
  readLists: (
    sellers: readonly number[],
    cached: ReadonlyArray<string | null>,
  ) => Promise<ReadonlyArray<{ readonly seller_id: number; readonly held: string | null }>>,
): Promise<ReadonlyMap<number, ClientList>> {
  const held = new Map<number, ClientList>();
  const hits: CachedList[] = [];
  const asked = new Map<number, CachedList | undefined>();
  for (const sellerId of sellers) {
    const cached = cache.get(sellerId);
    if (cached === undefined || !cache.isCurrent(cached, minVersion(sellerId))) asked.set(sellerId, cached);
    else {
      hits.push(cached);
      if (cached.list !== null) held.set(sellerId, cached.list);
    }
  }
  void cache.hit(hits, db);
  if (asked.size === 0) return held;
  const askedAt = cache.now();
  const digests = [...asked.values()].map((cached) => cached?.digest ?? null);
  for (const row of await readLists([...asked.keys()], digests)) {
    const { seller_id: sellerId } = row;
    const list = cache.read(sellerId, sellerId, row.held, asked.get(sellerId), askedAt, db.mayLag);
    if (list !== null) held.set(sellerId, list);
  }
  return held;
}

const heldBy = (sellerId: number, list: ClientList | null): ReadonlyMap<number, ClientList> =>
  list === null ? NOTHING_HELD : new Map([[sellerId, list]]);
const NOTHING_HELD: ReadonlyMap<number, ClientList> = new Map();
