-- For which reasons falls are pushed to a store (a bit for each), and what the store puts back on sale by itself.
ALTER TABLE stores ADD COLUMN falls SMALLINT NOT NULL DEFAULT 0;
ALTER TABLE stores ADD COLUMN restocks_returns BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE stores ADD COLUMN restocks_cancellations BOOLEAN NOT NULL DEFAULT FALSE;

CREATE TRIGGER stores_falls_setup AFTER UPDATE OF falls, restocks_returns, restocks_cancellations ON stores
    FOR EACH ROW EXECUTE FUNCTION draw_setup_version();
