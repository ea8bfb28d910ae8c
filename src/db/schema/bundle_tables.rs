//! What sellers' bundles are made of.

diesel::table! {
    bundle_components (seller_id, bundle, component) {
        seller_id -> Binary,
        bundle -> Text,
        component -> Text,
        quantity -> BigInt,
    }
}
