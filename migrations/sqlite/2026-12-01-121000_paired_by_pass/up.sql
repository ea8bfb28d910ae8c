-- The pass of a discovery that has paired a listing, by when that began; empty if somebody has paired it by hand.
ALTER TABLE listings ADD COLUMN paired_by_pass BIGINT;
