-- Several listings of a store may show the same SKU, so (store, SKU) is not unique any more.
-- unattributed: units of the SKU that were reported as sold by the store, and of which it is not known yet which of its listings has
-- sold them; the same number stands at each of these. It is 0 where only one listing shows the SKU: that has sold what the store has.
ALTER TABLE listings DROP CONSTRAINT listings_seller_id_store_id_sku_key;
ALTER TABLE listings ADD COLUMN unattributed BIGINT NOT NULL DEFAULT 0;
-- In the place of the index of the constraint: a store's listings in the order of their SKUs.
CREATE INDEX listings_by_sku ON listings (seller_id, store_id, sku);

-- Whether several listings of the store show the same SKU, or did at some time: of other stores nobody needs to ask.
ALTER TABLE stores ADD COLUMN repeats_skus BOOLEAN NOT NULL DEFAULT FALSE;
