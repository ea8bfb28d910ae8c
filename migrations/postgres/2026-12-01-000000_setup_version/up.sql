-- A random number, drawn anew whenever something changes that the increases of a stock event depend on, apart from what is
-- available: settings, stores, rules, warehouses, listings. What was read under one number holds for as long as the seller has
-- it. Triggers draw it, so that no writer can forget to, not even an earlier version. Random, because a counter that is rolled
-- back would give the same number to something else.
ALTER TABLE sellers ADD COLUMN setup_version BIGINT NOT NULL DEFAULT 0;

-- Once for each transaction and seller: a further version of the seller's row for each of thousands of listings would make
-- finding the current one slow.
CREATE FUNCTION draw_setup_version() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    of BYTEA := CASE WHEN TG_OP = 'DELETE' THEN OLD.seller_id ELSE NEW.seller_id END;
BEGIN
    IF current_setting('stocktide.setup_of', true) IS DISTINCT FROM encode(of, 'hex') THEN
        UPDATE sellers SET setup_version = floor((random() - 0.5) * 18014398509481983)::BIGINT WHERE id = of;
        PERFORM set_config('stocktide.setup_of', encode(of, 'hex'), true);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER sync_settings_setup AFTER INSERT OR DELETE OR UPDATE OF auto_sync, frequency, daily_at, timezone, catch_up_hours, allocation_mode, buffer, trigger_on_cancellation, create_skus, timed_since ON sync_settings
    FOR EACH ROW EXECUTE FUNCTION draw_setup_version();

CREATE TRIGGER stores_setup AFTER INSERT OR DELETE OR UPDATE OF share, sync_enabled, warehouses, paused, needs_reauthorisation ON stores
    FOR EACH ROW EXECUTE FUNCTION draw_setup_version();

CREATE TRIGGER rules_setup AFTER INSERT OR DELETE OR UPDATE OF sku, store_id, share, buffer, threshold, max_shown, sync_enabled ON rules
    FOR EACH ROW EXECUTE FUNCTION draw_setup_version();

CREATE TRIGGER warehouses_setup AFTER INSERT OR DELETE OR UPDATE OF code ON warehouses
    FOR EACH ROW EXECUTE FUNCTION draw_setup_version();

CREATE TRIGGER listings_setup AFTER INSERT OR DELETE OR UPDATE OF store_id, sku, external_id, extra ON listings
    FOR EACH ROW EXECUTE FUNCTION draw_setup_version();
