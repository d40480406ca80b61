import type { Queryable } from '#platform/postgres.ts';
import type { SellerLevel } from '../page.ts';

/** One of the three ways to buy a gig. */
export interface GigPackage {
  readonly title: string;
  readonly priceCents: number;
  readonly deliveryDays: number;
  readonly revisions: number;
  readonly includes: readonly string[];
}

export interface Review {
  readonly author: string;
  readonly country: string;
  /** 1 to 5 */
  readonly rating: number;
  readonly text: string;
  /** `2026-03` */
  readonly month: string;
}

/** A row of the table `gig`, named as its columns are. */
export interface GigRow {
  readonly gig_id: number;
  readonly seller_id: number;
  readonly title: string;
  readonly category: string;
  /** Paragraphs, separated by an empty line. */
  readonly description: string;
  /** Basic, standard, premium. */
  readonly packages: readonly GigPackage[];
  readonly faq: readonly { readonly question: string; readonly answer: string }[];
  readonly recent_reviews: readonly Review[];
  /** 0 to 5, one decimal */
  readonly rating: number;
  readonly reviews: number;
  readonly seller_name: string;
  readonly seller_headline: string;
  readonly seller_level: SellerLevel;
  readonly seller_country: string;
  /** Degrees on the colour wheel */
  readonly seller_hue: number;
  readonly related_gig_ids: readonly number[];
}

/** Writes a chunk of gigs (1,000 is a good size) in one statement; those that exist are replaced. */
export async function insertGigs(db: Queryable, rows: readonly GigRow[]): Promise<void> {
  await db.query({
    name: 'insert-gigs',
    text: `insert into gig select * from json_populate_recordset(null::gig, $1)
      on conflict (gig_id) do update set
        seller_id = excluded.seller_id, title = excluded.title, category = excluded.category,
        description = excluded.description, packages = excluded.packages, faq = excluded.faq,
        recent_reviews = excluded.recent_reviews, rating = excluded.rating, reviews = excluded.reviews,
        seller_name = excluded.seller_name, seller_headline = excluded.seller_headline,
        seller_level = excluded.seller_level, seller_country = excluded.seller_country,
        seller_hue = excluded.seller_hue, related_gig_ids = excluded.related_gig_ids`,
    values: [JSON.stringify(rows)],
  });
}
