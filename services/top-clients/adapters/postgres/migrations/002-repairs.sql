-- Of a row of type `seller-repaired`: which wrong row of a view it stands against, as `<version>:<digest>`. Null for
-- every change a seller made.
alter table outbox add column replaces text;
