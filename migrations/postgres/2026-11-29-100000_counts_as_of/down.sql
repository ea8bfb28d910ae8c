DROP INDEX stock_events_of_sku;
ALTER TABLE stock_events DROP COLUMN in_count;
ALTER TABLE stock_levels DROP COLUMN counted_at;
