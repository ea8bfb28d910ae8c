//! Webhooks and their messages.

diesel::table! {
    webhooks (seller_id, id) {
        seller_id -> Binary,
        id -> Binary,
        url -> Text,
        topics -> Text,
        secret -> Binary,
        enabled -> Bool,
        created_at -> BigInt,
        failing_since -> Nullable<BigInt>,
        problem -> Nullable<Text>,
    }
}

diesel::table! {
    webhook_messages (seller_id, id) {
        seller_id -> Binary,
        id -> Binary,
        webhook_id -> Binary,
        topic -> Text,
        subject -> Text,
        body -> Text,
        state -> SmallInt,
        attempts -> Integer,
        created_at -> BigInt,
        due_at -> Nullable<BigInt>,
        ended_at -> Nullable<BigInt>,
        answer -> Nullable<Text>,
    }
}
