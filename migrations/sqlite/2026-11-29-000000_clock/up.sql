-- The age of the oldest push that waits, over all sellers.
CREATE INDEX pushes_waiting ON pushes (created_at) WHERE due_at IS NOT NULL;
-- With the time of the last change, so that pushes that were written before the clock was set back are found in the index.
DROP INDEX pushes_due;
CREATE INDEX pushes_due ON pushes (seller_id, store_id, kind, due_at, call_id, id, updated_at) WHERE due_at IS NOT NULL;
-- What was in flight when its store was removed was never looked at again.
UPDATE pushes SET state = 8, due_at = NULL, in_doubt = FALSE,
    reason = 'The store was removed while this was being sent; whether it was applied is not known.'
WHERE state IN (1, 4)
    AND NOT EXISTS (SELECT 1 FROM stores WHERE stores.seller_id = pushes.seller_id AND stores.id = pushes.store_id);
