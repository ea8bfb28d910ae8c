//! Loads the [`Book`]s of the sellers that a group of stock events concerns.
mod bundles;
mod since;

use super::request::{RecordRequest, Repeats};
use super::setups::Setups;
use crate::db::connection::{Backend, Conn, on};
use crate::db::delivery::{Epochs, Taken};
use crate::db::leases::{self, LockedSeller, lock_sellers};
use crate::db::literal::literal;
use crate::db::pushes::{PushRow, pack_is_sending};
use crate::db::schema::{listings, pushes, sellers, skus, stock_events, stock_levels};
use crate::db::scope::{active_pushes, levels_of_sku, of_sellers};
use crate::db::sets::among_ids;
use crate::db::{Error, Result, id_of};
use crate::domain::falls::Cause;
use crate::domain::ledger::{Book, Facts, InCount, Seen};
use crate::domain::look_alikes::fold;
use crate::domain::{ListingId, SellerId, Timestamp, WarehouseCode};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

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

/// What the events of a group need.
pub(super) struct Loaded {
    /// A deleted seller has none.
    pub books: BTreeMap<SellerId, Book>,
    /// The listings that increases may be made for and to which nothing may be sent now, because something is in flight or may
    /// still arrive.
    pub busy: BTreeSet<ListingId>,
    /// Of the sellers whose stores may be called from here by a lease.
    pub epochs: Epochs,
}

/// Loads what the events of these requests need.
pub(super) fn books(
    conn: &mut Conn,
    (setups, taken): (&mut Setups, &Taken),
    requests: &[RecordRequest],
    repeats: Repeats,
) -> Result<Loaded> {
    let mut wanted: BTreeMap<SellerId, Wanted> = BTreeMap::new();
    for request in requests {
        let wants = wanted.entry(request.seller).or_default();
        for new in &request.events {
            wants.skus.insert(new.event.sku.to_string());
            wants.events.insert(new.event.event_id.to_string());
        }
    }
    let mut busy = BTreeSet::new();
    let (mut found, epochs) = sellers(conn, (setups, taken), &wanted)?;
    wanted.retain(|seller, _| found.0.contains_key(seller));
    if !wanted.is_empty() {
        for (seller, components) in bundles::load(conn, setups, requests, &mut found.0)? {
            wanted.entry(seller).or_default().skus.extend(components);
        }
        stock(conn, &wanted, &mut found)?;
        look_alikes(conn, &wanted, &mut found)?;
        since::late_counts(conn, requests, &mut found.0)?;
        if repeats == Repeats::LookedFor {
            seen_events(conn, &wanted, &mut found)?;
        }
        let pushed = pushed(requests, &found);
        if !pushed.is_empty() {
            let now = requests.iter().map(|request| request.now).min().unwrap_or(Timestamp::MIN);
            listings_and_pushes(conn, setups, &pushed, now, (&mut found, &mut busy))?;
        }
    }
    let books = found.0.into_iter().map(|(seller, facts)| (seller, Book::new(facts))).collect();
    Ok(Loaded { books, busy, epochs })
}

/// The SKUs that pushes may be made for because of these events; no others need stores, rules and listings. Most events trigger none.
fn pushed(requests: &[RecordRequest], found: &Found) -> BTreeMap<SellerId, BTreeSet<String>> {
    let mut pushed: BTreeMap<SellerId, BTreeSet<String>> = BTreeMap::new();
    for request in requests {
        let Some(facts) = found.0.get(&request.seller) else { continue };
        for new in request.events.iter().filter(|new| facts.setup.rules.may_push(&Cause::new(&new.event, new.store))) {
            bundles::raise(facts, new.event.sku.as_str(), pushed.entry(request.seller).or_default());
        }
    }
    pushed
}

/// The sellers and what they have set up. Locks the sellers in the order of their ids, so that two transactions never wait for
/// each other and a change of their setup comes either before an event or after it. If their stores may be called from here by
/// leases, locks these as well and returns their epochs.
fn sellers(conn: &mut Conn, (setups, taken): (&mut Setups, &Taken), wanted: &BTreeMap<SellerId, Wanted>) -> Result<(Found, Epochs)> {
    let query = sellers::table
        .select((sellers::id, sellers::sku_count, sellers::max_skus, sellers::setup_version))
        .filter(among_ids(sellers::id, keys(wanted)))
        .filter(sellers::deleted_at.is_null())
        .order(sellers::id);
    let by_lease: BTreeMap<SellerId, bool> = wanted.keys().map(|seller| (*seller, taken.needs_lease(*seller))).collect();
    type Row = (Vec<u8>, i64, Option<i64>, i64);
    let plain = |(id, sku_count, max_skus, setup_version): Row| LockedSeller { id, sku_count, max_skus, setup_version, epoch: None };
    let rows: Vec<LockedSeller> = match &mut conn.backend {
        Backend::Sqlite(c) => query.load::<Row>(c)?.into_iter().map(plain).collect(),
        Backend::Postgres(c) if by_lease.values().any(|by_lease| *by_lease) => lock_sellers(c, &by_lease)?,
        Backend::Postgres(c) => query.for_update().load::<Row>(c)?.into_iter().map(plain).collect(),
    };
    let mut epochs = match &mut conn.backend {
        Backend::Sqlite(c) => leases::epochs(c, &by_lease)?,
        Backend::Postgres(_) => Epochs::new(),
    };
    let (mut counts, mut versions) = (BTreeMap::new(), BTreeMap::new());
    for LockedSeller { id, sku_count, max_skus, setup_version, epoch } in rows {
        let seller = id_of(&id, SellerId::from_bytes, "sellers.id")?;
        counts.insert(seller, (sku_count, max_skus));
        versions.insert(seller, setup_version);
        epochs.extend(epoch.map(|epoch| (seller, epoch)));
    }
    let setups = setups.of(conn, &versions)?;
    let facts = |(seller, setup)| {
        let (sku_count, max_skus) = *counts.get(&seller)?;
        Some((seller, Facts { max_skus, ..Facts::new(setup, sku_count) }))
    };
    Ok((Found(setups.into_iter().filter_map(facts).collect()), epochs))
}

/// Which SKUs exist, and what is available of them.
fn stock(conn: &mut Conn, wanted: &BTreeMap<SellerId, Wanted>, found: &mut Found) -> Result<()> {
    type Level = (String, i64, Option<Timestamp>);
    let rows: Vec<(Vec<u8>, String, Option<Level>)> = on!(conn, c => of_sellers!(skus.sku, pairs(wanted, |w| &w.skus))
        .left_join(levels_of_sku!())
        .select((skus::seller_id, skus::sku, (stock_levels::warehouse, stock_levels::available, stock_levels::counted_at).nullable()))
        .load(c)?);
    for (key, sku, level) in rows {
        let Some(facts) = found.of(&key)? else { continue };
        if let Some((code, available, counted_at)) = level {
            let code = WarehouseCode::parse(&code).map_err(Error::Corrupt)?;
            if let Some(counted_at) = counted_at {
                facts.counted.entry(sku.clone()).or_default().insert(code.clone(), counted_at);
            }
            facts.levels.entry(sku.clone()).or_default().insert(code, available);
        }
        facts.skus.insert(sku);
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

/// Whether a pack with this listing is being sent. Of a pack, only the first and the last listing are known here; one in between
/// counts as well.
static IS_SENT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "EXISTS (SELECT 1 FROM push_packs WHERE push_packs.seller_id = listings.seller_id AND push_packs.store_id = listings.store_id \
         AND {} AND push_packs.first_listing <= listings.id AND push_packs.last_listing >= listings.id)",
        pack_is_sending().sql()
    )
});

/// Listings of these SKUs, and their pushes that have not ended. Adds to `busy` those to which nothing may be sent at `now`.
fn listings_and_pushes(
    conn: &mut Conn,
    setups: &mut Setups,
    pushed: &BTreeMap<SellerId, BTreeSet<String>>,
    now: Timestamp,
    (found, busy): (&mut Found, &mut BTreeSet<ListingId>),
) -> Result<()> {
    let mut ids: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for (seller, sku, of_sku) in setups.listings(conn, pushed)? {
        ids.extend(of_sku.listings().iter().map(|to| (seller.bytes(), to.listing_id.bytes())));
        if let Some(facts) = found.0.get_mut(&seller) {
            facts.listings.insert(sku, of_sku);
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    let columns =
        (listings::seller_id, listings::id, listings::settles_at, literal::<Bool>(IS_SENT.as_str()), pushes::all_columns.nullable());
    type Row = (Vec<u8>, Vec<u8>, Option<Timestamp>, bool, Option<PushRow>);
    let rows: Vec<Row> = on!(conn, c => of_sellers!(listings.id, ids.iter().cloned())
        .left_join(active_pushes!()).select(columns).load(c)?);
    for (key, id, settles_at, is_sent, push) in rows {
        let push = push.map(PushRow::push).transpose()?;
        let in_flight = push.as_ref().is_some_and(|push| push.state().is_in_flight());
        let Some(facts) = found.of(&key)? else { continue };
        facts.pushes.extend(push);
        if is_sent || in_flight || settles_at.is_some_and(|at| at > now) {
            busy.insert(id_of(&id, ListingId::from_bytes, "listings.id")?);
        }
    }
    Ok(())
}
