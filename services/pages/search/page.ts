import { type AddressRefused, type Page, type ShownList, topClientsJson } from '../page.ts';
import { NAMED_ON_A_CARD } from '../views/cards.ts';
import {
  CARDS_A_PAGE,
  MOST_RESULTS,
  openSearchReads,
  type SearchAddress,
  type SearchResults,
  sellersOn,
} from './read.ts';
import { SUGGESTIONS, searchHtml } from './template.ts';

const LAST_PAGE = MOST_RESULTS / CARDS_A_PAGE;
const LONGEST_QUERY = 200;
// PostgreSQL takes no NUL and UTF-8 no lone surrogates; other controls are no words either.
// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point
const CONTROLS = /[\u0000-\u001f\u007f]/;

/** `GET /search?q=…&page=N`: 48 cards, each with what its seller's clients come down to. */
export const searchPage: Page<SearchAddress, SearchResults> = {
  name: 'search',
  title: 'Search',
  path: '/search',
  shows: 'many sellers',
  address: (_, { q = '', page = '1' }) => {
    const query = q.trim();
    if (query.length > LONGEST_QUERY) return refusal(`Search for at most ${LONGEST_QUERY} characters.`);
    if (CONTROLS.test(query) || !query.isWellFormed())
      return refusal('Search for text without control characters.');
    if (!/^[1-9]\d{0,3}$/.test(page)) return refusal(`page must be a whole number from 1 to ${LAST_PAGE}.`);
    if (Number(page) > LAST_PAGE) {
      return {
        refused: 'not-found',
        detail: `Results end at page ${LAST_PAGE}: search for more words instead.`,
      };
    }
    return { query, page: Number(page) };
  },
  probe: { query: '', page: 1 },
  open: openSearchReads,
  sellersOf: (results) => sellersOn(results.cards),
  html: searchHtml,
  json: (results, shown, now) => ({
    query: results.query,
    page: results.page,
    pages: Math.max(1, Math.ceil(results.total / CARDS_A_PAGE)),
    total: results.total,
    totalIsAtLeast: results.total >= MOST_RESULTS,
    cards: results.cards.map((card) => ({
      listingId: card.listing_id,
      gigId: card.gig_id,
      sellerId: card.seller_id,
      title: card.title,
      category: card.category,
      priceCents: card.price_cents,
      deliveryDays: card.delivery_days,
      rating: card.rating,
      reviews: card.reviews,
      seller: { name: card.seller_name, level: card.seller_level },
      ...(shown ? { topClients: topClientsJson(short(shown(card.seller_id)), now) } : {}),
    })),
  }),
  examples: (site) => [
    { label: 'Everything, best first', href: site.search() },
    ...SUGGESTIONS.map((one) => ({ label: one, href: site.search(one) })),
    { label: 'a search that finds nothing', href: site.search('zeppelin mooring') },
  ],
};

/** The same members on each card whichever way the list came: the source of truth sends whole ones. */
const short = ({ outcome, list }: ShownList): ShownList => ({
  outcome,
  list: list && {
    ...list,
    clients: list.clients.slice(0, NAMED_ON_A_CARD).map(({ id, name, logo }) => ({ id, name, logo })),
  },
});

const refusal = (detail: string): AddressRefused => ({ refused: 'invalid-request', detail });
