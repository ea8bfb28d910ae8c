//! The rows about webhooks and mails.

/// Tables, columns, values and the condition for the rows of this seller; `blob` makes an id that begins with a word.
pub fn rows(seller: &str, blob: impl Fn(&str) -> String) -> [(&'static str, &'static str, String, &'static str); 6] {
    let (email, mail, hook) = ("CAST('email00000000001' AS BLOB)", blob("mail"), "CAST('hook000000000001' AS BLOB)");
    [
        (
            "webhooks",
            "seller_id, id, url, topics, secret, enabled, created_at",
            format!("{seller}, {hook}, 'https://example.com', '[]', zeroblob(60), TRUE, 1"),
            "i = 1",
        ),
        (
            "webhook_messages",
            "seller_id, id, webhook_id, topic, subject, body, state, attempts, created_at, ended_at, answer",
            format!("{seller}, {}, {hook}, 'run.finished', 'run', '{{}}', 1, 1, i, i, '204'", blob("message")),
            "true",
        ),
        (
            "email_addresses",
            "seller_id, id, address, topics, at_once, digest_hour, state, created_at, confirmed_at, refusals, omitted",
            format!("{seller}, {email}, 'ada@example.com', '[]', FALSE, 8, 1, 1, 1, 0, 0"),
            "i = 1",
        ),
        (
            "email_mails",
            "seller_id, id, address_id, recipient, mailbox, kind, omitted, state, attempts, created_at, ended_at, answer",
            format!("{seller}, {mail}, {email}, 'ada@example.com', 'ada@example.com', 1, 0, 1, 1, i, i, 'accepted'"),
            "true",
        ),
        (
            "email_news",
            "seller_id, id, address_id, mail_id, what, subject, name, path, count, since, last_at",
            format!("{seller}, {}, {email}, {mail}, 'finished', 'runs', 'daily', '/console', 1, i, i", blob("news")),
            "true",
        ),
        (
            "email_links",
            "seller_id, token_hash, address_id, purpose, expires_at",
            format!("{seller}, {}, {email}, 1, 9000000000000", blob("link")),
            "true",
        ),
    ]
}
