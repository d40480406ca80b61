-- A receipt for each erasure, kept for good: which stores held something of the seller, and since when each of them has
-- confirmed that nothing is left. No word of what was erased is in it, only the seller's number.
create table erasure (
  -- Whoever knows it may read the receipt, so nobody can guess it.
  id uuid primary key default gen_random_uuid(),
  seller_id bigint not null,
  -- That the erasure led to: everything below it is forgotten.
  version bigint not null,
  requested_at timestamptz not null,
  -- The log is empty up to this version: where the next batch goes on, whoever takes it.
  emptied_through bigint not null default 0,
  -- No contents of the log are read below the newest of these.
  unique (seller_id, version)
);

create table erasure_store (
  erasure_id uuid not null references erasure on delete cascade,
  store text not null,
  -- Which one of several, as `gig asynchronous-v1`; empty where there is one.
  place text not null default '',
  -- When the receipt began to wait for it.
  since timestamptz not null default clock_timestamp(),
  -- When it reported that nothing is left to be read in it.
  confirmed_at timestamptz,
  -- Why it has not, as it said last.
  open_because text,
  -- Until when bytes on a disk may outlive that; null where no time is promised.
  bytes_until timestamptz,
  primary key (erasure_id, store, place)
);
-- Few rows among all that were ever confirmed.
create index erasure_store_open on erasure_store (store, place, erasure_id) where confirmed_at is null;

-- Stores outside of this database that report for themselves. A receipt waits for those that are here when the erasure
-- is committed, and for those that come while the topic may still have the bytes: they may have read them.
create table erasure_reporter (
  store text not null,
  place text not null,
  since timestamptz not null default clock_timestamp(),
  primary key (store, place)
);
