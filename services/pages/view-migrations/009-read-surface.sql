-- Whoever reads the read surface listens on one channel. The triggers of the view that is shown are enabled, and those of
-- the others are not (services/migrate/read-surface.ts).
create or replace function :"schema".notify_of_changes() returns trigger language plpgsql as $$
declare
  sellers bigint[];
begin
  select array_agg(seller_id) into sellers from (select seller_id from changed limit 101) as first_ones;
  if sellers is not null and current_setting('top_clients.notify', true) is distinct from 'off'
    and pg_notification_queue_usage() <= 0.5
  then
    perform pg_notify('top_clients', case when cardinality(sellers) > 100 then '*' else array_to_string(sellers, ',') end);
  end if;
  return null;
end $$;

create or replace function :"schema".notify_of_truncation() returns trigger language plpgsql as $$
begin
  if current_setting('top_clients.notify', true) is distinct from 'off' and pg_notification_queue_usage() <= 0.5 then
    perform pg_notify('top_clients', '*');
  end if;
  return null;
end $$;
