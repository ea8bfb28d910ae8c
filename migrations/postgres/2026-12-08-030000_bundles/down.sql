DROP TRIGGER bundle_components_setup ON bundle_components;
ALTER TABLE sync_settings DROP COLUMN has_bundles;
DROP TABLE bundle_components;
-- What events of bundles did to components stays, under ids that the former version can read. Lost is what was a bundle: such a SKU has
-- no stock, and an overwrite sets its listings to 0.
UPDATE stock_events SET event_id = gen_random_uuid()::text WHERE strpos(event_id, chr(31)) > 0;
UPDATE stock_events SET in_count = 1 WHERE in_count >= 4;
