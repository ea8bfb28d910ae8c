DROP INDEX listings_look;
ALTER TABLE listings DROP COLUMN look_at;
ALTER TABLE listings DROP COLUMN owed_since;
ALTER TABLE listings DROP COLUMN changed_at;
ALTER TABLE listings DROP COLUMN shown_before;
ALTER TABLE listings DROP COLUMN late_numbers;
ALTER TABLE pushes DROP COLUMN cause;
