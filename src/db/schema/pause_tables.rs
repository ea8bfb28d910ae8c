//! What sellers have paused, and their frozen windows.

diesel::table! {
    pauses (seller_id, level, subject) {
        seller_id -> Binary,
        level -> SmallInt,
        subject -> Text,
        paused_at -> BigInt,
        paused_by -> Text,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    frozen_windows (seller_id, id) {
        seller_id -> Binary,
        id -> Binary,
        name -> Text,
        from_local -> Text,
        to_local -> Text,
        store_ids -> Nullable<Text>,
        created_at -> BigInt,
        created_by -> Text,
    }
}
