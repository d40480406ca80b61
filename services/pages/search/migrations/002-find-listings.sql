-- A page of results. Without words everything is listed, best first. Planned anew at each call: whether to walk
-- the scores or to look the words up first depends on how common these words are.
create function find_listings(query text, skip integer, how_many integer)
returns table (listing_id bigint, gig_id bigint, seller_id bigint, title text, category text, price_cents integer,
  delivery_days smallint, rating real, reviews integer, seller_name text, seller_level text, seller_hue smallint)
language plpgsql stable
set plan_cache_mode = force_custom_plan
as $$
#variable_conflict use_column
begin
  if query = '' then
    return query
      select l.listing_id, l.gig_id, l.seller_id, l.title, l.category, l.price_cents, l.delivery_days, l.rating,
        l.reviews, l.seller_name, l.seller_level, l.seller_hue
      from listing as l order by l.score desc, l.listing_id limit how_many offset skip;
  else
    return query
      select l.listing_id, l.gig_id, l.seller_id, l.title, l.category, l.price_cents, l.delivery_days, l.rating,
        l.reviews, l.seller_name, l.seller_level, l.seller_hue
      from listing as l where l.words @@ websearch_to_tsquery('english', find_listings.query)
      order by l.score desc, l.listing_id limit how_many offset skip;
  end if;
end
$$;

-- How many listings match, counted up to a bound: nobody leafs through more.
create function count_listings(query text, bound integer) returns integer
language plpgsql stable
set plan_cache_mode = force_custom_plan
as $$
begin
  if query = '' then
    return (select count(*) from (select from listing limit bound) as counted);
  end if;
  return (
    select count(*) from (
      select from listing where words @@ websearch_to_tsquery('english', query) limit bound
    ) as counted
  );
end
$$;
