//! The rows about mails.

/// Tables, columns, values and the condition for the rows of this seller; `blob` makes an id that begins with a word.
pub fn rows(seller: &str, blob: impl Fn(&str) -> String) -> [(&'static str, &'static str, String, &'static str); 4] {
    let (email, mail) = ("CAST('email00000000001' AS BLOB)", blob("mail"));
    [
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
