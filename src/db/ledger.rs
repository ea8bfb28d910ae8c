//! The ledger: stock events of many requests in one transaction, which dedupes them, moves the levels, computes the
//! increases by the rules as they are now, and writes the pushes. Nothing else changes available.
//!
//! All that the events touch is read first, a statement a table whatever the number of sellers; then the events are
//! applied in memory, in order; then what changed is written, up to a thousand rows a statement.
use super::connection::{Backend, Conn, on};
use super::pushes::{PushRow, is_active, is_increase, is_waiting, put_pushes};
use super::schema::{listings, pushes, rules, sellers, skus, stock_events, stock_levels, stores, sync_settings, warehouses};
use super::settings::{RuleRow, SettingsRow};
use super::stores::StoreRow;
use super::{Error, ROWS_PER_STATEMENT, Result, id_of};
use crate::domain::allocation::{ListingRules, targets};
use crate::domain::push::{Addressee, Push};
use crate::domain::settings::{Rule, StoreRules, SyncSettings, resolve};
use crate::domain::stock::{Levels, StockEvent};
use crate::domain::{EventId, FieldError, ListingId, SellerId, StoreId, Timestamp, WarehouseCode};
use diesel::prelude::*;
use diesel::upsert::excluded;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Bounds of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// SKUs that a seller may have.
    pub skus_per_seller: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { skus_per_seller: 100_000 }
    }
}

/// Stock events of one request, each checked by itself, in the order in which they are to be applied.
#[derive(Debug, Clone)]
pub struct RecordRequest {
    /// Whose.
    pub seller: SellerId,
    /// When they were received.
    pub now: Timestamp,
    /// The events; `hash` tells a repeat from another event with the same id.
    pub events: Vec<NewEvent>,
}

/// One stock event and the digest of its body.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The event.
    pub event: StockEvent,
    /// SHA-256 of its canonical form.
    pub hash: [u8; 32],
}

/// What became of a request.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Whose.
    pub seller: SellerId,
    /// One for each event, in its order.
    pub results: Vec<EventResult>,
    /// Whether stores have new work.
    pub has_pushes: bool,
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventResult {
    /// Recorded.
    Accepted {
        /// Milliseconds since 1970.
        at: Timestamp,
    },
    /// Recorded before.
    Duplicate {
        /// When it was accepted first.
        at: Timestamp,
    },
    /// Not recorded; nothing changed. The pointer is within the event.
    Rejected {
        /// The event's id.
        event_id: EventId,
        /// Why.
        errors: Vec<FieldError>,
        /// The id stands for another event already.
        conflict: bool,
    },
}

#[derive(Queryable, Insertable)]
#[diesel(table_name = stock_events, treat_none_as_default_value = false)]
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
}

#[derive(Insertable)]
#[diesel(table_name = stock_levels, treat_none_as_default_value = false)]
struct LevelRow {
    seller_id: Vec<u8>,
    sku: String,
    warehouse: String,
    available: i64,
}

#[derive(Insertable)]
#[diesel(table_name = skus, treat_none_as_default_value = false)]
struct SkuRow {
    seller_id: Vec<u8>,
    sku: String,
    name: Option<String>,
    created_at: Timestamp,
}

/// A listing, as far as the ledger needs it.
#[derive(Debug, Clone)]
struct Listed {
    id: ListingId,
    store_id: StoreId,
    external_id: String,
    extra: Option<String>,
}

struct StoreEntry {
    rules: StoreRules,
    held: bool,
}

/// All that one seller's events touch.
struct Book {
    seller: SellerId,
    settings: SyncSettings,
    stores: BTreeMap<StoreId, StoreEntry>,
    warehouses: HashSet<WarehouseCode>,
    rules: Vec<Rule>,
    skus: HashSet<String>,
    sku_count: i64,
    new_skus: Vec<String>,
    levels: HashMap<String, Levels>,
    changed_levels: BTreeSet<(String, WarehouseCode)>,
    listings: HashMap<String, Vec<Listed>>,
    resolved: HashMap<String, Vec<ListingRules>>,
    pushes: HashMap<ListingId, Push>,
    changed_pushes: BTreeSet<ListingId>,
    seen: HashMap<String, (Vec<u8>, Timestamp)>,
}

/// Records the events of many requests; one answer for each request. All in the caller's transaction.
///
/// # Errors
/// Those of the database; then nothing may be committed.
pub fn record(conn: &mut Conn, requests: &[RecordRequest], limits: Limits) -> Result<Vec<Recorded>> {
    let mut books = load(conn, requests)?;
    let mut event_rows = Vec::new();
    let mut recorded = Vec::with_capacity(requests.len());
    for request in requests {
        let Some(book) = books.get_mut(&request.seller) else {
            let gone = |new: &NewEvent| rejected(&new.event, "", "the seller is gone", false);
            recorded.push(Recorded { seller: request.seller, results: request.events.iter().map(gone).collect(), has_pushes: false });
            continue;
        };
        let before = book.changed_pushes.len();
        let results = request.events.iter().map(|new| book.apply(new, request.now, limits, &mut event_rows)).collect();
        recorded.push(Recorded { seller: request.seller, results, has_pushes: book.changed_pushes.len() > before });
    }
    write(conn, books.values_mut(), &event_rows)?;
    Ok(recorded)
}

fn rejected(event: &StockEvent, pointer: &str, detail: &str, conflict: bool) -> EventResult {
    EventResult::Rejected { event_id: event.event_id.clone(), errors: vec![FieldError::new(pointer, detail)], conflict }
}

impl Book {
    fn apply(&mut self, new: &NewEvent, now: Timestamp, limits: Limits, rows: &mut Vec<EventRow>) -> EventResult {
        let event = &new.event;
        if let Some((hash, at)) = self.seen.get(event.event_id.as_str()) {
            return if hash.as_slice() == new.hash {
                EventResult::Duplicate { at: *at }
            } else {
                rejected(event, "/event_id", "stands for another event already; nothing was changed", true)
            };
        }
        for (code, pointer) in [(Some(&event.warehouse), "/warehouse"), (event.to_warehouse.as_ref(), "/to_warehouse")] {
            if code.is_some_and(|code| !self.warehouses.contains(code)) {
                return rejected(event, pointer, "there is no such warehouse; create it first", false);
            }
        }
        let sku = event.sku.as_str();
        let is_new = !self.skus.contains(sku);
        if is_new && self.sku_count >= limits.skus_per_seller {
            return rejected(
                event,
                "/sku",
                &format!("would be one more than the {} SKUs that a seller may have", limits.skus_per_seller),
                false,
            );
        }
        let before = self.levels.get(sku).cloned().unwrap_or_default();
        let Ok(after) = event.apply(&before) else {
            return rejected(event, "/quantity", "would take available out of its bounds", false);
        };
        if is_new {
            self.skus.insert(sku.to_owned());
            self.new_skus.push(sku.to_owned());
            self.sku_count += 1;
        }
        if self.settings.is_incremental() && event.kind.triggers(self.settings.trigger_on_cancellation) {
            self.push_increases(sku, &before, &after, now);
        }
        for (warehouse, _) in event.deltas(&before) {
            self.changed_levels.insert((sku.to_owned(), warehouse));
        }
        self.levels.insert(sku.to_owned(), after);
        self.seen.insert(event.event_id.to_string(), (new.hash.to_vec(), now));
        rows.push(EventRow {
            seller_id: self.seller.bytes(),
            event_id: event.event_id.to_string(),
            body_hash: new.hash.to_vec(),
            sku: sku.to_owned(),
            kind: event.kind.as_str().to_owned(),
            quantity: event.quantity,
            warehouse: event.warehouse.to_string(),
            to_warehouse: event.to_warehouse.as_ref().map(ToString::to_string),
            occurred_at: event.occurred_at,
            note: event.note.clone(),
            accepted_at: now,
        });
        EventResult::Accepted { at: now }
    }

    /// The increase of one event at each listing is target(after) − target(before), if above 0.
    fn push_increases(&mut self, sku: &str, before: &Levels, after: &Levels, now: Timestamp) {
        let Some(listed) = self.listings.get(sku) else { return };
        let resolved = self.resolved.entry(sku.to_owned()).or_insert_with(|| {
            let of = |l: &Listed| self.stores.get(&l.store_id).map(|s| resolve(&self.settings, &s.rules, sku, &self.rules));
            listed.iter().filter_map(of).collect()
        });
        if resolved.len() != listed.len() {
            return;
        }
        let mode = self.settings.allocation_mode;
        let increases = targets(mode, after, resolved).into_iter().zip(targets(mode, before, resolved)).map(|(a, b)| a - b);
        for ((listing, rules), increase) in listed.iter().zip(resolved.iter()).zip(increases) {
            if increase <= 0 || !rules.is_pushed() {
                continue;
            }
            let held = self.stores.get(&listing.store_id).is_some_and(|s| s.held);
            match self.pushes.get_mut(&listing.id) {
                Some(waiting) => {
                    waiting.add(increase, now);
                }
                None => {
                    let push = new_push(listing, sku, increase, held, now);
                    self.pushes.insert(listing.id, push);
                }
            }
            self.changed_pushes.insert(listing.id);
        }
    }
}

fn new_push(listing: &Listed, sku: &str, increase: i64, held: bool, now: Timestamp) -> Push {
    let to = Addressee {
        store_id: listing.store_id,
        listing_id: listing.id,
        sku: sku.to_owned(),
        external_id: listing.external_id.clone(),
        extra: listing.extra.clone(),
    };
    Push::increase(to, increase, now, held)
}

/// The rows of one table that belong to any of the sellers and have one of its keys.
macro_rules! of_sellers {
    ($conn:expr, $wanted:expr, $table:ident, |$w:ident| $filter:expr, $row:ty) => {{
        let rows: Vec<$row> = on!($conn, c => {
            let mut query = $table::table.into_boxed();
            for (key, $w) in $wanted {
                query = query.or_filter($table::seller_id.eq(key.bytes()).and($filter));
            }
            query.load(c)?
        });
        rows
    }};
}

#[derive(Default)]
struct Wanted {
    skus: BTreeSet<String>,
    events: BTreeSet<String>,
}

fn load(conn: &mut Conn, requests: &[RecordRequest]) -> Result<BTreeMap<SellerId, Book>> {
    let mut wanted: BTreeMap<SellerId, Wanted> = BTreeMap::new();
    for request in requests {
        let wants = wanted.entry(request.seller).or_default();
        for new in &request.events {
            wants.skus.insert(new.event.sku.to_string());
            wants.events.insert(new.event.event_id.to_string());
        }
    }
    let mut books = load_sellers(conn, &wanted)?;
    wanted.retain(|seller, _| books.contains_key(seller));
    if wanted.is_empty() {
        return Ok(books);
    }
    let book_of = |books: &mut BTreeMap<SellerId, Book>, key: &[u8], then: &mut dyn FnMut(&mut Book) -> Result<()>| {
        let seller = id_of(key, SellerId::from_bytes, "seller_id")?;
        books.get_mut(&seller).map_or(Ok(()), then)
    };
    for row in of_sellers!(conn, &wanted, stores, |_w| stores::created_at.ge(Timestamp::MIN), StoreRow) {
        let key = row.seller_id.clone();
        let store = row.store()?;
        book_of(&mut books, &key, &mut |book| {
            book.stores.insert(store.id, StoreEntry { rules: store.rules(), held: store.is_held() });
            Ok(())
        })?;
    }
    for (key, code, ..) in
        of_sellers!(conn, &wanted, warehouses, |_w| warehouses::created_at.ge(Timestamp::MIN), (Vec<u8>, String, String, Timestamp))
    {
        let code = WarehouseCode::parse(&code).map_err(Error::Corrupt)?;
        book_of(&mut books, &key, &mut |book| {
            book.warehouses.insert(code.clone());
            Ok(())
        })?;
    }
    // Two queries: under one, both backends walk all rules of a seller.
    let mut of_rules = of_sellers!(conn, &wanted, rules, |_w| rules::sku.is_null(), RuleRow);
    of_rules.extend(of_sellers!(conn, &wanted, rules, |w| rules::sku.eq_any(w.skus.clone()).assume_not_null(), RuleRow));
    for row in of_rules {
        let rule = row.rule()?;
        book_of(&mut books, &row.seller_id, &mut |book| {
            book.rules.push(rule.clone());
            Ok(())
        })?;
    }
    for (key, sku, ..) in
        of_sellers!(conn, &wanted, skus, |w| skus::sku.eq_any(w.skus.clone()), (Vec<u8>, String, Option<String>, Timestamp))
    {
        book_of(&mut books, &key, &mut |book| {
            book.skus.insert(sku.clone());
            Ok(())
        })?;
    }
    for (key, sku, code, available) in
        of_sellers!(conn, &wanted, stock_levels, |w| stock_levels::sku.eq_any(w.skus.clone()), (Vec<u8>, String, String, i64))
    {
        let code = WarehouseCode::parse(&code).map_err(Error::Corrupt)?;
        book_of(&mut books, &key, &mut |book| {
            book.levels.entry(sku.clone()).or_default().insert(code.clone(), available);
            Ok(())
        })?;
    }
    let events = on!(conn, c => {
        let mut query = stock_events::table.select((stock_events::seller_id, stock_events::event_id, stock_events::body_hash, stock_events::accepted_at)).into_boxed();
        for (seller, w) in &wanted {
            query = query.or_filter(stock_events::seller_id.eq(seller.bytes()).and(stock_events::event_id.eq_any(w.events.clone())));
        }
        query.load::<(Vec<u8>, String, Vec<u8>, Timestamp)>(c)?
    });
    for (key, event_id, hash, at) in events {
        book_of(&mut books, &key, &mut |book| {
            book.seen.insert(event_id.clone(), (hash.clone(), at));
            Ok(())
        })?;
    }
    load_listings(conn, &wanted, &mut books)?;
    Ok(books)
}

/// Sellers and settings; holds the sellers' locks, in the order of their ids, so that two transactions never wait for
/// each other and a setting is either before all of an event or after it.
fn load_sellers(conn: &mut Conn, wanted: &BTreeMap<SellerId, Wanted>) -> Result<BTreeMap<SellerId, Book>> {
    let keys: Vec<Vec<u8>> = wanted.keys().map(SellerId::bytes).collect();
    let query = sellers::table.select((sellers::id, sellers::sku_count)).filter(sellers::id.eq_any(keys.clone())).order(sellers::id);
    let counts: Vec<(Vec<u8>, i64)> = match &mut conn.backend {
        Backend::Sqlite(c) => query.load(c)?,
        Backend::Postgres(c) => query.for_update().load(c)?,
    };
    let settings: Vec<SettingsRow> = on!(conn, c => sync_settings::table.filter(sync_settings::seller_id.eq_any(keys)).load(c))?;
    let counts: HashMap<Vec<u8>, i64> = counts.into_iter().collect();
    let mut books = BTreeMap::new();
    for row in settings {
        let seller = id_of(&row.seller_id, SellerId::from_bytes, "sync_settings.seller_id")?;
        let Some(sku_count) = counts.get(&row.seller_id).copied() else { continue };
        let book = Book {
            seller,
            settings: row.settings()?,
            stores: BTreeMap::new(),
            warehouses: HashSet::new(),
            rules: Vec::new(),
            skus: HashSet::new(),
            sku_count,
            new_skus: Vec::new(),
            levels: HashMap::new(),
            changed_levels: BTreeSet::new(),
            listings: HashMap::new(),
            resolved: HashMap::new(),
            pushes: HashMap::new(),
            changed_pushes: BTreeSet::new(),
            seen: HashMap::new(),
        };
        books.insert(seller, book);
    }
    Ok(books)
}

/// Listings of the incremental sellers' SKUs, by store, and the increases of theirs that wait.
fn load_listings(conn: &mut Conn, wanted: &BTreeMap<SellerId, Wanted>, books: &mut BTreeMap<SellerId, Book>) -> Result<()> {
    let incremental: Vec<(&SellerId, &Wanted)> =
        wanted.iter().filter(|(seller, _)| books.get(*seller).is_some_and(|book| book.settings.is_incremental())).collect();
    if incremental.is_empty() {
        return Ok(());
    }
    type Row = (Vec<u8>, Vec<u8>, Vec<u8>, String, String, Option<String>);
    let mut rows: Vec<Row> = on!(conn, c => {
        let mut query = listings::table
            .select((listings::seller_id, listings::store_id, listings::id, listings::sku, listings::external_id, listings::extra)).into_boxed();
        for (seller, w) in &incremental {
            query = query.or_filter(listings::seller_id.eq(seller.bytes()).and(listings::sku.eq_any(w.skus.clone())));
        }
        query.load(c)?
    });
    // By store. Asked to sort, SQLite walks all the sellers' listings in that order instead.
    rows.sort_unstable();
    let mut ids: BTreeMap<SellerId, Vec<Vec<u8>>> = BTreeMap::new();
    for (key, store, id, sku, external_id, extra) in rows {
        let seller = id_of(&key, SellerId::from_bytes, "listings.seller_id")?;
        let listed = Listed {
            id: id_of(&id, ListingId::from_bytes, "listings.id")?,
            store_id: id_of(&store, StoreId::from_bytes, "listings.store_id")?,
            external_id,
            extra,
        };
        ids.entry(seller).or_default().push(id);
        if let Some(book) = books.get_mut(&seller) {
            book.listings.entry(sku).or_default().push(listed);
        }
    }
    // Bounded statements: a group may touch tens of thousands of listings.
    let flat: Vec<(SellerId, Vec<u8>)> = ids.into_iter().flat_map(|(seller, ids)| ids.into_iter().map(move |id| (seller, id))).collect();
    for chunk in flat.chunks(10 * ROWS_PER_STATEMENT) {
        let mut by_seller: BTreeMap<SellerId, Vec<Vec<u8>>> = BTreeMap::new();
        for (seller, id) in chunk {
            by_seller.entry(*seller).or_default().push(id.clone());
        }
        let rows: Vec<PushRow> = on!(conn, c => {
            let mut query = pushes::table.into_boxed();
            for (seller, ids) in &by_seller {
                query = query.or_filter(pushes::seller_id.eq(seller.bytes()).and(pushes::listing_id.eq_any(ids.clone()))
                    .and(is_active()).and(is_waiting()).and(is_increase()));
            }
            query.load(c)?
        });
        for row in rows {
            let seller = id_of(&row.seller_id, SellerId::from_bytes, "pushes.seller_id")?;
            let push = row.push()?;
            if let Some(book) = books.get_mut(&seller).filter(|_| push.is_mergeable()) {
                book.pushes.insert(push.listing_id(), push);
            }
        }
    }
    Ok(())
}

fn write<'a>(conn: &mut Conn, books: impl Iterator<Item = &'a mut Book>, events: &[EventRow]) -> Result<()> {
    for chunk in events.chunks(ROWS_PER_STATEMENT) {
        on!(conn, c => diesel::insert_into(stock_events::table).values(chunk).execute(c))?;
    }
    let (mut level_rows, mut sku_rows, mut push_rows) = (Vec::new(), Vec::new(), Vec::new());
    for book in books {
        let key = book.seller.bytes();
        if !book.new_skus.is_empty() {
            on!(conn, c => diesel::update(sellers::table.find(&key)).set(sellers::sku_count.eq(book.sku_count)).execute(c))?;
        }
        let created_at = events.first().map(|e| e.accepted_at).unwrap_or_default();
        sku_rows.extend(book.new_skus.drain(..).map(|sku| SkuRow { seller_id: key.clone(), sku, name: None, created_at }));
        for (sku, warehouse) in &book.changed_levels {
            let available = book.levels.get(sku).and_then(|levels| levels.get(warehouse)).copied().unwrap_or(0);
            level_rows.push(LevelRow { seller_id: key.clone(), sku: sku.clone(), warehouse: warehouse.to_string(), available });
        }
        push_rows.extend(book.changed_pushes.iter().filter_map(|id| book.pushes.get(id)).map(|push| PushRow::new(&key, push)));
    }
    for chunk in sku_rows.chunks(ROWS_PER_STATEMENT) {
        on!(conn, c => diesel::insert_into(skus::table).values(chunk).on_conflict_do_nothing().execute(c))?;
    }
    for chunk in level_rows.chunks(ROWS_PER_STATEMENT) {
        on!(conn, c => diesel::insert_into(stock_levels::table).values(chunk)
            .on_conflict((stock_levels::seller_id, stock_levels::sku, stock_levels::warehouse))
            .do_update().set(stock_levels::available.eq(excluded(stock_levels::available))).execute(c))?;
    }
    put_pushes(conn, &push_rows)
}
