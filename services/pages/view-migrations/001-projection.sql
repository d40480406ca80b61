-- What every view has beside its rows. Created once a view version: :"schema" is the schema of that version.
create schema if not exists :"schema";

-- How far the view has got, written together with a flush of the rows before it. The projector starts from here,
-- not from the offsets of its consumer group: a database that was lost or restored thus rebuilds itself.
create table :"schema".checkpoint (
  partition integer primary key,
  next_offset bigint not null,
  committed_at timestamptz,
  updated_at timestamptz not null default now()
);

-- Messages that could not be applied, the newest a seller. A later good event of the seller supersedes it.
create table :"schema".parked (
  partition integer not null,
  message_offset bigint not null,
  seller_id bigint,
  key text,
  type text,
  value text,
  reason text not null,
  parked_at timestamptz not null default now(),
  primary key (partition, message_offset)
);
create index on :"schema".parked (seller_id);
