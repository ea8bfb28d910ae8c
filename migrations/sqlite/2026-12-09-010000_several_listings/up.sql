-- Several listings of a store may show the same SKU, so (store, SKU) is not unique any more.
-- unattributed: units of the SKU that were reported as sold by the store, and of which it is not known yet which of its listings has
-- sold them; the same number stands at each of these. It is 0 where only one listing shows the SKU: that has sold what the store has.
-- SQLite cannot drop a constraint: the table is made anew. Dropping it deletes what refers to it, which is kept aside.
CREATE TEMP TABLE kept_drifts AS SELECT * FROM drifts;
CREATE TABLE rebuilt_listings (
    seller_id BLOB NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    id BLOB NOT NULL,
    store_id BLOB NOT NULL,
    sku TEXT NOT NULL,
    external_id TEXT NOT NULL,
    extra TEXT,
    shown BIGINT,
    shown_at BIGINT,
    doubt_until BIGINT,
    marked BOOLEAN NOT NULL,
    overwritten_at BIGINT,
    created_at BIGINT NOT NULL,
    settles_at BIGINT,
    late_numbers TEXT,
    shown_before BIGINT,
    changed_at BIGINT,
    owed_since BIGINT,
    look_at BIGINT,
    shown_earlier TEXT,
    paired_by_pass BIGINT,
    expected BIGINT,
    expected_otherwise BIGINT,
    unseen BIGINT NOT NULL DEFAULT 0,
    unseen_since BIGINT,
    units BIGINT NOT NULL DEFAULT 1,
    reports BIGINT NOT NULL DEFAULT 0,
    sold BIGINT NOT NULL DEFAULT 0,
    sold_when_shown BIGINT NOT NULL DEFAULT 0,
    increased BIGINT NOT NULL DEFAULT 0,
    set_by BLOB,
    unattributed BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (seller_id, id),
    UNIQUE (seller_id, store_id, external_id)
);
INSERT INTO rebuilt_listings (
    seller_id, id, store_id, sku, external_id, extra, shown, shown_at, doubt_until, marked, overwritten_at, created_at,
    settles_at, late_numbers, shown_before, changed_at, owed_since, look_at, shown_earlier, paired_by_pass, expected,
    expected_otherwise, unseen, unseen_since, units, reports, sold, sold_when_shown, increased, set_by
) SELECT
    seller_id, id, store_id, sku, external_id, extra, shown, shown_at, doubt_until, marked, overwritten_at, created_at,
    settles_at, late_numbers, shown_before, changed_at, owed_since, look_at, shown_earlier, paired_by_pass, expected,
    expected_otherwise, unseen, unseen_since, units, reports, sold, sold_when_shown, increased, set_by
FROM listings;
DROP TABLE listings;
ALTER TABLE rebuilt_listings RENAME TO listings;
INSERT INTO drifts SELECT * FROM kept_drifts;
DROP TABLE kept_drifts;

-- In the place of the index of the constraint: a store's listings in the order of their SKUs. Before the others, which SQLite prefers then,
-- and without the id, with which it would hold all that some queries by ids need, and be scanned for them.
CREATE INDEX listings_by_sku ON listings (seller_id, store_id, sku);
CREATE INDEX listings_sku ON listings (seller_id, sku);
CREATE INDEX listings_of_store ON listings (seller_id, store_id, id);
CREATE INDEX listings_marked ON listings (seller_id, store_id) WHERE marked;
CREATE INDEX listings_settling ON listings (seller_id, store_id, settles_at) WHERE settles_at IS NOT NULL;
CREATE INDEX listings_look ON listings (seller_id, store_id, look_at) WHERE look_at IS NOT NULL;

CREATE TRIGGER listings_setup_insert AFTER INSERT ON listings BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = NEW.seller_id;
END;

CREATE TRIGGER listings_setup_delete AFTER DELETE ON listings BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = OLD.seller_id;
END;

CREATE TRIGGER listings_setup_update AFTER UPDATE OF store_id, sku, external_id, extra, units ON listings BEGIN
    UPDATE sellers SET setup_version = random() WHERE id = NEW.seller_id;
END;

-- Whether several listings of the store show the same SKU, or did at some time: of other stores nobody needs to ask.
ALTER TABLE stores ADD COLUMN repeats_skus BOOLEAN NOT NULL DEFAULT FALSE;
