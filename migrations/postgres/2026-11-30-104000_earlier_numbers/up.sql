-- What a listing showed before its last confirmed changes, as far as each came soon after the other: numbers, separated by
-- commas. A cache may still answer any of them. Takes the place of shown_before, which knew only the last one.
ALTER TABLE listings ADD COLUMN shown_earlier TEXT;
