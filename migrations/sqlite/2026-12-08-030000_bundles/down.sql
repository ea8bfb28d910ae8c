DROP TRIGGER bundle_components_setup_delete;
DROP TRIGGER bundle_components_setup_update;
DROP TRIGGER bundle_components_setup_insert;
ALTER TABLE sync_settings DROP COLUMN has_bundles;
DROP TABLE bundle_components;
-- What events of bundles did to components stays, under ids that the former version can read. Lost is what was a bundle: such a SKU has
-- no stock, and an overwrite sets its listings to 0.
UPDATE stock_events SET event_id = lower(hex(randomblob(16))) WHERE instr(event_id, char(31)) > 0;
UPDATE stock_events SET in_count = 1 WHERE in_count >= 4;
