DROP INDEX pushes_due;
CREATE INDEX pushes_due ON pushes (seller_id, store_id, kind, due_at, call_id, id) WHERE due_at IS NOT NULL;
DROP INDEX pushes_waiting;
