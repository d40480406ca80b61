-- Roles of others that were granted the surface, so that what is not wanted any more is taken back and nothing else.
create table top_clients.reader (name text primary key);

-- Whose lists they are: two pages in one database would write the same tables, and one would go with the other.
alter table top_clients.surface add column page text;
