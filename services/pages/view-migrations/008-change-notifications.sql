-- Renaming a trigger waits for whoever reads the table, and everybody else waits behind it. So it gives up soon, and
-- migrate is run again.
set local lock_timeout = '5s';

-- The objects of 003-tell-of-changes.sql under the field's names: a change notification invalidates cache entries.
alter function :"schema".tell_of_changes() rename to notify_of_changes;
alter function :"schema".tell_of_truncation() rename to notify_of_truncation;

create procedure :"schema".notify_page_servers() language plpgsql as $$
begin
  create trigger notify_of_inserts after insert on :"schema".top_clients
    referencing new table as changed for each statement execute function :"schema".notify_of_changes();
  create trigger notify_of_updates after update on :"schema".top_clients
    referencing new table as changed for each statement execute function :"schema".notify_of_changes();
  create trigger notify_of_deletes after delete on :"schema".top_clients
    referencing old table as changed for each statement execute function :"schema".notify_of_changes();
  create trigger notify_of_truncations after truncate on :"schema".top_clients
    for each statement execute function :"schema".notify_of_truncation();
end $$;

-- Migrations of views call it by its former name.
create or replace procedure :"schema".tell_page_servers() language sql as 'call :"schema".notify_page_servers()';

-- A view that stands already keeps its triggers.
do $$
declare
  event text;
begin
  foreach event in array array['inserts', 'updates', 'deletes', 'truncations'] loop
    if exists (
      select from pg_trigger where tgrelid = to_regclass(':"schema".top_clients') and tgname = 'tell_of_' || event)
    then
      execute format('alter trigger %I on :"schema".top_clients rename to %I', 'tell_of_' || event, 'notify_of_' || event);
    end if;
  end loop;
end $$;
