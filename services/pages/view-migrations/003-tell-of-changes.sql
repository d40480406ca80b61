-- For triggers of the view's rows, which a page that remembers lists has (002-tell-of-changes.sql): tells on a channel
-- of the schema's name which sellers' rows changed, as ids separated by commas, or * for more than a hundred.
create function :"schema".tell_of_changes() returns trigger language plpgsql as $$
declare
  sellers bigint[];
begin
  select array_agg(seller_id) into sellers from (select seller_id from changed limit 101) as first_ones;
  if sellers is not null then
    perform pg_notify(tg_table_schema,
      case when cardinality(sellers) > 100 then '*' else array_to_string(sellers, ',') end);
  end if;
  return null;
end $$;

create function :"schema".tell_of_truncation() returns trigger language plpgsql as $$
begin
  perform pg_notify(tg_table_schema, '*');
  return null;
end $$;
