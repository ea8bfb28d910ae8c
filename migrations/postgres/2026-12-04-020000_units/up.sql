-- How many units of its SKU one of a listing is: 6 of a six-pack.
ALTER TABLE listings ADD COLUMN units BIGINT NOT NULL DEFAULT 1;
-- Whether a listing of the store is, or was at some time, more than one unit: of other stores nobody needs to ask.
ALTER TABLE stores ADD COLUMN has_multiples BOOLEAN NOT NULL DEFAULT FALSE;
-- As it was, and for units.
DROP TRIGGER listings_setup ON listings;
CREATE TRIGGER listings_setup AFTER INSERT OR DELETE OR UPDATE OF store_id, sku, external_id, extra, units ON listings
    FOR EACH ROW EXECUTE FUNCTION draw_setup_version();
