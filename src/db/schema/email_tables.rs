//! Sellers' addresses for mails, what is to be mailed, the mails, and the links in them.

diesel::table! {
    email_addresses (seller_id, id) {
        seller_id -> Binary,
        id -> Binary,
        address -> Text,
        topics -> Text,
        at_once -> Bool,
        digest_hour -> SmallInt,
        state -> SmallInt,
        created_at -> BigInt,
        confirmed_at -> Nullable<BigInt>,
        next_mail_at -> Nullable<BigInt>,
        refusals -> Integer,
        problem -> Nullable<Text>,
        omitted -> BigInt,
    }
}

diesel::table! {
    email_news (seller_id, id) {
        seller_id -> Binary,
        id -> Binary,
        address_id -> Binary,
        mail_id -> Nullable<Binary>,
        what -> Text,
        subject -> Text,
        name -> Text,
        detail -> Nullable<Text>,
        path -> Text,
        count -> BigInt,
        since -> BigInt,
        last_at -> BigInt,
        due_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    email_mails (seller_id, id) {
        seller_id -> Binary,
        id -> Binary,
        address_id -> Binary,
        recipient -> Text,
        mailbox -> Text,
        kind -> SmallInt,
        omitted -> BigInt,
        state -> SmallInt,
        attempts -> Integer,
        created_at -> BigInt,
        due_at -> Nullable<BigInt>,
        ended_at -> Nullable<BigInt>,
        answer -> Nullable<Text>,
    }
}

diesel::table! {
    email_links (seller_id, token_hash) {
        seller_id -> Binary,
        token_hash -> Binary,
        address_id -> Binary,
        purpose -> SmallInt,
        expires_at -> BigInt,
    }
}
