-- Tells page servers, on a channel of the schema's name, which sellers' rows changed: their ids, separated by commas, or
-- * for more than a hundred.
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

-- For the view of a page that remembers lists to call once its table stands. By statement and not by row, because a
-- projector writes a thousand rows at once; by triggers, because of whatever else writes the view they must be told too.
create procedure :"schema".tell_page_servers() language plpgsql as $$
begin
  create trigger tell_of_inserts after insert on :"schema".top_clients
    referencing new table as changed for each statement execute function :"schema".tell_of_changes();
  create trigger tell_of_updates after update on :"schema".top_clients
    referencing new table as changed for each statement execute function :"schema".tell_of_changes();
  create trigger tell_of_deletes after delete on :"schema".top_clients
    referencing old table as changed for each statement execute function :"schema".tell_of_changes();
  create trigger tell_of_truncations after truncate on :"schema".top_clients
    for each statement execute function :"schema".tell_of_truncation();
end $$;
