//! Loads the [`Book`]s of the sellers that a group of stock events concerns.
mod since;

use super::request::RecordRequest;
use crate::db::connection::{Backend, Conn, on};
use crate::db::pushes::PushRow;
use crate::db::schema::{listings, pushes, rules, sellers, skus, stock_events, warehouses};
use crate::db::scope::{of_sellers, waiting_increase};
use crate::db::sets::among_ids;
use crate::db::settings::{RuleRow, SettingsRow};
use crate::db::stores::StoreRow;
use crate::db::{Error, Result, id_of};
use crate::domain::ledger::{Book, Facts, InCount, NewEvent, Seen};
use crate::domain::look_alikes::fold;
use crate::domain::push::Addressee;
use crate::domain::{ListingId, SellerId, StoreId, Timestamp, WarehouseCode};
use diesel::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The rows that a seller's events touch.
#[derive(Default)]
struct Wanted {
    skus: BTreeSet<String>,
    events: BTreeSet<String>,
}

/// The keys of these sellers.
fn keys<T>(of: &BTreeMap<SellerId, T>) -> Vec<Vec<u8>> {
    of.keys().map(SellerId::bytes).collect()
}

/// What is wanted of each seller, with the seller's key.
fn pairs<'a, W: 'a, T: Clone + 'a, I: IntoIterator<Item = &'a T>>(
    of: impl IntoIterator<Item = (&'a SellerId, &'a W)>,
    wants: impl Fn(&'a W) -> I,
) -> impl Iterator<Item = (Vec<u8>, T)> {
    let all: Vec<(Vec<u8>, T)> = of
        .into_iter()
        .flat_map(|(seller, wanted)| wants(wanted).into_iter().map(|value| (seller.bytes(), value.clone())).collect::<Vec<_>>())
        .collect();
    all.into_iter()
}

/// The rows that were found, by seller; deleted sellers are missing.
struct Found(BTreeMap<SellerId, Facts>);

impl Found {
    fn of(&mut self, key: &[u8]) -> Result<Option<&mut Facts>> {
        Ok(self.0.get_mut(&id_of(key, SellerId::from_bytes, "seller_id")?))
    }
}

/// The books of the requests' sellers; a deleted seller has none.
pub(super) fn books(conn: &mut Conn, requests: &[RecordRequest]) -> Result<BTreeMap<SellerId, Book>> {
    let mut wanted: BTreeMap<SellerId, Wanted> = BTreeMap::new();
    for request in requests {
        let wants = wanted.entry(request.seller).or_default();
        for new in &request.events {
            wants.skus.insert(new.event.sku.to_string());
            wants.events.insert(new.event.event_id.to_string());
        }
    }
    let mut found = sellers(conn, &wanted)?;
    wanted.retain(|seller, _| found.0.contains_key(seller));
    if !wanted.is_empty() {
        stock(conn, &wanted, &mut found)?;
        look_alikes(conn, &wanted, &mut found)?;
        since::late_counts(conn, requests, &mut found.0)?;
        seen_events(conn, &wanted, &mut found)?;
        let raised = raised(requests, &found);
        if !raised.is_empty() {
            stores_and_rules(conn, &raised, &mut found)?;
            listings_and_pushes(conn, &raised, &mut found)?;
        }
    }
    Ok(found.0.into_iter().map(|(seller, facts)| (seller, Book::new(facts))).collect())
}

/// The SKUs of events that may trigger increases, which most events do not; no others need stores, rules and listings.
fn raised(requests: &[RecordRequest], found: &Found) -> BTreeMap<SellerId, BTreeSet<String>> {
    let mut raised: BTreeMap<SellerId, BTreeSet<String>> = BTreeMap::new();
    for request in requests {
        let Some(settings) = found.0.get(&request.seller).map(|facts| &facts.settings) else { continue };
        let triggers = |new: &&NewEvent| settings.is_incremental() && new.event.kind.triggers(settings.trigger_on_cancellation);
        for new in request.events.iter().filter(triggers) {
            raised.entry(request.seller).or_default().insert(new.event.sku.to_string());
        }
    }
    raised
}

/// Sellers and settings. Locks the sellers in the order of their ids, so that two transactions never wait for each other
/// and a change of settings comes either before an event or after it.
fn sellers(conn: &mut Conn, wanted: &BTreeMap<SellerId, Wanted>) -> Result<Found> {
    let query = sellers::table
        .select((sellers::id, sellers::sku_count))
        .filter(among_ids(sellers::id, keys(wanted)))
        .filter(sellers::deleted_at.is_null())
        .order(sellers::id);
    let counts: Vec<(Vec<u8>, i64)> = match &mut conn.backend {
        Backend::Sqlite(c) => query.load(c)?,
        Backend::Postgres(c) => query.for_update().load(c)?,
    };
    let counts: HashMap<Vec<u8>, i64> = counts.into_iter().collect();
    let mut found = BTreeMap::new();
    if counts.is_empty() {
        return Ok(Found(found));
    }
    let rows: Vec<SettingsRow> = on!(conn, c => of_sellers!(sync_settings, keys(wanted)).load(c)?);
    for row in rows {
        let Some(sku_count) = counts.get(&row.seller_id).copied() else { continue };
        let seller = id_of(&row.seller_id, SellerId::from_bytes, "sync_settings.seller_id")?;
        found.insert(seller, Facts::new(row.settings()?, sku_count));
    }
    Ok(Found(found))
}

fn stores_and_rules(conn: &mut Conn, raised: &BTreeMap<SellerId, BTreeSet<String>>, found: &mut Found) -> Result<()> {
    let rows: Vec<StoreRow> = on!(conn, c => of_sellers!(stores, keys(raised)).load(c)?);
    for row in rows {
        let key = row.seller_id.clone();
        let store = row.store()?;
        if let Some(facts) = found.of(&key)? {
            facts.stores.push((store.rules(), store.is_held()));
        }
    }
    // Two queries in one statement: for a single condition, both backends would scan all the rules of a seller.
    let rows: Vec<RuleRow> = on!(conn, c => {
        let of_skus = of_sellers!(rules.sku, pairs(raised, |skus| skus));
        of_sellers!(rules, keys(raised)).filter(rules::sku.is_null()).union_all(of_skus).load(c)?
    });
    for row in rows {
        if let Some(facts) = found.of(&row.seller_id)? {
            facts.rules.push(row.rule()?);
        }
    }
    Ok(())
}

fn stock(conn: &mut Conn, wanted: &BTreeMap<SellerId, Wanted>, found: &mut Found) -> Result<()> {
    type Level = (Vec<u8>, String, String, i64, Option<Timestamp>);
    let rows: Vec<(Vec<u8>, String)> = on!(conn, c => of_sellers!(warehouses, keys(wanted))
        .select((warehouses::seller_id, warehouses::code)).load(c)?);
    for (key, code) in rows {
        if let Some(facts) = found.of(&key)? {
            facts.warehouses.insert(WarehouseCode::parse(&code).map_err(Error::Corrupt)?);
        }
    }
    let rows: Vec<(Vec<u8>, String)> = on!(conn, c => of_sellers!(skus.sku, pairs(wanted, |w| &w.skus))
        .select((skus::seller_id, skus::sku)).load(c)?);
    for (key, sku) in rows {
        if let Some(facts) = found.of(&key)? {
            facts.skus.insert(sku);
        }
    }
    let rows: Vec<Level> = on!(conn, c => of_sellers!(stock_levels.sku, pairs(wanted, |w| &w.skus)).load(c)?);
    for (key, sku, code, available, counted_at) in rows {
        if let Some(facts) = found.of(&key)? {
            let code = WarehouseCode::parse(&code).map_err(Error::Corrupt)?;
            if let Some(counted_at) = counted_at {
                facts.counted.entry(sku.clone()).or_default().insert(code.clone(), counted_at);
            }
            facts.levels.entry(sku).or_default().insert(code, available);
        }
    }
    Ok(())
}

/// SKUs that people may take for one of the events' SKUs that do not exist yet.
fn look_alikes(conn: &mut Conn, wanted: &BTreeMap<SellerId, Wanted>, found: &mut Found) -> Result<()> {
    let mut folded: BTreeMap<SellerId, BTreeSet<String>> = BTreeMap::new();
    for (seller, wants) in wanted {
        let Some(facts) = found.0.get(seller) else { continue };
        let new: BTreeSet<String> = wants.skus.iter().filter(|sku| !facts.skus.contains(*sku)).map(|sku| fold(sku)).collect();
        if !new.is_empty() {
            folded.insert(*seller, new);
        }
    }
    if folded.is_empty() {
        return Ok(());
    }
    let mut rows: Vec<(Timestamp, String, Vec<u8>, Option<String>)> = on!(conn, c => of_sellers!(skus.folded, pairs(&folded, |f| f))
        .select((skus::created_at, skus::sku, skus::seller_id, skus::folded)).load(c)?);
    // The oldest of several.
    rows.sort_unstable();
    for (_, sku, key, folded) in rows {
        let (Some(facts), Some(folded)) = (found.of(&key)?, folded) else { continue };
        facts.look_alikes.entry(folded).or_insert(sku);
    }
    Ok(())
}

/// The substance of an event that was recorded before.
#[derive(Queryable, Selectable)]
#[diesel(table_name = stock_events)]
struct SeenRow {
    seller_id: Vec<u8>,
    event_id: String,
    sku: String,
    kind: String,
    quantity: i64,
    warehouse: String,
    to_warehouse: Option<String>,
    accepted_at: Timestamp,
    in_count: Option<i16>,
}

fn seen_events(conn: &mut Conn, wanted: &BTreeMap<SellerId, Wanted>, found: &mut Found) -> Result<()> {
    let rows: Vec<SeenRow> = on!(conn, c => of_sellers!(stock_events.event_id, pairs(wanted, |w| &w.events))
        .select(SeenRow::as_select()).load(c)?);
    for row in rows {
        if let Some(facts) = found.of(&row.seller_id)? {
            let SeenRow { event_id, sku, kind, quantity, warehouse, to_warehouse, accepted_at, in_count, .. } = row;
            let in_count = InCount::from_bits(in_count);
            facts.seen.insert(event_id, Seen { sku, kind, quantity, warehouse, to_warehouse, at: accepted_at, in_count });
        }
    }
    Ok(())
}

/// Listings of these SKUs, by store, and the increases that wait for them.
fn listings_and_pushes(conn: &mut Conn, raised: &BTreeMap<SellerId, BTreeSet<String>>, found: &mut Found) -> Result<()> {
    type Listed = (Vec<u8>, Vec<u8>, Vec<u8>, String, String, Option<String>);
    let columns = (listings::seller_id, listings::store_id, listings::id, listings::sku, listings::external_id, listings::extra);
    let mut rows: Vec<(Listed, Option<PushRow>)> = on!(conn, c => of_sellers!(listings.sku, pairs(raised, |skus| skus))
        .left_join(waiting_increase!()).select((columns, pushes::all_columns.nullable())).load(c)?);
    // Sorted by store here: to return them in order, SQLite would scan all the sellers' listings.
    rows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    let mut last = Vec::new();
    for ((key, store, id, sku, external_id, extra), waiting) in rows {
        let Some(facts) = found.of(&key)? else { continue };
        let store_id = id_of(&store, StoreId::from_bytes, "listings.store_id")?;
        let listing_id = id_of(&id, ListingId::from_bytes, "listings.id")?;
        if last != id {
            let to = Addressee { store_id, listing_id, sku: sku.clone(), external_id, extra };
            facts.listings.entry(sku).or_default().push(to);
            last = id;
        }
        if let Some(row) = waiting {
            facts.pushes.push(row.push()?);
        }
    }
    Ok(())
}
