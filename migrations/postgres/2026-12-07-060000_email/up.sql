-- Sellers' addresses for mails about what happens. topics: a JSON array of words. at_once: everything at most once an hour; otherwise
-- only what is urgent, and the rest at digest_hour in the seller's zone. state: 0 unconfirmed, 1 confirmed, 2 unsubscribed, 3 refused.
-- next_mail_at: no mail about news before. refusals: how often in a row the address was refused for good; problem: why the last
-- mail has not arrived. omitted: news that were not kept, because too many were waiting.
CREATE TABLE email_addresses (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    id BYTEA NOT NULL,
    address TEXT NOT NULL,
    topics TEXT NOT NULL,
    at_once BOOLEAN NOT NULL,
    digest_hour SMALLINT NOT NULL,
    state SMALLINT NOT NULL,
    created_at BIGINT NOT NULL,
    confirmed_at BIGINT,
    next_mail_at BIGINT,
    refusals INTEGER NOT NULL,
    problem TEXT,
    omitted BIGINT NOT NULL,
    PRIMARY KEY (seller_id, id)
);

-- What happened, for one address, written in the transaction in which it happens. The same about the same (what, subject) is one
-- row until it is mailed: count says how often, since and last_at when first and last. due_at: when it is to be mailed; null
-- once it belongs to a mail.
CREATE TABLE email_news (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    id BYTEA NOT NULL,
    address_id BYTEA NOT NULL,
    mail_id BYTEA,
    what TEXT NOT NULL,
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    detail TEXT,
    path TEXT NOT NULL,
    count BIGINT NOT NULL,
    since BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    due_at BIGINT,
    PRIMARY KEY (seller_id, id)
);
CREATE INDEX email_news_due ON email_news (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX email_news_waiting ON email_news (seller_id, address_id, what, subject) WHERE due_at IS NOT NULL;
CREATE INDEX email_news_mail ON email_news (seller_id, mail_id) WHERE mail_id IS NOT NULL;
CREATE INDEX email_news_subject ON email_news (seller_id, subject, last_at);
CREATE INDEX email_news_age ON email_news (last_at);

-- The mails. kind: 0 asks to confirm the address, 1 lists news, 2 is no mail and notes that the recipient has unsubscribed. mailbox: the
-- recipient without what tells apart addresses of one mailbox, so that its mails can be counted. state: 0 waiting, 1 sent, 2 given up. due_at: when it is to be sent;
-- null once it has ended. What it says is put together when it is sent, so that no link is stored.
CREATE TABLE email_mails (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    id BYTEA NOT NULL,
    address_id BYTEA NOT NULL,
    recipient TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    kind SMALLINT NOT NULL,
    omitted BIGINT NOT NULL,
    state SMALLINT NOT NULL,
    attempts INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT,
    ended_at BIGINT,
    answer TEXT,
    PRIMARY KEY (seller_id, id)
);
CREATE INDEX email_mails_due ON email_mails (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX email_mails_address ON email_mails (seller_id, address_id, id);
CREATE INDEX email_mails_mailbox ON email_mails (mailbox, created_at) WHERE kind <> 1;
CREATE INDEX email_mails_age ON email_mails (ended_at) WHERE ended_at IS NOT NULL;

-- The links in mails, by the digest of their token. purpose: 0 confirms the address, 1 unsubscribes it.
CREATE TABLE email_links (
    seller_id BYTEA NOT NULL REFERENCES sellers (id) ON DELETE CASCADE,
    token_hash BYTEA NOT NULL,
    address_id BYTEA NOT NULL,
    purpose SMALLINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (seller_id, token_hash)
);
CREATE INDEX email_links_address ON email_links (seller_id, address_id);
CREATE INDEX email_links_age ON email_links (expires_at);
