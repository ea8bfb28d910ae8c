-- A random number, drawn anew whenever something changes that the increases of a stock event depend on, apart from what is
-- available: settings, stores, rules, warehouses, listings. What was read under one number holds for as long as the seller has
-- it. Triggers draw it, so that no writer can forget to, not even an earlier version. Random, because a counter that is rolled
-- back would give the same number to something else.
ALTER TABLE sellers ADD COLUMN setup_version BIGINT NOT NULL DEFAULT 0;

CREATE TRIGGER sync_settings_setup_insert AFTER INSERT ON sync_settings BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = NEW.seller_id;
END;

CREATE TRIGGER sync_settings_setup_delete AFTER DELETE ON sync_settings BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = OLD.seller_id;
END;

CREATE TRIGGER sync_settings_setup_update AFTER UPDATE OF auto_sync, frequency, daily_at, timezone, catch_up_hours, allocation_mode, buffer, trigger_on_cancellation, create_skus, timed_since ON sync_settings BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = NEW.seller_id;
END;

CREATE TRIGGER stores_setup_insert AFTER INSERT ON stores BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = NEW.seller_id;
END;

CREATE TRIGGER stores_setup_delete AFTER DELETE ON stores BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = OLD.seller_id;
END;

CREATE TRIGGER stores_setup_update AFTER UPDATE OF share, sync_enabled, warehouses, paused, needs_reauthorisation ON stores BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = NEW.seller_id;
END;

CREATE TRIGGER rules_setup_insert AFTER INSERT ON rules BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = NEW.seller_id;
END;

CREATE TRIGGER rules_setup_delete AFTER DELETE ON rules BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = OLD.seller_id;
END;

CREATE TRIGGER rules_setup_update AFTER UPDATE OF sku, store_id, share, buffer, threshold, max_shown, sync_enabled ON rules BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = NEW.seller_id;
END;

CREATE TRIGGER warehouses_setup_insert AFTER INSERT ON warehouses BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = NEW.seller_id;
END;

CREATE TRIGGER warehouses_setup_delete AFTER DELETE ON warehouses BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = OLD.seller_id;
END;

CREATE TRIGGER warehouses_setup_update AFTER UPDATE OF code ON warehouses BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = NEW.seller_id;
END;

CREATE TRIGGER listings_setup_insert AFTER INSERT ON listings BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = NEW.seller_id;
END;

CREATE TRIGGER listings_setup_delete AFTER DELETE ON listings BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = OLD.seller_id;
END;

CREATE TRIGGER listings_setup_update AFTER UPDATE OF store_id, sku, external_id, extra ON listings BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = NEW.seller_id;
END;
