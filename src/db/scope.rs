//! Where every query on a seller's tables starts: a builder that already carries the seller.
//!
//! `scope.pushes()` is `SELECT … FROM pushes WHERE seller_id = …`, to be narrowed by further filters, and just as much
//! the target of an `update` or a `delete`. A tenant's table cannot be reached in any other way: `tests/architecture.rs`
//! finds a `pushes::table` that is written anywhere else in `db` (an `insert_into` names its seller in the row).
use super::Tenant;
use super::schema::{
    api_keys, audit, listings, pushes, rules, skus, stock_events, stock_levels, store_circuits, stores, sync_runs, sync_settings,
    warehouses,
};
use crate::domain::SellerId;
use diesel::dsl::{Eq, Filter};
use diesel::prelude::*;

/// One seller's part of every table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope(SellerId);

impl Scope {
    /// For what crosses sellers and changes one of them.
    pub(super) fn of(seller: SellerId) -> Self {
        Self(seller)
    }
}

impl Tenant<'_> {
    /// This seller's part of every table.
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
    listings,
    pushes,
    rules,
    skus,
    stock_events,
    stock_levels,
    store_circuits,
    stores,
    sync_runs,
    sync_settings,
    warehouses,
];

/// The rows of a table that belong to any of several sellers, each narrowed by a condition of its own. Takes a map from
/// seller to what is wanted of it; without sellers there is nothing to ask, and it must not be asked.
macro_rules! of_sellers {
    ($table:ident, $wanted:expr, |$w:ident| $filter:expr) => {{
        let mut query = $crate::db::schema::$table::table.into_boxed();
        for (seller, $w) in $wanted {
            query = query.or_filter($crate::db::schema::$table::seller_id.eq(seller.bytes()).and($filter));
        }
        query
    }};
}
pub(super) use of_sellers;
