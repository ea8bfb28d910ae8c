//! What the operator keeps: apps, paused platforms, and a log.

diesel::table! {
    apps (platform) {
        platform -> Text,
        client_id -> Text,
        settings -> Text,
        secret -> Binary,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    operator_audit (id) {
        id -> Binary,
        at -> BigInt,
        action -> Text,
        subject -> Text,
        before -> Nullable<Text>,
        after -> Nullable<Text>,
    }
}

diesel::table! {
    platform_pauses (platform) {
        platform -> Text,
        paused_at -> BigInt,
        reason -> Nullable<Text>,
    }
}
