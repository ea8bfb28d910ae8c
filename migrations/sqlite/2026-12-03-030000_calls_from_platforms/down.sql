DROP INDEX stores_of_shop;
