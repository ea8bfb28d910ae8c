-- Since when a seller is deleted: it is gone for everybody, while its rows are deleted in small steps.
ALTER TABLE sellers ADD COLUMN deleted_at BIGINT;
CREATE INDEX sellers_deleted ON sellers (deleted_at) WHERE deleted_at IS NOT NULL;

-- Stores that are removed, while their listings and rules are deleted and their pushes cancelled in small steps.
CREATE TABLE removed_stores (
    seller_id BLOB NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    store_id BLOB NOT NULL,
    removed_at BIGINT NOT NULL,
    PRIMARY KEY (seller_id, store_id)
);

-- A store's listings in the order of their ids: otherwise a page of them scans those of the seller's other stores, too.
CREATE INDEX listings_of_store ON listings (seller_id, store_id, id);
-- Created again after it, because of several indexes that fit alike, SQLite uses the latest, and these hold only a few rows.
DROP INDEX listings_marked;
CREATE INDEX listings_marked ON listings (seller_id, store_id) WHERE marked;
DROP INDEX listings_settling;
CREATE INDEX listings_settling ON listings (seller_id, store_id, settles_at) WHERE settles_at IS NOT NULL;
