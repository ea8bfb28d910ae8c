-- Until when a request may still arrive at the listing whose answer was lost, and whose push is at its end all the same:
-- nothing is sent to the listing before.
ALTER TABLE listings ADD COLUMN settles_at BIGINT;
CREATE INDEX listings_settling ON listings (seller_id, store_id, settles_at) WHERE settles_at IS NOT NULL;
