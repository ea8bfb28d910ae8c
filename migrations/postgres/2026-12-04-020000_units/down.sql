DROP TRIGGER listings_setup ON listings;
CREATE TRIGGER listings_setup AFTER INSERT OR DELETE OR UPDATE OF store_id, sku, external_id, extra ON listings
    FOR EACH ROW EXECUTE FUNCTION draw_setup_version();
ALTER TABLE stores DROP COLUMN has_multiples;
ALTER TABLE listings DROP COLUMN units;
