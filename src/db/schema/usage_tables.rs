//! What sellers have used by day, and how far that is counted.

diesel::table! {
    usage_days (seller_id, day) {
        seller_id -> Binary,
        day -> BigInt,
        events -> BigInt,
        pushes -> BigInt,
        calls -> BigInt,
    }
}

diesel::table! {
    usage_progress (id) {
        id -> SmallInt,
        counted_to -> BigInt,
    }
}
