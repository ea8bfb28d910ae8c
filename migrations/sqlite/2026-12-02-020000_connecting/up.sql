-- The operator's apps, one for each platform, through which sellers connect their shops. The secret is sealed; the settings (scopes,
-- addresses, what else the platform asks of an app) are a JSON object without secrets.
CREATE TABLE apps (
    platform TEXT NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL,
    settings TEXT NOT NULL,
    secret BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- What the operator has changed that belongs to no seller.
CREATE TABLE operator_audit (
    id BLOB NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    before TEXT,
    after TEXT
);
CREATE INDEX operator_audit_age ON operator_audit (at);

-- Authorizations that sellers have begun: each ends with the visitor's return from its platform, or after minutes. A row is found by the
-- digest of its state, a random text that only the visitor's browser and the platform know. keys: what the platform has sent apart from
-- the visitor, sealed. used_at: it has ended.
CREATE TABLE authorizations (
    state_hash BLOB NOT NULL PRIMARY KEY,
    seller_id BLOB NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    session_hash BLOB,
    actor TEXT NOT NULL,
    platform TEXT NOT NULL,
    store_id BLOB,
    asked TEXT NOT NULL,
    keys BLOB,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX authorizations_seller ON authorizations (seller_id, created_at);
CREATE INDEX authorizations_age ON authorizations (expires_at);

-- What a store's platform has granted. client_id: the operator's app through which the store was connected; null for a seller's own.
-- renew_at: when its tokens are next renewed, whether it has work or not. ends_at: when they can no longer be renewed. turn_until: until
-- then one process renews them, and no other.
CREATE TABLE grants (
    seller_id BLOB NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    store_id BLOB NOT NULL,
    client_id TEXT,
    renew_at BIGINT,
    ends_at BIGINT,
    turn_until BIGINT,
    PRIMARY KEY (seller_id, store_id)
);
CREATE INDEX grants_renew ON grants (renew_at) WHERE renew_at IS NOT NULL;
CREATE INDEX grants_end ON grants (ends_at) WHERE ends_at IS NOT NULL;
