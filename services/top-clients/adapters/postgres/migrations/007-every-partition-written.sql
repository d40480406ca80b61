-- When every partition last got a message, whatever sellers write.
alter table partition_layout add column all_written_at timestamptz not null default clock_timestamp();
