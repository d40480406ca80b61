-- Wakes a relay that sleeps. It holds the lock of its part of the outbox while it sleeps, so that the writer's try fails and
-- the writer notifies it. While no relay sleeps there is no notification: each would make all commits of the database wait
-- for one another.
create function wake_relay() returns trigger language plpgsql as $$
begin
  perform pg_notify('outbox', (new.bucket % 64)::text);
  return null;
end $$;
create trigger wake_relay after insert on outbox for each row
  when (not pg_try_advisory_xact_lock_shared(20260818, new.bucket % 64)) execute function wake_relay();
