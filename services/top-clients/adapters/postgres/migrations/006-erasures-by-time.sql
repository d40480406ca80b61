-- Who keeps copies asks which sellers were erased since: few rows among very many. Whoever has a log of many millions may
-- make it beforehand, `concurrently`, so that no write waits for it.
create index if not exists seller_event_erased_at on seller_event (committed_at) where type = 'seller-erased';
