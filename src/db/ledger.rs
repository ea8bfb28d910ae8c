//! The ledger's transaction: stock events of many requests are loaded, applied and written together.
//!
//! Everything that the events touch is read first, in one statement for each table whatever the number of sellers, apart from
//! what is remembered ([`Setups`]); then the events are applied in memory by [`Book`], in order; then the changes are written,
//! up to a thousand rows in each statement. Increases for stores that offer a call are in that call from the start: see
//! [`Taken::begin`].
mod load;
mod request;
mod setups;
mod sold;

use super::Result;
use super::connection::{Conn, on};
use super::delivery::{Epochs, Taken};
use super::kept::{inserted, kept, put, put_all};
use super::literal::{Literal, is};
use super::pushes::PushRow;
use super::schema::sellers;
use crate::domain::ledger::{Book, ComponentEvent, InCount};
use crate::domain::look_alikes::fold;
use crate::domain::{ListingId, SellerId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, SmallInt, Text};
use std::collections::{BTreeMap, BTreeSet};

pub use crate::domain::ledger::{EventResult, Limits, NewEvent, Remark};
pub(super) use request::Repeats;
pub use request::{RecordRequest, Recorded};
pub(super) use setups::Setups;

struct EventRow {
    seller_id: Vec<u8>,
    event_id: String,
    body_hash: Vec<u8>,
    sku: String,
    kind: String,
    quantity: i64,
    warehouse: String,
    to_warehouse: Option<String>,
    occurred_at: Option<Timestamp>,
    note: Option<String>,
    accepted_at: Timestamp,
    in_count: Option<i16>,
    store_id: Option<Vec<u8>>,
}

impl EventRow {
    fn new(seller: SellerId, new: &NewEvent, accepted_at: Timestamp, in_count: InCount) -> Self {
        let event = &new.event;
        Self {
            seller_id: seller.bytes(),
            event_id: event.event_id.to_string(),
            body_hash: new.hash.to_vec(),
            sku: event.sku.to_string(),
            kind: event.kind.as_str().to_owned(),
            quantity: event.quantity,
            warehouse: event.warehouse.to_string(),
            to_warehouse: event.to_warehouse.as_ref().map(ToString::to_string),
            occurred_at: event.occurred_at,
            note: event.note.clone(),
            accepted_at,
            in_count: in_count.bits(),
            store_id: new.store.map(|store| store.bytes()),
        }
    }

    /// The row of a component. No store has sold the component itself.
    fn of_component(seller: SellerId, of: ComponentEvent) -> Self {
        let ComponentEvent { event, accepted_at, in_count } = of;
        Self {
            seller_id: seller.bytes(),
            event_id: ComponentEvent::row_id(&event.event_id, &event.sku),
            body_hash: Vec::new(),
            sku: event.sku.to_string(),
            kind: event.kind.as_str().to_owned(),
            quantity: event.quantity,
            warehouse: event.warehouse.to_string(),
            to_warehouse: None,
            occurred_at: event.occurred_at,
            note: event.note,
            accepted_at,
            in_count: in_count.bits(),
            store_id: None,
        }
    }
}

/// Rows of events that somebody has reported, not those of a bundle's components: nobody has sent these.
pub(super) fn is_reported() -> Literal<Bool> {
    is("length(stock_events.body_hash) > 0")
}

struct LevelRow {
    seller_id: Vec<u8>,
    sku: String,
    warehouse: String,
    available: i64,
    counted_at: Option<Timestamp>,
}

struct SkuRow {
    seller_id: Vec<u8>,
    sku: String,
    name: Option<String>,
    created_at: Timestamp,
    folded: Option<String>,
}

inserted! {
    EventRow, into "stock_events" "";
    seller_id: Binary, event_id: Text, body_hash: Binary, sku: Text, kind: Text, quantity: BigInt, warehouse: Text, to_warehouse:
    Nullable<Text>, occurred_at: Nullable<BigInt>, note: Nullable<Text>, accepted_at: BigInt, in_count: Nullable<SmallInt>,
    store_id: Nullable<Binary>
}

inserted! {
    SkuRow, into "skus" "ON CONFLICT DO NOTHING";
    seller_id: Binary, sku: Text, name: Nullable<Text>, created_at: BigInt, folded: Nullable<Text>
}

inserted! {
    LevelRow, into "stock_levels"
    "ON CONFLICT (seller_id, sku, warehouse) DO UPDATE SET available = excluded.available, \
     counted_at = COALESCE(excluded.counted_at, stock_levels.counted_at)";
    seller_id: Binary, sku: Text, warehouse: Text, available: BigInt, counted_at: Nullable<BigInt>
}

/// Records the events of many requests in the caller's transaction; one answer for each request.
///
/// # Errors
/// If the database fails; then nothing may be committed.
pub(super) fn record(
    conn: &mut Conn,
    (setups, taken): (&mut Setups, &mut Taken),
    requests: &[RecordRequest],
    limits: Limits,
    repeats: Repeats,
) -> Result<Vec<Recorded>> {
    let load::Loaded { mut books, busy, epochs } = load::books(conn, (setups, taken), requests, repeats)?;
    let mut counts: BTreeMap<SellerId, usize> = BTreeMap::new();
    for request in requests {
        *counts.entry(request.seller).or_default() += request.events.len();
    }
    let listings: BTreeMap<SellerId, usize> = books.iter().map(|(seller, book)| (*seller, book.listing_count())).collect();
    // A seller's listings are shared among its requests by their events.
    let cost = |request: &RecordRequest| {
        let of_seller = |map: &BTreeMap<SellerId, usize>| map.get(&request.seller).copied().unwrap_or(0);
        (of_seller(&listings) * request.events.len()).checked_div(of_seller(&counts)).unwrap_or(0)
    };
    let (mut events, mut sold) = (Vec::new(), sold::Sold::default());
    let mut recorded = Vec::with_capacity(requests.len());
    for request in requests {
        let seller = request.seller;
        let Some(book) = books.get_mut(&seller) else {
            let gone = |new: &NewEvent| EventResult::rejected(&new.event, "", "the seller no longer exists");
            recorded.push(Recorded {
                seller,
                results: request.events.iter().map(gone).collect(),
                has_pushes: false,
                listings: 0,
                pushes: Vec::new(),
            });
            continue;
        };
        let before = book.changed_pushes();
        if request.trace.is_some() {
            book.watch();
        }
        let apply = |new: &NewEvent| {
            let result = book.apply(new, request.now, limits);
            if let EventResult::Accepted { at, in_count, .. } = result {
                events.push(EventRow::new(seller, new, at, in_count));
                sold.note(seller, new, book.setup());
            }
            result
        };
        let results = request.events.iter().map(apply).collect();
        recorded.push(Recorded {
            seller,
            results,
            has_pushes: book.changed_pushes() > before,
            listings: cost(request),
            pushes: book.watched(),
        });
    }
    sold.save(conn, requests.iter().map(|request| request.now).max().unwrap_or(Timestamp::MIN))?;
    let waiting = write(conn, books, events, (taken, &busy, &epochs))?;
    recorded.iter_mut().for_each(|recorded| recorded.has_pushes &= waiting.contains(&recorded.seller));
    Ok(recorded)
}

/// Returns the sellers of whom pushes wait now that are new or were merged into. Nothing may be sent to the listings that are `busy`.
fn write(
    conn: &mut Conn,
    books: BTreeMap<SellerId, Book>,
    mut events: Vec<EventRow>,
    (taken, busy, epochs): (&mut Taken, &BTreeSet<ListingId>, &Epochs),
) -> Result<BTreeSet<SellerId>> {
    let (mut level_rows, mut sku_rows, mut pushes) = (Vec::new(), Vec::new(), Vec::new());
    for (seller, book) in books {
        let (key, changes) = (seller.bytes(), book.changes());
        if !changes.new_skus.is_empty() {
            on!(conn, c => kept(diesel::update(sellers::table.find(&key)).set(sellers::sku_count.eq(changes.sku_count))).run(c))?;
        }
        let sku_row =
            |(sku, created_at): (String, _)| SkuRow { seller_id: key.clone(), folded: Some(fold(&sku)), sku, name: None, created_at };
        sku_rows.extend(changes.new_skus.into_iter().map(sku_row));
        for (place, available) in changes.levels {
            let counted_at = changes.counted.get(&place).copied();
            let (sku, warehouse) = (place.0, place.1.to_string());
            level_rows.push(LevelRow { seller_id: key.clone(), sku, warehouse, available, counted_at });
        }
        events.extend(changes.of_components.into_iter().map(|of| EventRow::of_component(seller, of)));
        pushes.extend(changes.pushes.into_iter().map(|push| (seller, push)));
    }
    taken.begin(&mut pushes, busy, epochs)?;
    let push_rows: Vec<PushRow> = pushes.iter().map(|(seller, push)| PushRow::new(&seller.bytes(), push)).collect();
    put(conn, &sku_rows)?;
    put_all(conn, &events, &level_rows, &push_rows)?;
    Ok(pushes.into_iter().filter(|(_, push)| push.state().is_waiting()).map(|(seller, _)| seller).collect())
}
