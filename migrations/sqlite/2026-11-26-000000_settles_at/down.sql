DROP INDEX listings_settling;
ALTER TABLE listings DROP COLUMN settles_at;
