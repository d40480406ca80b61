-- The version that a parked message tells, where it tells one: after the topic has grown, or a replay, what is newer may
-- stand in another partition, of which offsets say nothing.
alter table :"schema".parked
  add column version bigint,
  -- The projector tries each again by itself, ever more seldom: what could not be read may be after an upgrade, and what
  -- the database refused may go in once its cause is gone.
  add column attempts integer not null default 0,
  add column next_try_at timestamptz not null default now() + interval '1 minute';
create index on :"schema".parked (next_try_at);
