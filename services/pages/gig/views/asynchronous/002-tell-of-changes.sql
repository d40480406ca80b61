-- By statement and not by row, because a projector writes a thousand rows at once; by triggers, because of whatever
-- else writes the view page servers must be told as well.
create trigger tell_of_inserts after insert on :"schema".top_clients
  referencing new table as changed for each statement execute function :"schema".tell_of_changes();
create trigger tell_of_updates after update on :"schema".top_clients
  referencing new table as changed for each statement execute function :"schema".tell_of_changes();
create trigger tell_of_deletes after delete on :"schema".top_clients
  referencing old table as changed for each statement execute function :"schema".tell_of_changes();
create trigger tell_of_truncations after truncate on :"schema".top_clients
  for each statement execute function :"schema".tell_of_truncation();
