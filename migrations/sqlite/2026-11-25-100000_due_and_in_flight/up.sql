-- Includes state and call: otherwise SQLite uses pushes_of_store, and scans all the pushes that the store ever had.
DROP INDEX pushes_in_flight;
CREATE INDEX pushes_in_flight ON pushes (seller_id, store_id, state, call_id) WHERE state IN (1, 4);
-- The kind comes before the time, because increases and overwrites are queried separately.
DROP INDEX pushes_due;
CREATE INDEX pushes_due ON pushes (seller_id, store_id, kind, due_at, call_id, id) WHERE due_at IS NOT NULL;
