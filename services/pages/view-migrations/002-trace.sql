-- Changes of recorded traces, the newest a seller, so that the page can point from the render that first shows one to
-- the click it came from. A table of its own: the view's rows are compared with the source. Written only while traces
-- are on, and pruned by whoever writes.
create table :"schema".trace (
  seller_id bigint primary key,
  version bigint not null,
  traceparent text not null,
  noted_at timestamptz not null default clock_timestamp()
);
create index on :"schema".trace (noted_at);
