-- JSON is kept as `json`, the text as it was written: reads hand it on as it is, and nothing here looks inside.

-- The state of each seller. Locking its row orders that seller's commands, so that versions are contiguous.
create table seller (
  seller_id bigint primary key,
  version bigint not null default 0,
  clients json not null default '[]',
  -- True from an erasure until the seller adds again.
  erased boolean not null default false,
  updated_at timestamptz not null
);

-- The event log: alone it rebuilds `seller`. An erasure empties `change` of the seller's earlier events.
create table seller_event (
  seller_id bigint not null,
  version bigint not null,
  type text not null,
  change json,
  committed_at timestamptz not null,
  traceparent text,
  primary key (seller_id, version)
);

-- What the relay still has to send, in the order of `id` within a seller. A null `value` is a tombstone.
-- `bucket` (0 to 1023, a hash of the seller) divides the rows among shards: shard i of n owns bucket % n = i.
create table outbox (
  id bigint generated always as identity primary key,
  bucket smallint not null,
  seller_id bigint not null,
  version bigint not null,
  type text not null,
  value text,
  committed_at timestamptz not null,
  traceparent text
);
-- Every row lives for milliseconds: vacuum often and without pausing, or the relay wades through dead rows.
alter table outbox set (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_cost_delay = 0,
  autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000,
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000000000
);

-- What the first request of each idempotency key came to, kept for a day.
create table idempotency_key (
  seller_id bigint not null,
  key text not null,
  -- SHA-256 of method, address and body: the same key for another request is refused.
  fingerprint bytea not null,
  outcome json not null,
  created_at timestamptz not null,
  primary key (seller_id, key)
);
create index idempotency_key_created_at on idempotency_key (created_at);
