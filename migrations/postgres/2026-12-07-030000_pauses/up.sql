-- What keeps a store from being sent to beside its own pause: its seller has paused everything; the operator has paused its platform;
-- frozen windows, as intervals of milliseconds since 1970 ("from-until,from-until"; null without any). resumes_at: when to look again at
-- what was held meanwhile.
ALTER TABLE stores ADD COLUMN seller_paused BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE stores ADD COLUMN platform_paused BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE stores ADD COLUMN frozen TEXT;
ALTER TABLE stores ADD COLUMN resumes_at BIGINT;
CREATE INDEX stores_resumes ON stores (resumes_at) WHERE resumes_at IS NOT NULL;

-- Pauses of a seller, by whom and why. level: 1 everything (subject empty), 2 a store (its id), 3 a SKU (its code).
CREATE TABLE pauses (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    level SMALLINT NOT NULL,
    subject TEXT NOT NULL,
    paused_at BIGINT NOT NULL,
    paused_by TEXT NOT NULL,
    reason TEXT,
    PRIMARY KEY (seller_id, level, subject)
);

-- The same of platforms, paused by the operator for all sellers.
CREATE TABLE platform_pauses (
    platform TEXT NOT NULL PRIMARY KEY,
    paused_at BIGINT NOT NULL,
    reason TEXT
);

-- A seller's frozen windows. from_local and to_local are in the seller's time zone. store_ids: a JSON array; null for all stores.
CREATE TABLE frozen_windows (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    id BYTEA NOT NULL,
    name TEXT NOT NULL,
    from_local TEXT NOT NULL,
    to_local TEXT NOT NULL,
    store_ids TEXT,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (seller_id, id)
);

CREATE TRIGGER stores_pauses_setup AFTER UPDATE OF seller_paused, platform_paused, frozen ON stores
    FOR EACH ROW EXECUTE FUNCTION draw_setup_version();

CREATE TRIGGER pauses_setup AFTER INSERT OR DELETE ON pauses
    FOR EACH ROW EXECUTE FUNCTION draw_setup_version();
