ALTER TABLE listings DROP COLUMN reports;
