//! Nodes, and the shards that they hold.

diesel::table! {
    nodes (id) {
        id -> Binary,
        name -> Text,
        version -> Text,
        renewal -> BigInt,
        leaving -> Bool,
        started_at -> BigInt,
        active_sellers -> BigInt,
        active_stores -> BigInt,
    }
}

diesel::table! {
    shards (shard) {
        shard -> SmallInt,
        node -> Nullable<Binary>,
        epoch -> BigInt,
    }
}
