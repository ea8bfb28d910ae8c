-- Fails while a store has several listings of one SKU: unpair all but one of each first.
ALTER TABLE stores DROP COLUMN repeats_skus;
DROP INDEX listings_by_sku;
ALTER TABLE listings DROP COLUMN unattributed;
ALTER TABLE listings ADD CONSTRAINT listings_seller_id_store_id_sku_key UNIQUE (seller_id, store_id, sku);
