-- By state and call as well: otherwise SQLite takes pushes_of_store for it, and walks all that the store ever had.
DROP INDEX pushes_in_flight;
CREATE INDEX pushes_in_flight ON pushes (seller_id, store_id, state, call_id) WHERE state IN (1, 4);
