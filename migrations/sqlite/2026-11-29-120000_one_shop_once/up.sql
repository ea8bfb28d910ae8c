-- The shop that a store is: its platform and its own identity there. Empty for stores of former versions, among which a
-- shop may occur twice.
ALTER TABLE stores ADD COLUMN shop TEXT;
CREATE UNIQUE INDEX stores_shop ON stores (seller_id, shop);
