-- The processes that share this database, where several may (on PostgreSQL). A process has its row while it runs; one that is
-- killed leaves it behind, and it is deleted once others hold what it held.
CREATE TABLE nodes (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    -- Counted up about once a second: others see that the process is alive, without comparing clocks.
    renewal BIGINT NOT NULL,
    -- It gives up its shards and takes no others.
    leaving BOOLEAN NOT NULL,
    started_at BIGINT NOT NULL,
    active_sellers BIGINT NOT NULL,
    active_stores BIGINT NOT NULL
);

-- Who works for the sellers of each shard. The epoch is counted up whenever that changes: whoever writes as the holder of a shard
-- checks it in the same transaction, and locks the row against a change until the commit.
CREATE TABLE shards (
    shard SMALLINT NOT NULL PRIMARY KEY,
    node BLOB,
    epoch BIGINT NOT NULL
);

WITH RECURSIVE numbers (shard) AS (SELECT 0 UNION ALL SELECT shard + 1 FROM numbers WHERE shard < 255)
INSERT INTO shards (shard, epoch) SELECT shard, 0 FROM numbers;
