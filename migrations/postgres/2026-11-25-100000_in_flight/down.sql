DROP INDEX pushes_in_flight;
CREATE INDEX pushes_in_flight ON pushes (seller_id, store_id) WHERE state IN (1, 4);
