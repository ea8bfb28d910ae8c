DROP INDEX skus_unfolded;
DROP INDEX skus_folded;
ALTER TABLE skus DROP COLUMN folded;
ALTER TABLE sync_settings DROP COLUMN create_skus;
