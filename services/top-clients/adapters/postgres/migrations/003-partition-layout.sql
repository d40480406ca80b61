-- By how many partitions the relay divides the sellers: one row, and the authority. The topic may have more while it
-- grows. The first relay that leads stores what the topic has; afterwards only a growth changes it.
create table partition_layout (
  the_one boolean primary key default true check (the_one),
  partitions integer not null check (partitions between 1 and 1000000),
  -- How many there were before, until every seller that moves has been published in its new partition.
  moved_from integer check (moved_from > 0),
  changed_at timestamptz not null default clock_timestamp()
);

-- Of a row that goes to that very partition, whatever the layout says: a marker of type `seller-moved`.
alter table outbox add column partition integer;

-- States of sellers that are published again, a row a run.
create table republish (
  -- Who starts a run of this name again goes on with it.
  request text primary key,
  first_seller bigint not null,
  last_seller bigint not null,
  -- Null: every seller. Else those whose partition is another one than it was by so many, each with a marker.
  moved_from integer,
  -- Sellers up to this id are through.
  through bigint not null,
  sellers_done bigint not null default 0,
  sellers bigint not null,
  started_at timestamptz not null default clock_timestamp(),
  progressed_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz
);
