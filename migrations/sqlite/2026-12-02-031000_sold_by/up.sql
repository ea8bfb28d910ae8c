-- The store that has made a sale, where the event names it.
ALTER TABLE stock_events ADD COLUMN store_id BLOB;
