-- A trusted extension: the owner of the database may create it. It finds brands in spite of a slip of the finger.
create extension if not exists pg_trgm;

-- The brands a seller can choose from. `folded` is the name in lower case without accents and punctuation, `words`
-- holds that, the slug and other names, each behind a space: what `foldText` made of them.
create table brand (
  slug text primary key,
  name text not null,
  folded text not null,
  words text not null
);
create index brand_words on brand using gin (words gin_trgm_ops);

-- Each change a seller made here and the command that takes it back, written before the change is sent, so that a
-- retry finds it. `version` is the version the change led to, null until the source of truth acknowledged it; the
-- inverse is good for that version only. Rows live for an hour: they hold what sellers wrote.
create table change (
  seller_id bigint not null,
  idempotency_key text not null,
  title text not null,
  inverse jsonb,
  version bigint,
  at timestamptz not null default now(),
  primary key (seller_id, idempotency_key)
);
create index change_at on change (at);

-- The newest version the source of truth acknowledged to each seller here: no later read may be older. Kept for a
-- day, longer than any copy of the truth may lag.
create table acknowledged (
  seller_id bigint primary key,
  version bigint not null,
  at timestamptz not null default now()
);
create index acknowledged_at on acknowledged (at);
