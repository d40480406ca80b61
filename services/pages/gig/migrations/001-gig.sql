-- The gig page's own data, laid out for one read a page: what the page always shows together is one row.
create table gig (
  gig_id bigint primary key,
  seller_id bigint not null,
  title text not null,
  category text not null,
  description text not null,
  -- [{"title", "priceCents", "deliveryDays", "revisions", "includes": ["…"]}]: basic, standard, premium, in this order
  packages json not null,
  -- [{"question", "answer"}]
  faq json not null default '[]',
  -- [{"author", "country", "rating", "text", "month"}], newest first
  recent_reviews json not null default '[]',
  rating real not null check (rating between 0 and 5),
  reviews integer not null check (reviews >= 0),
  seller_name text not null,
  seller_headline text not null,
  seller_level text not null check (seller_level in ('new', 'rising', 'expert', 'master')),
  seller_country text not null,
  -- Degrees on the colour wheel, 0 to 359, for the seller's avatar.
  seller_hue smallint not null,
  related_gig_ids bigint[] not null default '{}'
);
