DROP INDEX pushes_due;
CREATE INDEX pushes_due ON pushes (seller_id, store_id, due_at, call_id, id) WHERE due_at IS NOT NULL;
DROP INDEX pushes_in_flight;
CREATE INDEX pushes_in_flight ON pushes (seller_id, store_id) WHERE state IN (1, 4);
