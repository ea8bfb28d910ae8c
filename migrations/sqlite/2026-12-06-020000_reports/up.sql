-- How many sales were reported that the listing's store has made: whoever reads what it shows notices one that is reported meanwhile.
ALTER TABLE listings ADD COLUMN reports BIGINT NOT NULL DEFAULT 0;
