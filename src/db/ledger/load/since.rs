//! What happened to a SKU after the time of a count that arrives late.
use crate::db::connection::{Conn, on};
use crate::db::ledger::request::RecordRequest;
use crate::db::schema::stock_events;
use crate::db::scope::{Scope, of_each_seller};
use crate::db::{Error, Result, id_of};
use crate::domain::ledger::{Facts, InCount, MAX_AHEAD, Moved, occurred};
use crate::domain::stock::EventKind;
use crate::domain::{SellerId, Timestamp, WarehouseCode};
use chrono::TimeDelta;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use std::collections::{BTreeMap, BTreeSet};

/// A seller's counts that say when they were made, and the earliest of those times.
struct Late {
    counts: BTreeSet<(String, Timestamp)>,
    since: Timestamp,
}

impl Late {
    fn skus(&self) -> Vec<String> {
        self.counts.iter().map(|(sku, _)| sku.clone()).collect()
    }
}

/// Loads [`Facts::since`].
pub(super) fn late_counts(conn: &mut Conn, requests: &[RecordRequest], found: &mut BTreeMap<SellerId, Facts>) -> Result<()> {
    let mut late: BTreeMap<SellerId, Late> = BTreeMap::new();
    for request in requests.iter().filter(|request| found.contains_key(&request.seller)) {
        for event in request.events.iter().map(|new| &new.event).filter(|event| event.kind == EventKind::Count) {
            let Some(at) = occurred(event, request.now) else { continue };
            let of_seller = late.entry(request.seller).or_insert_with(|| Late { counts: BTreeSet::new(), since: at });
            of_seller.since = of_seller.since.min(at);
            of_seller.counts.insert((event.sku.to_string(), at));
        }
    }
    if late.is_empty() {
        return Ok(());
    }
    // A stock-take names thousands of SKUs, of which few have changed since; only those are summed one by one. An event
    // may say that it happened up to `MAX_AHEAD` after it was accepted.
    let changed: Vec<(Vec<u8>, String)> = on!(conn, c => of_each_seller!(stock_events, &late,
            |l| stock_events::sku.eq_any(l.skus()).and(stock_events::accepted_at.gt(l.since - MAX_AHEAD)))
        .select((stock_events::seller_id, stock_events::sku)).distinct().load(c)?);
    let mut changed_skus: BTreeMap<SellerId, BTreeSet<String>> = BTreeMap::new();
    for (key, sku) in changed {
        changed_skus.entry(id_of(&key, SellerId::from_bytes, "stock_events.seller_id")?).or_default().insert(sku);
    }
    for (seller, late) in late {
        let Some((facts, changed)) = found.get_mut(&seller).zip(changed_skus.get(&seller)) else { continue };
        for (sku, at) in late.counts.into_iter().filter(|(sku, _)| changed.contains(sku)) {
            let moved = moved_since(conn, seller, &sku, at)?;
            facts.since.insert((sku, at), moved);
        }
    }
    Ok(())
}

/// The changes of one SKU that happened after `at`, summed by kind and warehouses.
fn moved_since(conn: &mut Conn, seller: SellerId, sku: &str, at: Timestamp) -> Result<Vec<Moved>> {
    type Row = (String, String, Option<String>, i64);
    let ahead = TimeDelta::from_std(MAX_AHEAD).unwrap_or_default().num_milliseconds();
    let is_believed = stock_events::occurred_at.le((stock_events::accepted_at + ahead).nullable()).assume_not_null();
    let is_arrival = stock_events::occurred_at.is_null().or(diesel::dsl::not(is_believed));
    let after = stock_events::occurred_at.gt(at).assume_not_null().and(is_believed).or(stock_events::accepted_at.gt(at).and(is_arrival));
    let by = (stock_events::kind, stock_events::warehouse, stock_events::to_warehouse);
    let rows: Vec<Row> = on!(conn, c => Scope::of(seller).stock_events()
        .filter(stock_events::sku.eq(sku)).filter(stock_events::accepted_at.gt(at - MAX_AHEAD)).filter(after)
        // Not while it was a bundle: that has moved the components.
        .filter(stock_events::in_count.is_null().or(stock_events::in_count.lt(InCount::OF_BUNDLE).assume_not_null()))
        .group_by(by)
        .select((stock_events::kind, stock_events::warehouse, stock_events::to_warehouse, sql::<BigInt>("CAST(SUM(quantity) AS BIGINT)")))
        .load(c))?;
    let read = |(kind, warehouse, to_warehouse, quantity): Row| {
        let code = |text: &str| WarehouseCode::parse(text).map_err(Error::Corrupt);
        Ok(Moved {
            kind: EventKind::from_word(&kind).ok_or_else(|| Error::Corrupt(format!("stock_events.kind {kind} is unknown")))?,
            warehouse: code(&warehouse)?,
            to_warehouse: to_warehouse.as_deref().map(code).transpose()?,
            quantity,
        })
    };
    rows.into_iter().map(read).collect()
}
