-- Sessions of the console. A seller's session ends when its key is revoked, an operator's when the operator key changes:
-- operator_proof is a digest of that key and the session's token.
CREATE TABLE sessions (
    token_hash BLOB NOT NULL PRIMARY KEY,
    seller_id BLOB REFERENCES sellers (id) ON DELETE CASCADE,
    key_id BLOB,
    operator_proof BLOB,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_expiry ON sessions (expires_at);
CREATE INDEX sessions_seller ON sessions (seller_id);

-- Stores whose circuit is open, for people to see; the circuit itself lives in the store's actor.
CREATE TABLE store_circuits (
    seller_id BLOB NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    store_id BLOB NOT NULL,
    open_until BIGINT NOT NULL,
    PRIMARY KEY (seller_id, store_id)
);

-- The records of one store, and of one SKU, newest first.
CREATE INDEX pushes_of_store ON pushes (seller_id, store_id, id);
CREATE INDEX pushes_of_sku ON pushes (seller_id, sku, id);
DROP INDEX pushes_sku;
