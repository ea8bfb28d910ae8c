ALTER TABLE stock_events DROP COLUMN store_id;
