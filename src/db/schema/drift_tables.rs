//! Checks of listings for drift, and what they have found.

diesel::table! {
    drift_checks (seller_id, id) {
        seller_id -> Binary,
        id -> Binary,
        store_id -> Binary,
        policy -> Text,
        continues_at -> Nullable<BigInt>,
        read_to -> Nullable<Binary>,
        compared -> BigInt,
        skipped -> BigInt,
        corrected -> BigInt,
        counts -> Text,
        started_at -> BigInt,
        finished_at -> Nullable<BigInt>,
        progressed_at -> BigInt,
        tries -> Integer,
    }
}

diesel::table! {
    drifts (seller_id, listing_id) {
        seller_id -> Binary,
        listing_id -> Binary,
        store_id -> Binary,
        cause -> SmallInt,
        difference -> Nullable<BigInt>,
        shown -> Nullable<BigInt>,
        since -> BigInt,
        note -> Nullable<Text>,
    }
}
