-- A platform names a shop and not its seller.
CREATE INDEX stores_of_shop ON stores (shop) WHERE shop IS NOT NULL;
