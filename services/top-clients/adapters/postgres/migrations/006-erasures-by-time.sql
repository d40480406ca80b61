-- Who keeps copies asks which sellers were erased since: few rows among very many.
create index seller_event_erased_at on seller_event (committed_at) where type = 'seller-erased';
