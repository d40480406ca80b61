-- Page servers remember lists of a view in their memory. Of the sellers in `erased` each of them forgets what it remembers,
-- and says in `page_server` up to which row it has: that is how the receipt of an erasure learns of memory. A page server
-- that cannot say so keeps nothing for longer than the trust time (recent-lists.ts), so one that was not seen for
-- twice that long counts as empty.
create table :"schema".erased (
  id bigint generated always as identity primary key,
  erasure_id uuid not null unique,
  seller_id bigint not null,
  -- The row of the view was found empty before.
  at timestamptz not null default clock_timestamp()
);

create table :"schema".page_server (
  -- Drawn by each process.
  id uuid primary key,
  forgot_through bigint not null,
  seen_at timestamptz not null default clock_timestamp()
);
