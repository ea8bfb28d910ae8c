-- Rejected increases that an overwrite has contained since: told here, not by comparing the times of both, which a clock
-- that steps back turns around. listings.overwritten_at is not read any more; a later migration takes it away.
ALTER TABLE pushes ADD COLUMN contained BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX pushes_rejected ON pushes (seller_id, listing_id) WHERE state = 5 AND kind = 0;
