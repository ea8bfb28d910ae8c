-- What a seller has used on a day in UTC, beyond the retention of the rows that were counted. day: the instant at which it begins.
CREATE TABLE usage_days (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    day BIGINT NOT NULL,
    events BIGINT NOT NULL,
    pushes BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    PRIMARY KEY (seller_id, day)
);
-- For the export of all sellers, and for pruning.
CREATE INDEX usage_days_of_all ON usage_days (day, seller_id);

-- Up to which instant everything has been counted: one row, whose id is 1.
CREATE TABLE usage_progress (
    id SMALLINT NOT NULL PRIMARY KEY,
    counted_to BIGINT NOT NULL
);
