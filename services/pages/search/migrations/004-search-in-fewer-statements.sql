-- The same search with fewer statements: bands are looked up inside of one, what it fetched is counted as well, and no
-- listings are counted to find out how to look. A search plans on one core and compiles nothing, whatever the server's
-- settings say: both take longer than the search.

-- By the time it takes, to which the planner is blind: a walk along the scores calls it for each listing that has the words.
alter function banded_words(tsvector, integer) cost 400;

create or replace function search_listings(query text, skip integer, how_many integer, bound integer)
returns table (listing_id bigint, gig_id bigint, seller_id bigint, title text, category text, price_cents integer,
  delivery_days smallint, rating real, reviews integer, seller_name text, seller_level text, seller_hue smallint,
  total integer)
language plpgsql stable
set plan_cache_mode = force_generic_plan
set random_page_cost = 1.1
set cpu_index_tuple_cost = 1
set jit = off
set max_parallel_workers_per_gather = 0
as $$
#variable_conflict use_column
declare
  wanted tsquery;
  -- What the index can be asked: without what must not occur and how far words are apart. `T` where that is nothing.
  indexed text;
  words_asked text[];
  -- In two conditions, if nothing but words that must all occur are asked for: an index meets two lists of listings by
  -- leaps if each is a condition of its own, and entry by entry if they are one.
  first text;
  others text;
  is_exact boolean;
  needed constant integer := skip + how_many;
  ids bigint[] := '{}';
  more bigint[];
  counted integer := 0;
  -- Whether more listings of this band match than are worth fetching before they are sorted.
  is_dense boolean := false;
  best integer;
  band integer;
  lowest integer;
  width integer := 1;
begin
  if query = '' then
    ids := array(select l.listing_id from listing as l order by l.score desc, l.listing_id limit bound);
    counted := cardinality(ids);
  else
    wanted := websearch_to_tsquery('english', query);
    if numnode(wanted) = 0 then return; end if;
    indexed := regexp_replace(querytree(wanted), '<(-|\d+)>', '&', 'g');
    is_exact := indexed = wanted::text;
    if indexed = 'T' then
      -- Planned anew, as below.
      execute 'select array(select listing_id from listing where words @@ $1 order by score desc, listing_id limit $2)'
        into ids using wanted, bound;
      counted := cardinality(ids);
    else
      indexed := regexp_replace(indexed, '''(([^'']|'''')*)''', '''\1 BAND''', 'g');
      words_asked := array(select one[1] from regexp_matches(indexed, '''(?:[^'']|'''')*''', 'g') as one);
      if array_to_string(words_asked, ' & ') = indexed then
        first := words_asked[1];
        others := coalesce(nullif(array_to_string(words_asked[2:], ' & '), ''), first);
      else
        first := indexed;
        others := indexed;
      end if;
      select score_band(max(l.score)) into best from listing as l;
      band := best;
      -- The best, a few bands at a time. Those of few matches are passed in steps twice as wide each time.
      while band >= 0 and cardinality(ids) < needed loop
        if is_dense then
          -- Planned anew: whether to look up the words or to walk the scores depends on how common the words are.
          execute 'select array(
            select listing_id from listing
            where banded_words(words, score_band(score)) @@ $1 and words @@ $2 and score >= $3 and score < $4
            order by score desc, listing_id limit $5)'
            into more using replace(indexed, ' BAND''', ' ' || band || '''')::tsquery, wanted,
              least_score(band), least_score(band + 1), needed - cardinality(ids);
          ids := ids || more;
          exit when cardinality(ids) >= needed;
          lowest := band;
          is_dense := false;
        else
          lowest := greatest(band - width + 1, 0);
          -- By the words alone, which "offset 0" sees to, and one band after the other: of several words an index looks up
          -- many bands at once more slowly.
          more := array(
            select l.listing_id from (
                select listing_id, score
                from generate_series(lowest, band) as one,
                  lateral (
                    select listing_id, score from listing
                    where banded_words(words, score_band(score)) @@ replace(first, ' BAND''', ' ' || one || '''')::tsquery
                      and banded_words(words, score_band(score)) @@ replace(others, ' BAND''', ' ' || one || '''')::tsquery
                      and (is_exact or words @@ wanted) offset 0
                  ) as l
                limit 4 * bound
              ) as l
            order by l.score desc, l.listing_id);
          if cardinality(more) >= 4 * bound then
            is_dense := true;
            width := 1;
            continue;
          end if;
          ids := ids || more;
        end if;
        width := case when 32 * cardinality(more) < needed - cardinality(ids) then 2 * width else 1 end;
        counted := cardinality(ids);
        band := lowest - 1;
      end loop;
      -- How many more there are, from the band on in which the page ended, in any order.
      if counted < bound and band >= 0 then
        counted := counted + (
          select count(*) from (
            select from generate_series(band, 0, -1) as one,
              lateral (
                select from listing
                where banded_words(words, score_band(score)) @@ replace(first, ' BAND''', ' ' || one || '''')::tsquery
                  and banded_words(words, score_band(score)) @@ replace(others, ' BAND''', ' ' || one || '''')::tsquery
                  and (is_exact or words @@ wanted) offset 0
              ) as l
            limit bound - counted
          ) as found_here);
      end if;
      counted := least(counted, bound);
    end if;
  end if;
  return query
    select l.listing_id, l.gig_id, l.seller_id, l.title, l.category, l.price_cents, l.delivery_days, l.rating, l.reviews,
      l.seller_name, l.seller_level, l.seller_hue, counted
    from unnest(ids[skip + 1 : skip + how_many]) with ordinality as one (listing_id, rank)
      join listing as l using (listing_id)
    order by rank;
end
$$;
