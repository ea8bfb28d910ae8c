-- What the operator allows a seller in the place of what all sellers may: stock events per second, SKUs, stores, and days for which
-- finished pushes, runs and the audit log are kept. NULL is the same as for all.
ALTER TABLE sellers ADD COLUMN events_per_second BIGINT;
ALTER TABLE sellers ADD COLUMN max_skus BIGINT;
ALTER TABLE sellers ADD COLUMN max_stores BIGINT;
ALTER TABLE sellers ADD COLUMN records_kept_days BIGINT;
CREATE INDEX sellers_records_kept ON sellers (id) WHERE records_kept_days IS NOT NULL;
