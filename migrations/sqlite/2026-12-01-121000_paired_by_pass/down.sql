ALTER TABLE listings DROP COLUMN paired_by_pass;
