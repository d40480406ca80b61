-- What a page reads, whichever version of its view is shown. The views of this schema are made from these two tables by
-- services/migrate/read-surface.ts, and replaced in one transaction when another view is shown.
create schema if not exists top_clients;

-- The view that is shown, of each delivery: while a page changes its delivery, servers of both kinds read.
create table top_clients.shown (
  delivery text primary key check (delivery in ('asynchronous', 'hybrid')),
  view_version integer not null,
  schema_name name not null,
  shown_at timestamptz not null default now()
);

-- Which of them the page shows, null where none; and the views as they were last made.
create table top_clients.surface (
  the_one boolean primary key default true check (the_one),
  delivery text check (delivery in ('asynchronous', 'hybrid')),
  definition text not null default ''
);
insert into top_clients.surface default values;
