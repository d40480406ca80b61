-- A page of results and how many there are, in one call. Of a common word's listings, which may be a tenth of all, only
-- about as many are touched as anybody can leaf through: the best are found first, band of scores by band of scores.

-- Bands of scores, four to an octave: higher scores have higher bands, and all of zero or less share band 0. By the
-- exponent and the first two bits of the mantissa, which are the same on every machine.
create function score_band(score integer) returns integer
language sql immutable parallel safe
as $$
  select greatest(0, (((get_byte(float8send(greatest(score, 0)::float8), 0) << 8)
    | get_byte(float8send(greatest(score, 0)::float8), 1)) >> 2) - 4091)
$$;

-- The least score of a band.
create function least_score(band integer) returns bigint
language sql immutable parallel safe
as $$
  select case when band <= 0 then -2147483648 else ceil(power(2, (band - 1) / 4) * (1 + (band - 1) % 4 / 4.0))::bigint end
$$;

-- Each word with its listing's band behind it: `logo` is `logo 25`. So a word has a list of its own in each band. Left out
-- are words that nobody can search for, as they are longer than a query may be.
create function banded_words(words tsvector, band integer) returns tsvector
language sql immutable parallel safe
as $$
  select coalesce(array_to_tsvector(array_agg(word || ' ' || band::text)), '')
  from unnest(tsvector_to_array(words)) as word where octet_length(word) <= 1000
$$;

create index listing_banded_words on listing using gin (banded_words(words, score_band(score))) with (fastupdate = off);
-- Whether to look up the words or to walk the scores depends on how common the words are.
analyze listing;

-- A page of results, each with how many there are, counted up to a bound. Without words everything is listed, best first.
-- With these costs the scores of a band are walked from the best on or not used: a bitmap of all of them would take longer
-- than it spares.
create function search_listings(query text, skip integer, how_many integer, bound integer)
returns table (listing_id bigint, gig_id bigint, seller_id bigint, title text, category text, price_cents integer,
  delivery_days smallint, rating real, reviews integer, seller_name text, seller_level text, seller_hue smallint,
  total integer)
language plpgsql stable
set plan_cache_mode = force_generic_plan
set random_page_cost = 1.1
set cpu_index_tuple_cost = 1
as $$
#variable_conflict use_column
declare
  wanted tsquery;
  -- What the index can be asked: without what must not occur and how far words are apart. `T` where that is nothing.
  indexed text;
  is_exact boolean;
  banded tsquery;
  needed constant integer := skip + how_many;
  ids bigint[] := '{}';
  more bigint[];
  counted integer := 0;
  matching integer;
  best integer;
  band integer;
  lowest integer;
  width integer := 1;
  -- Of several words an index looks up many bands at once more slowly than one after the other.
  wider integer;
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
      wider := case when numnode(indexed::tsquery) = 1 then 2 else 1 end;
      indexed := '(' || regexp_replace(indexed, '''(([^'']|'''')*)''', '''\1 BAND''', 'g') || ')';
      select score_band(max(l.score)) into best from listing as l;
      band := best;
      -- The best, band by band, as many as this page takes. Bands of few matches are passed in ever larger steps; where many
      -- match, the next one may hold all that lack.
      while band >= 0 and cardinality(ids) < needed loop
        lowest := greatest(band - width + 1, 0);
        banded := (
          select string_agg(replace(indexed, ' BAND''', ' ' || one || ''''), '|')::tsquery
          from generate_series(lowest, band) as one);
        if width = 1 and (band = best or cardinality(more) >= 32) and 5000 <= (
          select count(*) from (
            select from listing where score >= least_score(band) and score < least_score(band + 1) limit 5000
          ) as of_band)
        then
          -- Planned anew: whether to look up the words or to walk the scores depends on how common the words are.
          execute 'select array(
            select listing_id from listing
            where banded_words(words, score_band(score)) @@ $1 and ($2 or words @@ $3) and score >= $4 and score < $5
            order by score desc, listing_id limit $6)'
            into more using banded, is_exact, wanted, least_score(band), least_score(band + 1), needed - cardinality(ids);
        else
          -- By the words alone, which "offset 0" sees to.
          more := array(
            select l.listing_id from (
                select listing_id, score from listing
                where banded_words(words, score_band(score)) @@ banded and (is_exact or words @@ wanted) offset 0
              ) as l
            order by l.score desc, l.listing_id limit needed - cardinality(ids));
        end if;
        width := case when 32 * cardinality(more) < needed - cardinality(ids) then wider * width else 1 end;
        ids := ids || more;
        exit when cardinality(ids) >= needed;
        counted := cardinality(ids);
        band := lowest - 1;
      end loop;
      -- How many more there are, from the band on in which the page ended, in any order.
      width := 1;
      while band >= 0 and counted < bound loop
        lowest := greatest(band - width + 1, 0);
        banded := (
          select string_agg(replace(indexed, ' BAND''', ' ' || one || ''''), '|')::tsquery
          from generate_series(lowest, band) as one);
        select count(*) into matching from (
            select from listing
            where banded_words(words, score_band(score)) @@ banded and (is_exact or words @@ wanted) limit bound - counted
          ) as found_here;
        width := case when 32 * matching < bound - counted then wider * width else 1 end;
        counted := counted + matching;
        band := lowest - 1;
      end loop;
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

-- What page servers of the release before call.
create or replace function find_listings(query text, skip integer, how_many integer)
returns table (listing_id bigint, gig_id bigint, seller_id bigint, title text, category text, price_cents integer,
  delivery_days smallint, rating real, reviews integer, seller_name text, seller_level text, seller_hue smallint)
language sql stable
as $$
  select listing_id, gig_id, seller_id, title, category, price_cents, delivery_days, rating, reviews, seller_name,
    seller_level, seller_hue
  from search_listings(query, skip, how_many, skip + how_many)
$$;
create or replace function count_listings(query text, bound integer) returns integer
language sql stable
as $$
  select coalesce((select total from search_listings(query, 0, 1, bound)), 0)
$$;

-- Last, for a moment in which nobody reads.
set local lock_timeout = '5s';
drop index listing_words;
