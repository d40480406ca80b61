import type { Queryable } from '#platform/postgres.ts';
import type { SellerLevel } from '../page.ts';

/** A row of the table `listing`, named as its columns are. */
export interface ListingRow {
  readonly listing_id: number;
  readonly gig_id: number;
  readonly seller_id: number;
  readonly title: string;
  readonly category: string;
  /** Words a buyer may use that the title lacks, separated by blanks. */
  readonly keywords: string;
  readonly price_cents: number;
  readonly delivery_days: number;
  /** 0 to 5, one decimal */
  readonly rating: number;
  readonly reviews: number;
  readonly seller_name: string;
  readonly seller_level: SellerLevel;
  /** Degrees on the colour wheel */
  readonly seller_hue: number;
  /** Order of results, higher first. */
  readonly score: number;
}

/** Writes a chunk of listings (1,000 is a good size) in one statement; those that exist are replaced. */
export async function insertListings(db: Queryable, rows: readonly ListingRow[]): Promise<void> {
  await db.query({
    name: 'insert-listings',
    text: `insert into listing (listing_id, gig_id, seller_id, title, category, keywords, price_cents,
          delivery_days, rating, reviews, seller_name, seller_level, seller_hue, score)
      select listing_id, gig_id, seller_id, title, category, keywords, price_cents,
          delivery_days, rating, reviews, seller_name, seller_level, seller_hue, score
      from json_populate_recordset(null::listing, $1)
      on conflict (listing_id) do update set
        gig_id = excluded.gig_id, seller_id = excluded.seller_id, title = excluded.title,
        category = excluded.category, keywords = excluded.keywords, price_cents = excluded.price_cents,
        delivery_days = excluded.delivery_days, rating = excluded.rating, reviews = excluded.reviews,
        seller_name = excluded.seller_name, seller_level = excluded.seller_level,
        seller_hue = excluded.seller_hue, score = excluded.score`,
    values: [JSON.stringify(rows)],
  });
}
