-- By state and call as well: otherwise SQLite takes pushes_of_store for it, and walks all that the store ever had.
DROP INDEX pushes_in_flight;
CREATE INDEX pushes_in_flight ON pushes (seller_id, store_id, state, call_id) WHERE state IN (1, 4);
-- By kind, since increases and overwrites are looked for each by themselves.
DROP INDEX pushes_due;
CREATE INDEX pushes_due ON pushes (seller_id, store_id, kind, due_at, call_id, id) WHERE due_at IS NOT NULL;
