import type { PageName } from '#contracts/pages.ts';
import { insertGigs } from '#pages/gig/own-data.ts';
import { insertListings } from '#pages/search/own-data.ts';
import { insertUserProfiles } from '#pages/user/own-data.ts';
import type { Queryable } from '#platform/postgres.ts';
import type { GeneratedSeller } from './sellers.ts';

/** What a page keeps of made-up sellers beside the view. */
interface OwnData {
  insert(db: Queryable, made: readonly GeneratedSeller[]): Promise<void>;
  /** Counts the first row of each seller from $1 to $2; its id is the seller's. */
  readonly count: string;
}

export const OWN_DATA: Readonly<Record<PageName, OwnData>> = {
  gig: {
    insert: (db, made) =>
      insertGigs(
        db,
        made.flatMap((one) => one.gigs),
      ),
    count: 'select count(*) from gig where gig_id between $1 and $2',
  },
  user: {
    insert: (db, made) =>
      insertUserProfiles(
        db,
        made.map((one) => one.profile),
      ),
    count: 'select count(*) from user_profile where seller_id between $1 and $2',
  },
  search: {
    insert: (db, made) =>
      insertListings(
        db,
        made.flatMap((one) => one.listings),
      ),
    count: 'select count(*) from listing where listing_id between $1 and $2',
  },
};
