ALTER TABLE stores DROP COLUMN write_refused;
