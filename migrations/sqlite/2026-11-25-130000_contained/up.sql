-- Whether a later overwrite contained a rejected increase. Stored here, because a clock that steps back would reverse a
-- comparison of the times of both. listings.overwritten_at is no longer read; a later migration drops it.
ALTER TABLE pushes ADD COLUMN contained BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX pushes_rejected ON pushes (seller_id, listing_id) WHERE state = 5 AND kind = 0;
