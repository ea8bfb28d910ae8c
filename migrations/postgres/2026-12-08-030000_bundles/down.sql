DROP TRIGGER bundle_components_setup ON bundle_components;
ALTER TABLE sync_settings DROP COLUMN has_bundles;
DROP TABLE bundle_components;
-- Rows of components, which the former version cannot read.
DELETE FROM stock_events WHERE strpos(event_id, chr(31)) > 0;
