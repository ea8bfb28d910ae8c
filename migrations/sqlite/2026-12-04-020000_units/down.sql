DROP TRIGGER listings_setup_update;
CREATE TRIGGER listings_setup_update AFTER UPDATE OF store_id, sku, external_id, extra ON listings BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = NEW.seller_id;
END;
ALTER TABLE stores DROP COLUMN has_multiples;
ALTER TABLE listings DROP COLUMN units;
