-- Roles of others that were granted the surface, so that what is not wanted any more is taken back and nothing else.
create table top_clients.reader (name text primary key);
