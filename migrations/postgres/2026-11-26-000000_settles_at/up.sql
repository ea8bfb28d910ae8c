-- Until when a request whose answer was lost might still arrive at the listing, although its push has ended. Nothing is
-- sent to the listing before then.
ALTER TABLE listings ADD COLUMN settles_at BIGINT;
CREATE INDEX listings_settling ON listings (seller_id, store_id, settles_at) WHERE settles_at IS NOT NULL;
