DROP INDEX sellers_records_kept;
ALTER TABLE sellers DROP COLUMN records_kept_days;
ALTER TABLE sellers DROP COLUMN max_stores;
ALTER TABLE sellers DROP COLUMN max_skus;
ALTER TABLE sellers DROP COLUMN events_per_second;
