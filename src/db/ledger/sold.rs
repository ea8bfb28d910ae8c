//! Sales that name their store, in the transaction that records them: what is expected of its listings falls by them, and from the
//! first one on, the store's unseen sales are known. What the store puts back by itself raises it again. Where several listings of the
//! store show the SKU, nobody knows which of them has sold it, so the units are noted as unattributed
//! ([`siblings`](crate::domain::siblings)).
use crate::db::Result;
use crate::db::connection::{Backend, Conn};
use crate::db::kept::kept;
use crate::domain::ledger::{NewEvent, Setup};
use crate::domain::stock::EventKind;
use crate::domain::{SellerId, StoreId, Timestamp};
use diesel::sql_types::{Array, BigInt, Binary, Text};
use std::collections::{BTreeMap, BTreeSet};

/// Units by seller, store and SKU.
type Units = BTreeMap<(SellerId, StoreId, String), i64>;

/// What stores have sold, and put back by themselves (below 0).
#[derive(Default)]
pub(super) struct Sold {
    of_one: Units,
    /// By stores in which several listings may show a SKU.
    perhaps_of_several: Units,
    /// Stores that a sale has named.
    named: BTreeSet<(SellerId, StoreId)>,
}

/// Whether another listing of the store shows the SKU of one of `listings`.
const HAS_SIBLINGS: &str = "EXISTS (SELECT 1 FROM listings AS sibling WHERE sibling.seller_id = listings.seller_id \
     AND sibling.store_id = listings.store_id AND sibling.sku = listings.sku AND sibling.id <> listings.id)";

/// The statement that lowers what is expected of the listings of seller `$1` in store `$2` of SKU `$3` by `$4`, where these are
/// columns of `from`, or values. Units that were missing are those that are reported first.
fn lower_text(from: &str, [seller, store, sku, units]: [&str; 4]) -> String {
    format!(
        "UPDATE listings SET expected = listings.expected - {units}, expected_otherwise = listings.expected_otherwise - {units}, \
         unseen = CASE WHEN {units} < 0 THEN listings.unseen WHEN listings.unseen > {units} THEN listings.unseen - {units} ELSE 0 END, reports = listings.reports + 1, \
         sold = listings.sold + {units}{from} \
         WHERE listings.seller_id = {seller} AND listings.store_id = {store} AND listings.sku = {sku}"
    )
}

/// The two statements for stores in which several listings may show the SKU: for a listing that is alone, and for others.
fn of_several_texts(from: &str, row: [&str; 4]) -> [String; 2] {
    let [seller, store, sku, units] = row;
    let note = format!(
        "UPDATE listings SET unattributed = listings.unattributed + {units}, reports = listings.reports + 1, \
         sold = listings.sold + {units}{from} \
         WHERE listings.seller_id = {seller} AND listings.store_id = {store} AND listings.sku = {sku} AND {HAS_SIBLINGS}"
    );
    [format!("{} AND NOT {HAS_SIBLINGS}", lower_text(from, row)), note]
}

/// The same for a store that is named for the first time.
fn name_text(from: &str, [seller, store, now]: [&str; 3]) -> String {
    format!(
        "UPDATE stores SET sales_named_at = {now}{from} \
         WHERE stores.seller_id = {seller} AND stores.id = {store} AND stores.sales_named_at IS NULL"
    )
}

impl Sold {
    /// Notes an event that was accepted.
    pub(super) fn note(&mut self, seller: SellerId, new: &NewEvent, setup: &Setup) {
        let Some(store) = new.store else { return };
        let sold = match new.event.kind {
            EventKind::Sale => new.event.quantity,
            kind if setup.rules.restocks(store, kind) => -new.event.quantity,
            _ => return,
        };
        if sold > 0 {
            self.named.insert((seller, store));
        }
        let of = if setup.rules.repeats_skus(store) { &mut self.perhaps_of_several } else { &mut self.of_one };
        let units = of.entry((seller, store, new.event.sku.to_string())).or_default();
        *units = units.saturating_add(sold);
    }

    /// Saves what was noted.
    pub(super) fn save(&self, conn: &mut Conn, now: Timestamp) -> Result<()> {
        let (from, row) = match &conn.backend {
            Backend::Sqlite(_) => ("", ["?1", "?2", "?3", "?4"]),
            Backend::Postgres(_) => {
                (" FROM unnest($1, $2, $3, $4) AS v (seller, store, sku, units)", ["v.seller", "v.store", "v.sku", "v.units"])
            }
        };
        if !self.of_one.is_empty() {
            update(conn, &lower_text(from, row), &self.of_one)?;
        }
        if !self.perhaps_of_several.is_empty() {
            for text in of_several_texts(from, row) {
                update(conn, &text, &self.perhaps_of_several)?;
            }
        }
        if self.named.is_empty() {
            return Ok(());
        }
        match &mut conn.backend {
            Backend::Sqlite(c) => {
                let name = name_text("", ["?1", "?2", "?3"]);
                for (seller, store) in &self.named {
                    let one = diesel::sql_query(name.as_str()).bind::<Binary, _>(seller.bytes()).bind::<Binary, _>(store.bytes());
                    kept(one.bind::<BigInt, _>(now)).run(c)?;
                }
            }
            Backend::Postgres(c) => {
                let name = name_text(" FROM unnest($1, $2) AS v (seller, store)", ["v.seller", "v.store", "$3"]);
                let name = diesel::sql_query(name)
                    .bind::<Array<Binary>, _>(self.named.iter().map(|(seller, _)| seller.bytes()).collect::<Vec<_>>())
                    .bind::<Array<Binary>, _>(self.named.iter().map(|(_, store)| store.bytes()).collect::<Vec<_>>())
                    .bind::<BigInt, _>(now);
                kept(name).run(c)?;
            }
        }
        Ok(())
    }
}

/// Runs the statement for all of these; one by one on SQLite.
fn update(conn: &mut Conn, text: &str, all: &Units) -> Result<()> {
    match &mut conn.backend {
        Backend::Sqlite(c) => {
            for ((seller, store, sku), units) in all {
                let one = diesel::sql_query(text).bind::<Binary, _>(seller.bytes()).bind::<Binary, _>(store.bytes());
                kept(one.bind::<Text, _>(sku).bind::<BigInt, _>(units)).run(c)?;
            }
        }
        Backend::Postgres(c) => {
            let update = diesel::sql_query(text)
                .bind::<Array<Binary>, _>(all.keys().map(|(seller, ..)| seller.bytes()).collect::<Vec<_>>())
                .bind::<Array<Binary>, _>(all.keys().map(|(_, store, _)| store.bytes()).collect::<Vec<_>>())
                .bind::<Array<Text>, _>(all.keys().map(|(.., sku)| sku).collect::<Vec<_>>())
                .bind::<Array<BigInt>, _>(all.values().copied().collect::<Vec<_>>());
            kept(update).run(c)?;
        }
    }
    Ok(())
}
