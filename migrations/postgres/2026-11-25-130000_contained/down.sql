DROP INDEX pushes_rejected;
ALTER TABLE pushes DROP COLUMN contained;
