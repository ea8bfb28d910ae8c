DROP INDEX stores_shop;
ALTER TABLE stores DROP COLUMN shop;
