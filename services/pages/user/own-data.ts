import type { Queryable } from '#platform/postgres.ts';
import type { Review } from '../gig/own-data.ts';
import type { SellerLevel } from '../page.ts';

/** A gig as the profile of its seller lists it. */
export interface ProfileGig {
  readonly gigId: number;
  readonly title: string;
  readonly priceCents: number;
  readonly rating: number;
  readonly reviews: number;
}

/** A row of the table `user_profile`, named as its columns are. */
export interface UserProfileRow {
  readonly seller_id: number;
  readonly display_name: string;
  readonly headline: string;
  /** Paragraphs, separated by an empty line. */
  readonly bio: string;
  readonly country: string;
  readonly city: string;
  readonly languages: readonly string[];
  readonly skills: readonly string[];
  /** `2019-04-01` */
  readonly member_since: string;
  readonly level: SellerLevel;
  /** 0 to 5, one decimal */
  readonly rating: number;
  readonly reviews: number;
  readonly orders_completed: number;
  readonly response_hours: number;
  /** Degrees on the colour wheel */
  readonly hue: number;
  readonly gigs: readonly ProfileGig[];
  readonly recent_reviews: readonly Review[];
}

/** Writes a chunk of profiles (1,000 is a good size) in one statement; those that exist are replaced. */
export async function insertUserProfiles(db: Queryable, rows: readonly UserProfileRow[]): Promise<void> {
  await db.query({
    name: 'insert-user-profiles',
    text: `insert into user_profile select * from json_populate_recordset(null::user_profile, $1)
      on conflict (seller_id) do update set
        display_name = excluded.display_name, headline = excluded.headline, bio = excluded.bio,
        country = excluded.country, city = excluded.city, languages = excluded.languages, skills = excluded.skills,
        member_since = excluded.member_since, level = excluded.level, rating = excluded.rating,
        reviews = excluded.reviews, orders_completed = excluded.orders_completed,
        response_hours = excluded.response_hours, hue = excluded.hue, gigs = excluded.gigs,
        recent_reviews = excluded.recent_reviews`,
    values: [JSON.stringify(rows)],
  });
}
