-- Whose offsets the checkpoints are: the id that Kafka gave the topic when it was made. A topic that is made anew, or on
-- another cluster, has another one. Empty until a projector has seen it.
create table :"schema".topic (
  the_one boolean primary key default true check (the_one),
  id uuid not null,
  adopted_at timestamptz not null default now()
);
