-- Telling page servers is an optimisation, and must not be able to stop a write. A notification that finds the queue of
-- the server full makes COMMIT fail (54000), after all triggers are through, so that none could catch it. The queue
-- belongs to all databases of the server, and one session of anybody that listens and stays in a transaction fills it.
-- So nothing is told while more than half of it is taken, nor to whom the writer does not want to tell
-- (top_clients.notify = off, as it sets when a commit was refused all the same). Page servers ask again after five
-- seconds whatever they were not told, and at every visit once they see the queue fill (view-changes.ts).
create or replace function :"schema".tell_of_changes() returns trigger language plpgsql as $$
declare
  sellers bigint[];
begin
  select array_agg(seller_id) into sellers from (select seller_id from changed limit 101) as first_ones;
  if sellers is not null and current_setting('top_clients.notify', true) is distinct from 'off'
    and pg_notification_queue_usage() <= 0.5
  then
    perform pg_notify(tg_table_schema,
      case when cardinality(sellers) > 100 then '*' else array_to_string(sellers, ',') end);
  end if;
  return null;
end $$;

create or replace function :"schema".tell_of_truncation() returns trigger language plpgsql as $$
begin
  if current_setting('top_clients.notify', true) is distinct from 'off' and pg_notification_queue_usage() <= 0.5 then
    perform pg_notify(tg_table_schema, '*');
  end if;
  return null;
end $$;
