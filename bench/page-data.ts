/** What the pages of a measurement show: made-up sellers, and their lists in the pages' views. */
import { insertGigs } from '#pages/gig/own-data.ts';
import { projectionsOf } from '#pages/projections.ts';
import { insertListings } from '#pages/search/own-data.ts';
import { insertUserProfiles } from '#pages/user/own-data.ts';
import type { Pool } from '#platform/postgres.ts';
import { seller } from '../services/seed/sellers.ts';
import { historyOf } from '../services/seed/source.ts';

export type MeasuredPage = 'gig' | 'user' | 'search';

const SELLERS = 20_000;
/** One of this many sellers is visited; related gigs belong to the others. */
const VISITED_OF = 10;
const CHUNK = 1_000;

const idsFrom = (first: number) => Array.from({ length: CHUNK }, (_, i) => first + i);

/**
 * Fills a page as the demo does, with its own rows and lists of all sellers. The first sellers have clients far more
 * often than the rest, and a third of all have them.
 * @param db with the asynchronous view first in its search path
 */
export async function fillPage(page: MeasuredPage, db: Pool): Promise<void> {
  for (let first = 1; first <= SELLERS; first += CHUNK) {
    const made = idsFrom(first).map((id) => seller(id, SELLERS));
    if (page === 'gig')
      await insertGigs(
        db,
        made.flatMap((one) => one.gigs),
      );
    else if (page === 'user')
      await insertUserProfiles(
        db,
        made.map((one) => one.profile),
      );
    else
      await insertListings(
        db,
        made.flatMap((one) => one.listings),
      );
  }
  await fillLists(page, db);
  await db.query('vacuum analyze');
}

async function fillLists(page: MeasuredPage, db: Pool): Promise<void> {
  const projection = projectionsOf(page).asynchronous;
  const now = new Date().toISOString();
  for (let first = 1; first <= SELLERS; first += CHUNK) {
    const newest = idsFrom(first).flatMap((id) => historyOf(id, now).at(-1) ?? []);
    await projection.upsert(
      db,
      newest.map((event) => projection.toRow(event)),
    );
  }
}

const SEARCHES = ['logo', 'video', 'website', 'voice', 'translate', 'illustration', 'data', 'photo', ''];

/** One gig or profile of every tenth seller, in the same order for whoever is visited; nine searches. */
export function visitsTo(page: MeasuredPage): readonly string[] {
  if (page === 'search') return SEARCHES.map((words) => `/search?q=${words}`);
  // The first gig of a seller has the seller's number.
  return Array.from({ length: SELLERS / VISITED_OF }, (_, i) => `/${page}s/${1 + i * VISITED_OF}`);
}

/** As in real listings a few words are everywhere and most are rare: `item<k>` is in 0.3/k of all listings. */
const VOCABULARY = 20_000;

/**
 * Fills the search page anew with many listings: those of the sellers above, repeated under other ids and scores, each
 * with three words out of `item1` to `item20000`. Indexes are made at the end, which is several times faster.
 */
export async function fillSearch(db: Pool, listings: number): Promise<void> {
  await db.query('truncate listing');
  await fillPage('search', db);
  const { rows: indexes } = await db.query<{ name: string; definition: string }>(
    `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index
    where indrelid = 'listing'::regclass and not indisprimary`,
  );
  for (const { name } of indexes) await db.query(`drop index ${name}`);
  await db.query(
    `insert into listing (listing_id, gig_id, seller_id, title, category, keywords, price_cents, delivery_days, rating,
      reviews, seller_name, seller_level, seller_hue, score)
    select id, id, seller_id, title, category, keywords || further.words, price_cents, delivery_days, rating, reviews,
      seller_name, seller_level, seller_hue, score + (hashint8extended(id, 4) & 63)
    from (
        select copy * 10000000 + listing_id as id, made.*
        from (select * from listing order by listing_id) as made, generate_series(1, $1 / ${SELLERS}) as copy
      ) as one,
      lateral (
        select string_agg(
          ' item' || floor(exp((hashint8extended(id, n) & 1048575) / 1048576.0 * ln($2::float8)))::text, '') as words
        from generate_series(1, 3) as n
      ) as further
    limit $1 - (select count(*) from listing)`,
    [listings, VOCABULARY],
  );
  await Promise.all(indexes.map(({ definition }) => db.query(definition)));
  await db.query('vacuum analyze');
}
