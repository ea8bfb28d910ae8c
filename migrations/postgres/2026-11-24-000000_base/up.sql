CREATE TABLE sellers (
    id BYTEA NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    timezone TEXT NOT NULL,
    suspended BOOLEAN NOT NULL,
    sku_count BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE api_keys (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    id BYTEA NOT NULL,
    hash BYTEA NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT,
    PRIMARY KEY (seller_id, id)
);

CREATE TABLE sync_settings (
    seller_id BYTEA NOT NULL PRIMARY KEY REFERENCES sellers (id) ON DELETE CASCADE,
    auto_sync BOOLEAN NOT NULL,
    frequency TEXT NOT NULL,
    daily_at TEXT NOT NULL,
    timezone TEXT NOT NULL,
    catch_up_hours BIGINT NOT NULL,
    allocation_mode TEXT NOT NULL,
    buffer BIGINT NOT NULL,
    trigger_on_cancellation BOOLEAN NOT NULL,
    timed_since BIGINT NOT NULL,
    next_run_at BIGINT
);
CREATE INDEX sync_settings_next_run ON sync_settings (next_run_at) WHERE next_run_at IS NOT NULL;

CREATE TABLE warehouses (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (seller_id, code)
);

CREATE TABLE stores (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    id BYTEA NOT NULL,
    name TEXT NOT NULL,
    platform TEXT NOT NULL,
    base_url TEXT,
    config TEXT NOT NULL,
    credentials BYTEA,
    warehouses TEXT,
    share BIGINT,
    sync_enabled BOOLEAN NOT NULL,
    paused BOOLEAN NOT NULL,
    needs_reauthorisation BOOLEAN NOT NULL,
    problem TEXT,
    probe_at BIGINT,
    last_success_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (seller_id, id)
);
CREATE INDEX stores_probe ON stores (probe_at) WHERE probe_at IS NOT NULL;

CREATE TABLE skus (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    sku TEXT NOT NULL,
    name TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (seller_id, sku)
);

CREATE TABLE stock_levels (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    sku TEXT NOT NULL,
    warehouse TEXT NOT NULL,
    available BIGINT NOT NULL,
    PRIMARY KEY (seller_id, sku, warehouse)
);

CREATE TABLE listings (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    id BYTEA NOT NULL,
    store_id BYTEA NOT NULL,
    sku TEXT NOT NULL,
    external_id TEXT NOT NULL,
    extra TEXT,
    shown BIGINT,
    shown_at BIGINT,
    doubt_until BIGINT,
    marked BOOLEAN NOT NULL,
    overwritten_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (seller_id, id),
    UNIQUE (seller_id, store_id, external_id),
    UNIQUE (seller_id, store_id, sku)
);
CREATE INDEX listings_sku ON listings (seller_id, sku);
CREATE INDEX listings_marked ON listings (seller_id, store_id) WHERE marked;

CREATE TABLE rules (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    scope TEXT NOT NULL,
    sku TEXT,
    store_id BYTEA,
    share BIGINT,
    buffer BIGINT,
    threshold BIGINT,
    max_shown BIGINT,
    sync_enabled BOOLEAN,
    PRIMARY KEY (seller_id, scope)
);
CREATE INDEX rules_sku ON rules (seller_id, sku);

CREATE TABLE stock_events (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    event_id TEXT NOT NULL,
    body_hash BYTEA NOT NULL,
    sku TEXT NOT NULL,
    kind TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    warehouse TEXT NOT NULL,
    to_warehouse TEXT,
    occurred_at BIGINT,
    note TEXT,
    accepted_at BIGINT NOT NULL,
    PRIMARY KEY (seller_id, event_id)
);
CREATE INDEX stock_events_age ON stock_events (accepted_at);

CREATE TABLE pushes (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    id BYTEA NOT NULL,
    store_id BYTEA NOT NULL,
    listing_id BYTEA NOT NULL,
    sku TEXT NOT NULL,
    external_id TEXT NOT NULL,
    extra TEXT,
    kind SMALLINT NOT NULL,
    quantity BIGINT,
    state SMALLINT NOT NULL,
    attempts INTEGER NOT NULL,
    reason TEXT,
    next_step TEXT,
    raw_answer TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    due_at BIGINT,
    confirmed_at BIGINT,
    call_id BYTEA,
    base BIGINT,
    resolution SMALLINT,
    failing_since BIGINT,
    batch_limit INTEGER,
    cancel_requested BOOLEAN NOT NULL,
    run_id BYTEA,
    in_doubt BOOLEAN NOT NULL,
    PRIMARY KEY (seller_id, id)
);
-- states: 0 queued, 1 sending, 2 confirmed, 3 retrying, 4 uncertain, 5 rejected, 6 held, 7 superseded, 8 cancelled
CREATE INDEX pushes_due ON pushes (seller_id, store_id, due_at, call_id, id) WHERE due_at IS NOT NULL;
CREATE INDEX pushes_active ON pushes (seller_id, listing_id, state) WHERE state IN (0, 1, 3, 4, 6);
CREATE INDEX pushes_in_flight ON pushes (seller_id, store_id) WHERE state IN (1, 4);
CREATE INDEX pushes_state ON pushes (seller_id, state, id);
CREATE INDEX pushes_sku ON pushes (seller_id, sku);
CREATE INDEX pushes_run ON pushes (seller_id, run_id) WHERE run_id IS NOT NULL;
CREATE INDEX pushes_age ON pushes (updated_at) WHERE state IN (2, 5, 7, 8);

CREATE TABLE sync_runs (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    id BYTEA NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    store_id BYTEA,
    local_date TEXT,
    filter TEXT,
    total BIGINT NOT NULL,
    done BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    expanded_to BYTEA,
    expanded BOOLEAN NOT NULL,
    reason TEXT,
    scheduled_for BIGINT,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    PRIMARY KEY (seller_id, id),
    UNIQUE (seller_id, store_id, local_date)
);
CREATE INDEX sync_runs_open ON sync_runs (seller_id) WHERE finished_at IS NULL;
CREATE INDEX sync_runs_age ON sync_runs (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE audit (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    id BYTEA NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    before TEXT,
    after TEXT,
    PRIMARY KEY (seller_id, id)
);
CREATE INDEX audit_age ON audit (at);
