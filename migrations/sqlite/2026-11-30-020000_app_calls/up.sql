-- The calls that a platform's app has made, by slots of ten minutes, so that a restart knows what is left of the day's quota.
-- An app may serve several sellers. Its name is a digest, because it contains the app's key.
CREATE TABLE app_calls (
    app TEXT NOT NULL,
    slot BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    PRIMARY KEY (app, slot)
);
