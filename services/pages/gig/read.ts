import { LRUCache } from 'lru-cache';
import type { Clock } from '#platform/clock.ts';
import { heldIn, type RowWithIds } from '../held-ids.ts';
import { ListCache, listIfNewer, readThroughCache } from '../list-cache.ts';
import type { InvalidationFeed, PageDatabase, Reads } from '../page.ts';
import type { GigRow } from './own-data.ts';

export interface RelatedGig {
  readonly gig_id: number;
  readonly title: string;
  readonly price_cents: number;
  readonly rating: number;
  readonly reviews: number;
  readonly seller_name: string;
}
/** All that the gig page shows of its own. */
export type Gig = Omit<GigRow, 'related_gig_ids'> & { readonly related: readonly RelatedGig[] };

const own = (gigId: number) => ({
  name: 'gig-own',
  text: `select gig_id, seller_id, title, category, description, packages, faq, recent_reviews, rating, reviews,
      seller_name, seller_headline, seller_level, seller_country, seller_hue, related
    from gig,
      lateral (
        select coalesce(json_agg(json_build_object(
          'gig_id', other.gig_id, 'title', other.title, 'price_cents', (other.packages->0->>'priceCents')::int,
          'rating', other.rating, 'reviews', other.reviews, 'seller_name', other.seller_name)), '[]') as related
        from gig as other where other.gig_id = any(gig.related_gig_ids)
      ) as others
    where gig_id = $1`,
  values: [gigId],
});

/** @param cached digest of the cached list, which need not be sent again */
const withList = (gigId: number, cached: string | null) => ({
  name: 'gig-with-list',
  text: `select gig_id, seller_id, title, category, description, packages, faq, recent_reviews, rating, reviews,
      seller_name, seller_headline, seller_level, seller_country, seller_hue, related,
      ${listIfNewer('gig.seller_id', '$2')} as held
    from gig,
      lateral (
        select coalesce(json_agg(json_build_object(
          'gig_id', other.gig_id, 'title', other.title, 'price_cents', (other.packages->0->>'priceCents')::int,
          'rating', other.rating, 'reviews', other.reviews, 'seller_name', other.seller_name)), '[]') as related
        from gig as other where other.gig_id = any(gig.related_gig_ids)
      ) as others
    where gig_id = $1`,
  values: [gigId, cached],
});

const withIds = (gigId: number) => ({
  name: 'gig-with-ids',
  text: `select gig_id, gig.seller_id, title, category, description, packages, faq, recent_reviews, rating, reviews,
      seller_name, seller_headline, seller_level, seller_country, seller_hue, related,
      held.version as held_version, held.committed_at as held_committed_at, held.client_ids::text[] as held_client_ids
    from gig left join top_clients.client_ids as held on held.seller_id = gig.seller_id,
      lateral (
        select coalesce(json_agg(json_build_object(
          'gig_id', other.gig_id, 'title', other.title, 'price_cents', (other.packages->0->>'priceCents')::int,
          'rating', other.rating, 'reviews', other.reviews, 'seller_name', other.seller_name)), '[]') as related
        from gig as other where other.gig_id = any(gig.related_gig_ids)
      ) as others
    where gig_id = $1`,
  values: [gigId],
});

const sellerOf = (gigId: number) => ({
  name: 'gig-seller',
  text: 'select seller_id from gig where gig_id = $1',
  values: [gigId],
});

/** Owners of gigs in memory. A gig belongs to one seller for good, so an owner stays true; bounded all the same. */
const OWNERS = 100_000;

export function openGigReads(feed: InvalidationFeed, clock?: Clock): Reads<number, Gig> {
  const cache = new ListCache(feed, clock);
  // Bounded by size: a bound by count would take room for all of them at once, 2.8 MB.
  const owners = new LRUCache<number, number>({ maxSize: OWNERS, sizeCalculation: () => 1 });

  async function ownerOf(db: PageDatabase, gigId: number): Promise<number | null> {
    const known = owners.get(gigId);
    if (known !== undefined) return known;
    const [row] = await db.query<{ seller_id: number }>(sellerOf(gigId));
    if (row === undefined) return null;
    owners.set(gigId, row.seller_id);
    return row.seller_id;
  }

  const readOwn = async (db: PageDatabase, gigId: number): Promise<Gig | null> =>
    (await db.query<Gig>(own(gigId)))[0] ?? null;

  return {
    own: readOwn,

    withLists: (db, gigId, minVersion) =>
      readThroughCache(
        cache,
        gigId,
        db,
        minVersion,
        () => readOwn(db, gigId),
        (cached) => db.query(withList(gigId, cached)),
      ),

    async withIds(db, gigId) {
      const [row] = await db.query<Gig & RowWithIds>(withIds(gigId));
      if (row === undefined) return null;
      return { own: row, held: heldIn([row]) };
    },

    /**
     * The address names a gig, the source of truth wants its seller: one look-up by key the first time a process
     * sees the gig, none after that, and the source is asked while the rest of the page is read.
     */
    async sellersFirst(db, gigId) {
      const sellerId = await ownerOf(db, gigId);
      return sellerId === null ? null : { sellers: [sellerId], own: () => readOwn(db, gigId) };
    },
  };
}
