-- For counting a store's held pushes: otherwise SQLite scans all the pushes that the seller ever had.
CREATE INDEX pushes_held ON pushes (seller_id, store_id) WHERE state = 6;
