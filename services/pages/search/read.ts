import type { Clock } from '#platform/clock.ts';
import { heldIn, type RowWithIds } from '../held-ids.ts';
import { ListCache, listIfNewer, readManyThroughCache } from '../list-cache.ts';
import type { InvalidationFeed, PageDatabase, Reads } from '../page.ts';
import type { ListingRow } from './own-data.ts';

export const CARDS_A_PAGE = 48;
/** A card shows the first clients, and its view keeps no others. */
const KEEPS = 'the first';
/** Results are counted and paged up to here; a query that finds more needs more words. */
export const MOST_RESULTS = CARDS_A_PAGE * 21;

export interface SearchAddress {
  /** Empty: everything, best first. */
  readonly query: string;
  /** From 1 */
  readonly page: number;
}

/** All that a card shows of its own. */
export const COLUMNS = [
  ...(['listing_id', 'gig_id', 'seller_id', 'title', 'category', 'price_cents', 'delivery_days'] as const),
  ...(['rating', 'reviews', 'seller_name', 'seller_level', 'seller_hue'] as const),
] as const;
export type Card = Pick<ListingRow, (typeof COLUMNS)[number]>;

export interface SearchResults extends SearchAddress {
  readonly cards: readonly Card[];
  /** At most MOST_RESULTS, which then reads "or more". */
  readonly total: number;
}

type Total = { readonly total: number };

const parameters = ({ query, page }: SearchAddress) => [
  query,
  (page - 1) * CARDS_A_PAGE,
  CARDS_A_PAGE,
  MOST_RESULTS,
];

const own = (address: SearchAddress) => ({
  name: 'search-own',
  text: 'select * from search_listings($1, $2, $3, $4)',
  values: parameters(address),
});

/** @param cached digests of the cached lists, which need not be sent again; null where none is cached */
const lists = (sellers: readonly number[], cached: ReadonlyArray<string | null>) => ({
  name: 'search-lists',
  text: `select seller_id, ${listIfNewer('asked.seller_id', 'asked.cached', KEEPS)} as held
    from unnest($1::bigint[], $2::bigint[]) as asked (seller_id, cached)`,
  values: [sellers, cached],
});

const withIds = (address: SearchAddress) => ({
  name: 'search-with-ids',
  text: `select found.*, held.version as held_version, held.committed_at as held_committed_at,
      held.client_ids::text[] as held_client_ids
    from search_listings($1, $2, $3, $4) with ordinality as found
      left join top_clients.client_ids as held on held.seller_id = found.seller_id
    order by found.ordinality`,
  values: parameters(address),
});

/** A page beyond the last is an address that leads to nothing; the first page always exists. */
const resultsOf = (address: SearchAddress, cards: readonly Card[], total: number): SearchResults | null =>
  cards.length === 0 && address.page > 1 ? null : { ...address, cards, total };

export function openSearchReads(feed: InvalidationFeed, clock?: Clock): Reads<SearchAddress, SearchResults> {
  const cache = new ListCache(feed, clock, KEEPS);

  async function readOwn(db: PageDatabase, address: SearchAddress): Promise<SearchResults | null> {
    const rows = await db.query<Card & Total>(own(address));
    return resultsOf(address, rows, rows[0]?.total ?? 0);
  }

  return {
    own: readOwn,

    async withLists(db, address, minVersion) {
      const results = await readOwn(db, address);
      if (results === null) return null;
      const held = await readManyThroughCache(
        cache,
        sellersOn(results.cards),
        db,
        minVersion,
        (sellers, cached) => db.query(lists(sellers, cached)),
      );
      return { own: results, held };
    },

    async withIds(db, address) {
      const rows = await db.query<Card & Total & RowWithIds>(withIds(address));
      const results = resultsOf(address, rows, rows[0]?.total ?? 0);
      return results && { own: results, held: heldIn(rows) };
    },

    /** The results name the sellers, and there is nothing more to read. */
    async sellersFirst(db: PageDatabase, address) {
      const results = await readOwn(db, address);
      return results && { sellers: sellersOn(results.cards), own: async () => results };
    },
  };
}

/** Each seller once. */
export const sellersOn = (cards: readonly Card[]): number[] => [
  ...new Set(cards.map((card) => card.seller_id)),
];
