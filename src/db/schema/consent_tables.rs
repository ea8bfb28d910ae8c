//! Authorizations under way, and the tokens that came of them.

diesel::table! {
    authorizations (state_hash) {
        state_hash -> Binary,
        seller_id -> Binary,
        session_hash -> Nullable<Binary>,
        actor -> Text,
        platform -> Text,
        store_id -> Nullable<Binary>,
        asked -> Text,
        keys -> Nullable<Binary>,
        created_at -> BigInt,
        expires_at -> BigInt,
        used_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    grants (seller_id, store_id) {
        seller_id -> Binary,
        store_id -> Binary,
        client_id -> Nullable<Text>,
        renew_at -> Nullable<BigInt>,
        ends_at -> Nullable<BigInt>,
        turn_until -> Nullable<BigInt>,
    }
}
