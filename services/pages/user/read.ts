import type { Clock } from '#platform/clock.ts';
import { heldIn, type RowWithIds } from '../held-ids.ts';
import { ListCache, listIfNewer, readThroughCache } from '../list-cache.ts';
import type { InvalidationFeed, PageDatabase, Reads } from '../page.ts';
import type { UserProfileRow } from './own-data.ts';

export type UserProfile = UserProfileRow;

const own = (sellerId: number) => ({
  name: 'user-own',
  text: `select seller_id, display_name, headline, bio, country, city, languages, skills,
      to_char(member_since, 'YYYY-MM-DD') as member_since, level, rating, reviews, orders_completed, response_hours,
      hue, gigs, recent_reviews
    from user_profile where seller_id = $1`,
  values: [sellerId],
});

/** @param cached digest of the cached list, which need not be sent again */
const withList = (sellerId: number, cached: string | null) => ({
  name: 'user-with-list',
  text: `select seller_id, display_name, headline, bio, country, city, languages, skills,
      to_char(member_since, 'YYYY-MM-DD') as member_since, level, rating, reviews, orders_completed, response_hours,
      hue, gigs, recent_reviews,
      ${listIfNewer('user_profile.seller_id', '$2')} as held
    from user_profile where seller_id = $1`,
  values: [sellerId, cached],
});

const withIds = (sellerId: number) => ({
  name: 'user-with-ids',
  text: `select seller_id, display_name, headline, bio, country, city, languages, skills,
      to_char(member_since, 'YYYY-MM-DD') as member_since, level, rating, reviews, orders_completed, response_hours,
      hue, gigs, recent_reviews,
      held.version as held_version, held.committed_at as held_committed_at, held.client_ids::text[] as held_client_ids
    from user_profile left join top_clients.client_ids as held using (seller_id) where seller_id = $1`,
  values: [sellerId],
});

export function openUserReads(feed: InvalidationFeed, clock?: Clock): Reads<number, UserProfile> {
  const cache = new ListCache(feed, clock);
  const readOwn = async (db: PageDatabase, sellerId: number): Promise<UserProfile | null> =>
    (await db.query<UserProfile>(own(sellerId)))[0] ?? null;
  return {
    own: readOwn,

    withLists: (db, sellerId, minVersion) =>
      readThroughCache(
        cache,
        sellerId,
        db,
        minVersion,
        () => readOwn(db, sellerId),
        (cached) => db.query(withList(sellerId, cached)),
      ),

    async withIds(db, sellerId) {
      const [row] = await db.query<UserProfile & RowWithIds>(withIds(sellerId));
      if (row === undefined) return null;
      return { own: row, held: heldIn([row]) };
    },

    /** The address names the seller: nothing has to be read first. */
    async sellersFirst(db, sellerId) {
      return { sellers: [sellerId], own: () => readOwn(db, sellerId) };
    },
  };
}
