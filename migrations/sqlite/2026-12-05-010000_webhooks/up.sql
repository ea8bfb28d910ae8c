-- Sellers' addresses for messages about what happens. topics: a JSON array of words. The secret is sealed. failing_since: since
-- when nothing has arrived; problem: why not.
CREATE TABLE webhooks (
    seller_id BLOB NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    id BLOB NOT NULL,
    url TEXT NOT NULL,
    topics TEXT NOT NULL,
    secret BLOB NOT NULL,
    enabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    failing_since BIGINT,
    problem TEXT,
    PRIMARY KEY (seller_id, id)
);

-- The messages, each written in the transaction in which it happens. state: 0 waiting, 1 delivered, 2 given up. due_at: when it is to
-- be sent; null once it has ended. Of those about the same subject only the oldest that waits is sent.
CREATE TABLE webhook_messages (
    seller_id BLOB NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    id BLOB NOT NULL,
    webhook_id BLOB NOT NULL,
    topic TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    state SMALLINT NOT NULL,
    attempts INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT,
    ended_at BIGINT,
    answer TEXT,
    PRIMARY KEY (seller_id, id)
);
CREATE INDEX webhook_messages_due ON webhook_messages (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_messages_waiting ON webhook_messages (seller_id, webhook_id, subject, id) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_messages_subject ON webhook_messages (seller_id, subject, created_at);
CREATE INDEX webhook_messages_log ON webhook_messages (seller_id, webhook_id, id);
CREATE INDEX webhook_messages_age ON webhook_messages (ended_at) WHERE ended_at IS NOT NULL;
