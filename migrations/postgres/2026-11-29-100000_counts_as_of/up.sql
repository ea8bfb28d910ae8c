-- As of when available was last counted. What happened before then is in that count already.
ALTER TABLE stock_levels ADD COLUMN counted_at BIGINT;
-- The parts of an event that a later count contained already: 1 its warehouse, 2 the destination of a transfer, 3 both.
ALTER TABLE stock_events ADD COLUMN in_count SMALLINT;
-- What happened to a SKU since a count that arrives late.
CREATE INDEX IF NOT EXISTS stock_events_of_sku ON stock_events (seller_id, sku, accepted_at);
