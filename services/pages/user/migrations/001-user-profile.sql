-- The user page's own data: one row a seller holds all that the page shows.
create table user_profile (
  seller_id bigint primary key,
  display_name text not null,
  headline text not null,
  bio text not null,
  country text not null,
  city text not null,
  languages text[] not null,
  skills text[] not null,
  member_since date not null,
  level text not null check (level in ('new', 'rising', 'expert', 'master')),
  rating real not null check (rating between 0 and 5),
  reviews integer not null check (reviews >= 0),
  orders_completed integer not null check (orders_completed >= 0),
  response_hours smallint not null,
  -- Degrees on the colour wheel, 0 to 359, for the avatar.
  hue smallint not null,
  -- [{"gigId", "title", "priceCents", "rating", "reviews"}]
  gigs json not null default '[]',
  -- [{"author", "country", "rating", "text", "month"}], newest first
  recent_reviews json not null default '[]'
);
