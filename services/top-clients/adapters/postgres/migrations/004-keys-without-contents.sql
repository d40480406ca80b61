-- `outcome` says what was decided and which version it led to, and nothing of what the list says. Rows of before keep
-- their whole answers for the rest of their day; of those only the id of an added client is read.
--
-- An erasure leaves of each key of the seller a row whose key is `erased <sha256>`, whose fingerprint is empty and whose
-- outcome is of kind `erased`: a retry then finds that it must not be done again. It goes when the key would have gone.
--
-- A seller has 10,000 keys at most. What is beyond goes now, the oldest first, or such a seller could use no new one, and
-- an erasure would have to go through all of them.
delete from idempotency_key k using (
  select seller_id, key, row_number() over (partition by seller_id order by created_at desc) as nth from idempotency_key
) numbered
where numbered.nth > 10000 and k.seller_id = numbered.seller_id and k.key = numbered.key;
