DROP INDEX listings_of_store;
DROP TABLE removed_stores;
DROP INDEX sellers_deleted;
ALTER TABLE sellers DROP COLUMN deleted_at;
