DROP TRIGGER sync_settings_setup ON sync_settings;
DROP TRIGGER stores_setup ON stores;
DROP TRIGGER rules_setup ON rules;
DROP TRIGGER warehouses_setup ON warehouses;
DROP TRIGGER listings_setup ON listings;
DROP FUNCTION draw_setup_version();
ALTER TABLE sellers DROP COLUMN setup_version;
