-- Overwrites of one run for one store that are alike in everything but their listing and number: one row holds up to a hundred
-- from the time they are queued until they are confirmed or cancelled. Whatever else happens to one of them turns all of
-- the row into rows of pushes. States, kinds and resolutions have the numbers that they have in pushes.
CREATE TABLE push_packs (
    seller_id BLOB NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    -- Of the first push; push n has this id plus n.
    id BLOB NOT NULL,
    store_id BLOB NOT NULL,
    run_id BLOB NOT NULL,
    size INTEGER NOT NULL,
    state SMALLINT NOT NULL,
    reason TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    due_at BIGINT,
    confirmed_at BIGINT,
    call_id BLOB,
    resolution SMALLINT,
    first_listing BLOB NOT NULL,
    last_listing BLOB NOT NULL,
    -- A listing of these has another SKU by now, or is gone.
    scattered BOOLEAN NOT NULL DEFAULT FALSE,
    -- A JSON array of numbers, once the targets were read.
    quantities TEXT,
    -- A JSON array of arrays: listing in hexadecimal digits, SKU, external id, the connector's own fields.
    items TEXT NOT NULL,
    PRIMARY KEY (seller_id, id)
);
CREATE INDEX push_packs_active ON push_packs (seller_id, store_id, state, id) WHERE state IN (0, 1, 6);
CREATE INDEX push_packs_state ON push_packs (seller_id, state, id);
CREATE INDEX push_packs_of_store ON push_packs (seller_id, store_id, id);
CREATE INDEX push_packs_listings ON push_packs (seller_id, store_id, first_listing, last_listing, id);
CREATE INDEX push_packs_run ON push_packs (seller_id, run_id);
CREATE INDEX push_packs_scattered ON push_packs (seller_id) WHERE scattered;
CREATE INDEX push_packs_age ON push_packs (updated_at) WHERE state IN (2, 5, 7, 8);
