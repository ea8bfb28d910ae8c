//! Where every query on a seller's tables starts: a builder that already selects the seller's rows.
//!
//! `scope.pushes()` is `SELECT … FROM pushes WHERE seller_id = …`, to be narrowed by further filters, and can also be
//! the target of an `update` or a `delete`. `tests/architecture.rs` rejects a `pushes::table` anywhere else in a seller's
//! part of `db`, except in an `insert_into`, whose rows name the seller.
use super::literal::{Literal, literal};
use super::schema::{
    api_keys, audit, bundle_components, drift_checks, drifts, email_addresses, email_links, email_mails, email_news, frozen_windows,
    grants, listings, pauses, push_packs, pushes, removed_stores, rules, skus, stock_events, stock_levels, store_circuits, stores,
    sync_runs, sync_settings, usage_days, warehouses, webhook_messages, webhooks,
};
use super::tenant::Tenant;
use crate::domain::SellerId;
use diesel::dsl::{Eq, Filter};
use diesel::prelude::*;
use diesel::sql_types::Binary;

/// One seller's rows in each table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope(SellerId);

impl Scope {
    /// For code that works across sellers and reaches one of them.
    pub(super) fn of(seller: SellerId) -> Self {
        Self(seller)
    }
}

impl Tenant<'_> {
    /// This seller's rows in each table.
    pub(super) fn scope(&self) -> Scope {
        Scope(self.seller())
    }
}

macro_rules! scoped {
    ($($table:ident),+ $(,)?) => {
        impl Scope {
            $(pub(super) fn $table(self) -> Filter<$table::table, Eq<$table::seller_id, Vec<u8>>> {
                $table::table.filter($table::seller_id.eq(self.0.bytes()))
            })+
        }
    };
}

scoped![
    api_keys,
    audit,
    bundle_components,
    drift_checks,
    drifts,
    email_addresses,
    email_links,
    email_mails,
    email_news,
    frozen_windows,
    grants,
    listings,
    pauses,
    push_packs,
    pushes,
    removed_stores,
    rules,
    skus,
    stock_events,
    stock_levels,
    store_circuits,
    stores,
    sync_runs,
    sync_settings,
    usage_days,
    warehouses,
    webhook_messages,
    webhooks,
];

macro_rules! found_by_age {
    ($($name:ident: $table:ident, $column:literal;)+) => {
        impl Scope {
            $(
                /// This seller's rows for a statement that finds them by an index on their age alone. Only for SQLite: the plus
                /// keeps it from using an index by seller, in which it would scan all the rows that the seller ever had.
                pub(super) fn $name(self) -> Filter<$table::table, Eq<Literal<Binary>, Vec<u8>>> {
                    $table::table.filter(literal::<Binary>($column).eq(self.0.bytes()))
                }
            )+
        }
    };
}

found_by_age! {
    push_packs_by_age: push_packs, "+push_packs.seller_id";
    pushes_by_age: pushes, "+pushes.seller_id";
    sync_runs_by_age: sync_runs, "+sync_runs.seller_id";
}

/// The store of each row, to be joined: `scope.listings().inner_join(store_of!(listings))`.
macro_rules! store_of {
    ($table:ident) => {{
        use $crate::db::schema::{stores, $table};
        stores::table.on(stores::seller_id.eq($table::seller_id).and(stores::id.eq($table::store_id)))
    }};
}
pub(super) use store_of;

/// The listing of each push, to be joined: `scope.pushes().left_join(listing_of_push!())`.
macro_rules! listing_of_push {
    () => {{
        use $crate::db::schema::{listings, pushes};
        listings::table.on(listings::seller_id.eq(pushes::seller_id).and(listings::id.eq(pushes::listing_id)))
    }};
}
pub(super) use listing_of_push;

/// The listing of each drift, to be joined: `scope.drifts().inner_join(listing_of_drift!())`.
macro_rules! listing_of_drift {
    () => {{
        use $crate::db::schema::{drifts, listings};
        listings::table.on(listings::seller_id.eq(drifts::seller_id).and(listings::id.eq(drifts::listing_id)))
    }};
}
pub(super) use listing_of_drift;

/// The pause of each listing's SKU, to be joined: `scope.listings().inner_join(pause_of_sku!())`.
macro_rules! pause_of_sku {
    () => {{
        use $crate::db::pauses::SKU_LEVEL;
        use $crate::db::schema::{listings, pauses};
        let of_sku = pauses::level.eq(SKU_LEVEL).and(pauses::subject.eq(listings::sku));
        pauses::table.on(pauses::seller_id.eq(listings::seller_id).and(of_sku))
    }};
}
pub(super) use pause_of_sku;

/// The pushes of each listing that have not ended, without those in packs, to be joined: `listings.left_join(active_pushes!())`.
macro_rules! active_pushes {
    () => {{
        use $crate::db::pushes::is_active;
        use $crate::db::schema::{listings, pushes};
        pushes::table.on(pushes::seller_id.eq(listings::seller_id).and(pushes::listing_id.eq(listings::id)).and(is_active()))
    }};
}
pub(super) use active_pushes;

/// The levels of each SKU, to be joined: `skus.left_join(levels_of_sku!())`.
macro_rules! levels_of_sku {
    () => {{
        use $crate::db::schema::{skus, stock_levels};
        stock_levels::table.on(stock_levels::seller_id.eq(skus::seller_id).and(stock_levels::sku.eq(skus::sku)))
    }};
}
pub(super) use levels_of_sku;

/// The rows of a table that belong to any of several sellers: all of them (`of_sellers!(stores, keys)`), or those
/// with one of the texts or ids that are wanted for their seller (`of_sellers!(skus.sku, pairs)`).
macro_rules! of_sellers {
    ($table:ident, $keys:expr) => {
        $crate::db::schema::$table::table.filter($crate::db::sets::among_ids($crate::db::schema::$table::seller_id, $keys))
    };
    ($table:ident.$column:ident, $pairs:expr) => {
        $crate::db::schema::$table::table.filter($crate::db::sets::of_sellers(
            $crate::db::schema::$table::seller_id,
            $crate::db::schema::$table::$column,
            $pairs,
        ))
    };
}
pub(super) use of_sellers;

/// The rows of a table that belong to any of several sellers, with a further condition for each. Takes a map from seller
/// to whatever that condition needs; an empty one finds nothing.
macro_rules! of_each_seller {
    ($table:ident, $wanted:expr, |$w:ident| $filter:expr) => {{
        let mut query = $crate::db::schema::$table::table.into_boxed();
        let mut nobody = true;
        for (seller, $w) in $wanted {
            query = query.or_filter($crate::db::schema::$table::seller_id.eq(seller.bytes()).and($filter));
            nobody = false;
        }
        if nobody {
            // Without a condition it would find every seller's rows. No id is empty.
            query = query.filter($crate::db::schema::$table::seller_id.eq(Vec::new()));
        }
        query
    }};
}
pub(super) use of_each_seller;
