ALTER TABLE listings DROP COLUMN shown_earlier;
