-- What can be found, one row a card.
create table listing (
  listing_id bigint primary key,
  gig_id bigint not null,
  seller_id bigint not null,
  title text not null,
  category text not null,
  -- Words a buyer may use that the title lacks, separated by blanks.
  keywords text not null default '',
  price_cents integer not null check (price_cents >= 0),
  delivery_days smallint not null,
  rating real not null check (rating between 0 and 5),
  reviews integer not null check (reviews >= 0),
  seller_name text not null,
  seller_level text not null check (seller_level in ('new', 'rising', 'expert', 'master')),
  seller_hue smallint not null,
  -- Order of results, higher first: computed when a listing is written, so that a read only sorts integers.
  score integer not null,
  words tsvector not null generated always as (
    to_tsvector('english', title || ' ' || category || ' ' || keywords || ' ' || seller_name)
  ) stored
);
create index listing_words on listing using gin (words) with (fastupdate = off);
create index listing_score on listing (score desc, listing_id);
