import type { Clock } from '#platform/clock.ts';
import type { ClientIds, PageDatabase, Reads, ToldOfChanges } from '../page.ts';
import { listUnless, RecentLists, readWithList } from '../recent-lists.ts';
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

/** @param remembered digest of the list that need not be sent again */
const withList = (sellerId: number, remembered: string | null) => ({
  name: 'user-with-list',
  text: `select seller_id, display_name, headline, bio, country, city, languages, skills,
      to_char(member_since, 'YYYY-MM-DD') as member_since, level, rating, reviews, orders_completed, response_hours,
      hue, gigs, recent_reviews,
      ${listUnless('user_profile.seller_id', '$2')} as held
    from user_profile where seller_id = $1`,
  values: [sellerId, remembered],
});

const withIds = (sellerId: number) => ({
  name: 'user-with-ids',
  text: `select seller_id, display_name, headline, bio, country, city, languages, skills,
      to_char(member_since, 'YYYY-MM-DD') as member_since, level, rating, reviews, orders_completed, response_hours,
      hue, gigs, recent_reviews,
      held.version as held_version, held.committed_at as held_committed_at, held.client_ids::text[] as held_client_ids
    from user_profile left join top_clients as held using (seller_id) where seller_id = $1`,
  values: [sellerId],
});

interface HeldIds {
  readonly held_version: number | null;
  readonly held_committed_at: Date | null;
  readonly held_client_ids: string[] | null;
}

export function openUserReads(told: ToldOfChanges, clock?: Clock): Reads<number, UserProfile> {
  const recent = new RecentLists(told, clock);
  const readOwn = async (db: PageDatabase, sellerId: number): Promise<UserProfile | null> =>
    (await db.query<UserProfile>(own(sellerId)))[0] ?? null;
  return {
    own: readOwn,

    withLists: (db, sellerId, least) =>
      readWithList(
        recent,
        sellerId,
        least,
        () => readOwn(db, sellerId),
        (remembered) => db.query(withList(sellerId, remembered)),
      ),

    async withIds(db, sellerId) {
      const [row] = await db.query<UserProfile & HeldIds>(withIds(sellerId));
      if (row === undefined) return null;
      const held = new Map<number, ClientIds>();
      if (row.held_version !== null) {
        held.set(sellerId, {
          version: row.held_version,
          committedAt: row.held_committed_at!.getTime(),
          clientIds: row.held_client_ids!,
        });
      }
      return { own: row, held };
    },

    /** The address names the seller: nothing has to be read first. */
    async sellersFirst(db, sellerId) {
      return { sellers: [sellerId], own: () => readOwn(db, sellerId) };
    },
  };
}
