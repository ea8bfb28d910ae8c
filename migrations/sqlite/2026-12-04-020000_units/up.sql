-- How many units of its SKU one of a listing is: 6 of a six-pack.
ALTER TABLE listings ADD COLUMN units BIGINT NOT NULL DEFAULT 1;
-- Whether a listing of the store is, or was at some time, more than one unit: of other stores nobody needs to ask.
ALTER TABLE stores ADD COLUMN has_multiples BOOLEAN NOT NULL DEFAULT FALSE;
-- As it was, and for units.
DROP TRIGGER listings_setup_update;
CREATE TRIGGER listings_setup_update AFTER UPDATE OF store_id, sku, external_id, extra, units ON listings BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = NEW.seller_id;
END;
