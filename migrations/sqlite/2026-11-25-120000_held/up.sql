-- To count a store's held pushes: otherwise SQLite walks all pushes that the seller ever had.
CREATE INDEX pushes_held ON pushes (seller_id, store_id) WHERE state = 6;
