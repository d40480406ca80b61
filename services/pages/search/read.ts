import type { ClientIds, ClientList, PageClient, PageDatabase, Reads } from '../page.ts';

export const CARDS_A_PAGE = 48;
/** Results are counted and paged up to here; a query that finds more needs more words. */
export const MOST_RESULTS = CARDS_A_PAGE * 21;

export interface SearchAddress {
  /** Empty: everything, best first. */
  readonly query: string;
  /** From 1 */
  readonly page: number;
}

export interface Card {
  readonly listing_id: number;
  readonly gig_id: number;
  readonly seller_id: number;
  readonly title: string;
  readonly category: string;
  readonly price_cents: number;
  readonly delivery_days: number;
  readonly rating: number;
  readonly reviews: number;
  readonly seller_name: string;
  readonly seller_level: 'new' | 'rising' | 'expert' | 'master';
  readonly seller_hue: number;
}

export interface SearchResults extends SearchAddress {
  readonly cards: readonly Card[];
  /** At most MOST_RESULTS, which then reads "or more". */
  readonly total: number;
}

type Total = { readonly total: number };
type HeldVersion = {
  readonly held_version: number | null;
  readonly held_committed_at: Date | null;
};

// `(select count_listings(…))`: once a statement. Without the select it would be counted again for every row.
const own = ({ query, page }: SearchAddress) => ({
  name: 'search-own',
  text: 'select *, (select count_listings($1, $4)) as total from find_listings($1, $2, $3)',
  values: [query, (page - 1) * CARDS_A_PAGE, CARDS_A_PAGE, MOST_RESULTS],
});

const withLists = ({ query, page }: SearchAddress) => ({
  name: 'search-with-lists',
  text: `select found.*, (select count_listings($1, $4)) as total, held.version as held_version,
      held.committed_at as held_committed_at, held.total as held_total, held.clients as held_clients
    from find_listings($1, $2, $3) with ordinality as found
      left join top_clients.lists as held on held.seller_id = found.seller_id
    order by found.ordinality`,
  values: [query, (page - 1) * CARDS_A_PAGE, CARDS_A_PAGE, MOST_RESULTS],
});

const withIds = ({ query, page }: SearchAddress) => ({
  name: 'search-with-ids',
  text: `select found.*, (select count_listings($1, $4)) as total, held.version as held_version,
      held.committed_at as held_committed_at, held.client_ids::text[] as held_client_ids
    from find_listings($1, $2, $3) with ordinality as found
      left join top_clients.client_ids as held on held.seller_id = found.seller_id
    order by found.ordinality`,
  values: [query, (page - 1) * CARDS_A_PAGE, CARDS_A_PAGE, MOST_RESULTS],
});

const found = ({ query, page }: SearchAddress) => ({
  name: 'search-found',
  text: 'select * from find_listings($1, $2, $3)',
  values: [query, (page - 1) * CARDS_A_PAGE, CARDS_A_PAGE],
});

const counted = (query: string) => ({
  name: 'search-counted',
  text: 'select count_listings($1, $2) as total',
  values: [query, MOST_RESULTS],
});

/** A page beyond the last is an address that leads to nothing; the first page always exists. */
const resultsOf = (address: SearchAddress, cards: readonly Card[], total: number): SearchResults | null =>
  cards.length === 0 && address.page > 1 ? null : { ...address, cards, total };

export function openSearchReads(): Reads<SearchAddress, SearchResults> {
  return {
    async own(db, address) {
      const rows = await db.query<Card & Total>(own(address));
      return resultsOf(address, rows, rows[0]?.total ?? 0);
    },

    async withLists(db, address) {
      const rows = await db.query<
        Card & Total & HeldVersion & { held_total: number; held_clients: PageClient[] }
      >(withLists(address));
      const results = resultsOf(address, rows, rows[0]?.total ?? 0);
      if (results === null) return null;
      const held = new Map<number, ClientList>();
      for (const row of rows) {
        if (row.held_version === null) continue;
        held.set(row.seller_id, {
          version: row.held_version,
          committedAt: row.held_committed_at!.getTime(),
          clients: row.held_clients,
          total: row.held_total,
        });
      }
      return { own: results, held };
    },

    async withIds(db, address) {
      const rows = await db.query<Card & Total & HeldVersion & { held_client_ids: string[] }>(
        withIds(address),
      );
      const results = resultsOf(address, rows, rows[0]?.total ?? 0);
      if (results === null) return null;
      const held = new Map<number, ClientIds>();
      for (const row of rows) {
        if (row.held_version === null) continue;
        held.set(row.seller_id, {
          version: row.held_version,
          committedAt: row.held_committed_at!.getTime(),
          clientIds: row.held_client_ids,
        });
      }
      return { own: results, held };
    },

    /** The cards name the sellers; the source of truth is asked while the results are counted. */
    async sellersFirst(db: PageDatabase, address) {
      const cards = await db.query<Card>(found(address));
      return {
        sellers: sellersOn(cards),
        own: async () => {
          const [row] = await db.query<Total>(counted(address.query));
          return resultsOf(address, cards, row?.total ?? 0);
        },
      };
    },
  };
}

/** Each seller once. */
export const sellersOn = (cards: readonly Card[]): number[] => [
  ...new Set(cards.map((card) => card.seller_id)),
];
