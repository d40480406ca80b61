-- The full list of each seller, as the newest event told it. A seller without clients, or an erased one, keeps a
-- row: the version in it keeps late messages out.
create table :"schema".top_clients (
  seller_id bigint primary key,
  version bigint not null,
  committed_at timestamptz not null,
  clients json not null
) with (
  -- Room on each page, so that an update stays there and leaves the index alone.
  fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0
);
