-- Decreases that wait stay: a former version sends them, too.
DROP TRIGGER stores_falls_setup ON stores;
ALTER TABLE stores DROP COLUMN restocks_cancellations;
ALTER TABLE stores DROP COLUMN restocks_returns;
ALTER TABLE stores DROP COLUMN falls;
