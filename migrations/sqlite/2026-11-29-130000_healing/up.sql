-- Why a push was made, where neither an event nor a run was the reason: an overwrite that heals its listing keeps this.
ALTER TABLE pushes ADD COLUMN cause TEXT;
-- What requests that were given up would make a listing show if they arrived after all: numbers, separated by commas.
ALTER TABLE listings ADD COLUMN late_numbers TEXT;
-- What a listing showed before its last confirmed change, and when that was confirmed: a cache may still answer the former.
ALTER TABLE listings ADD COLUMN shown_before BIGINT;
ALTER TABLE listings ADD COLUMN changed_at BIGINT;
-- Since when a listing is owed what the platform refused for the listing's own sake.
ALTER TABLE listings ADD COLUMN owed_since BIGINT;
-- When a listing is looked at next although nothing is to be sent to it.
ALTER TABLE listings ADD COLUMN look_at BIGINT;
CREATE INDEX listings_look ON listings (seller_id, store_id, look_at) WHERE look_at IS NOT NULL;
