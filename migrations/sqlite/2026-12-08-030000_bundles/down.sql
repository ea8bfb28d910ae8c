DROP TRIGGER bundle_components_setup_delete;
DROP TRIGGER bundle_components_setup_update;
DROP TRIGGER bundle_components_setup_insert;
ALTER TABLE sync_settings DROP COLUMN has_bundles;
DROP TABLE bundle_components;
-- Rows of components, which the former version cannot read.
DELETE FROM stock_events WHERE instr(event_id, char(31)) > 0;
