ALTER TABLE stores DROP COLUMN rehearsal;
