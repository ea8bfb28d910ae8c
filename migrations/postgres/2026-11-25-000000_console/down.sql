CREATE INDEX pushes_sku ON pushes (seller_id, sku);
DROP INDEX pushes_of_sku;
DROP INDEX pushes_of_store;
DROP TABLE store_circuits;
DROP TABLE sessions;
