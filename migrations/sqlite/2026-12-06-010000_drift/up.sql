-- What the daily check of a seller's listings does about those that differ, and when the next checks begin.
ALTER TABLE sync_settings ADD COLUMN drift TEXT NOT NULL DEFAULT 'off';
ALTER TABLE sync_settings ADD COLUMN next_check_at BIGINT;
CREATE INDEX sync_settings_next_check ON sync_settings (next_check_at) WHERE next_check_at IS NOT NULL;

-- Checks of a store's listings. continues_at: when its next listings are read; null once it has ended. read_to: the last listing that was
-- read; progressed_at: when. tries: how often the listings after it were read in vain since. counts: how many listings differ, by cause, a
-- JSON object.
CREATE TABLE drift_checks (
    seller_id BLOB NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    id BLOB NOT NULL,
    store_id BLOB NOT NULL,
    policy TEXT NOT NULL,
    continues_at BIGINT,
    read_to BLOB,
    compared BIGINT NOT NULL,
    skipped BIGINT NOT NULL,
    corrected BIGINT NOT NULL,
    counts TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    progressed_at BIGINT NOT NULL,
    tries INTEGER NOT NULL,
    PRIMARY KEY (seller_id, id)
);
CREATE UNIQUE INDEX drift_checks_open ON drift_checks (seller_id, store_id) WHERE continues_at IS NOT NULL;
CREATE INDEX drift_checks_due ON drift_checks (continues_at) WHERE continues_at IS NOT NULL;
CREATE INDEX drift_checks_store ON drift_checks (seller_id, store_id, id);
CREATE INDEX drift_checks_age ON drift_checks (finished_at) WHERE finished_at IS NOT NULL;

-- The listings that differed when they were last checked. difference: units of the listing that are shown in excess of what is expected.
CREATE TABLE drifts (
    seller_id BLOB NOT NULL,
    listing_id BLOB NOT NULL,
    store_id BLOB NOT NULL,
    cause SMALLINT NOT NULL,
    difference BIGINT,
    shown BIGINT,
    since BIGINT NOT NULL,
    note TEXT,
    PRIMARY KEY (seller_id, listing_id),
    FOREIGN KEY (seller_id, listing_id) REFERENCES listings (seller_id, id) ON DELETE CASCADE
);
CREATE INDEX drifts_store ON drifts (seller_id, store_id, listing_id);
