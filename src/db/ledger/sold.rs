//! Sales that name their store, in the transaction that records them: what is expected of its listings falls by them, and from the
//! first one on, the store's unseen sales are known.
use crate::db::Result;
use crate::db::connection::{Backend, Conn};
use crate::db::kept::kept;
use crate::domain::ledger::NewEvent;
use crate::domain::stock::EventKind;
use crate::domain::{SellerId, StoreId, Timestamp};
use diesel::sql_types::{Array, BigInt, Binary, Text};
use std::collections::{BTreeMap, BTreeSet};

/// Units by seller, store and SKU.
#[derive(Default)]
pub(super) struct Sold(BTreeMap<(SellerId, StoreId, String), i64>);

/// The statement that lowers what is expected of the listings of seller `$1` in store `$2` of SKU `$3` by `$4`, where these are
/// columns of `from`, or values. Units that were missing are those that are reported first.
fn lower_text(from: &str, [seller, store, sku, units]: [&str; 4]) -> String {
    format!(
        "UPDATE listings SET expected = listings.expected - {units}, expected_otherwise = listings.expected_otherwise - {units}, \
         unseen = CASE WHEN listings.unseen > {units} THEN listings.unseen - {units} ELSE 0 END, reports = listings.reports + 1, \
         sold = listings.sold + {units}{from} \
         WHERE listings.seller_id = {seller} AND listings.store_id = {store} AND listings.sku = {sku}"
    )
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
    pub(super) fn note(&mut self, seller: SellerId, new: &NewEvent) {
        if let (Some(store), EventKind::Sale) = (new.sold_by, new.event.kind) {
            let units = self.0.entry((seller, store, new.event.sku.to_string())).or_default();
            *units = units.saturating_add(new.event.quantity);
        }
    }

    /// Saves what was noted.
    pub(super) fn save(&self, conn: &mut Conn, now: Timestamp) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let stores: BTreeSet<(SellerId, StoreId)> = self.0.keys().map(|(seller, store, _)| (*seller, *store)).collect();
        match &mut conn.backend {
            Backend::Sqlite(c) => {
                let (lower, name) = (lower_text("", ["?1", "?2", "?3", "?4"]), name_text("", ["?1", "?2", "?3"]));
                for ((seller, store, sku), units) in &self.0 {
                    let one = diesel::sql_query(lower.as_str()).bind::<Binary, _>(seller.bytes()).bind::<Binary, _>(store.bytes());
                    kept(one.bind::<Text, _>(sku).bind::<BigInt, _>(units)).run(c)?;
                }
                for (seller, store) in stores {
                    let one = diesel::sql_query(name.as_str()).bind::<Binary, _>(seller.bytes()).bind::<Binary, _>(store.bytes());
                    kept(one.bind::<BigInt, _>(now)).run(c)?;
                }
            }
            Backend::Postgres(c) => {
                let lower = lower_text(
                    " FROM unnest($1, $2, $3, $4) AS v (seller, store, sku, units)",
                    ["v.seller", "v.store", "v.sku", "v.units"],
                );
                let lower = diesel::sql_query(lower)
                    .bind::<Array<Binary>, _>(self.0.keys().map(|(seller, ..)| seller.bytes()).collect::<Vec<_>>())
                    .bind::<Array<Binary>, _>(self.0.keys().map(|(_, store, _)| store.bytes()).collect::<Vec<_>>())
                    .bind::<Array<Text>, _>(self.0.keys().map(|(.., sku)| sku).collect::<Vec<_>>())
                    .bind::<Array<BigInt>, _>(self.0.values().copied().collect::<Vec<_>>());
                kept(lower).run(c)?;
                let name = name_text(" FROM unnest($1, $2) AS v (seller, store)", ["v.seller", "v.store", "$3"]);
                let name = diesel::sql_query(name)
                    .bind::<Array<Binary>, _>(stores.iter().map(|(seller, _)| seller.bytes()).collect::<Vec<_>>())
                    .bind::<Array<Binary>, _>(stores.iter().map(|(_, store)| store.bytes()).collect::<Vec<_>>())
                    .bind::<BigInt, _>(now);
                kept(name).run(c)?;
            }
        }
        Ok(())
    }
}
