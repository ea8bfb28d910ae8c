-- The folded form of SKUs that are numbers leaves out the zeros in front now; these are folded again by the housekeeping.
UPDATE skus SET folded = NULL WHERE sku LIKE '0%';
