-- Whether stock events create SKUs that do not exist.
ALTER TABLE sync_settings ADD COLUMN create_skus BOOLEAN NOT NULL DEFAULT TRUE;
-- The form that SKUs share if people take them for the same; empty until a node has computed it.
ALTER TABLE skus ADD COLUMN folded TEXT;
CREATE INDEX skus_folded ON skus (seller_id, folded);
CREATE INDEX skus_unfolded ON skus (seller_id, sku) WHERE folded IS NULL;
