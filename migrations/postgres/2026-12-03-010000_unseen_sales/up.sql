-- What the listing would show if every sale of its store had been reported; NULL where that is not kept.
ALTER TABLE listings ADD COLUMN expected BIGINT;
-- The same if a push of unknown outcome was applied; NULL if there is none.
ALTER TABLE listings ADD COLUMN expected_otherwise BIGINT;
-- Units that its store was found to have sold without a report, and since when they have been missing. Later ones are added when
-- these are reported or too old.
ALTER TABLE listings ADD COLUMN unseen BIGINT NOT NULL DEFAULT 0;
ALTER TABLE listings ADD COLUMN unseen_since BIGINT;
-- Of an overwrite that was read first: what its listing showed, and the units that were taken off its target.
ALTER TABLE pushes ADD COLUMN shown_before BIGINT;
ALTER TABLE pushes ADD COLUMN unseen BIGINT;
-- Whether overwrites leave out what the store has sold without a report, and for how many hours.
ALTER TABLE stores ADD COLUMN protect_unseen_sales BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE stores ADD COLUMN unseen_sales_hours BIGINT NOT NULL DEFAULT 72;
-- When the first sale was reported that names the store.
ALTER TABLE stores ADD COLUMN sales_named_at BIGINT;
