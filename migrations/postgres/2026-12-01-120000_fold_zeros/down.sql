UPDATE skus SET folded = NULL WHERE sku LIKE '0%';
