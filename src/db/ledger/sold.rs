//! Sales that name their store, in the transaction that records them: what is expected of its listings falls by them, and from the
//! first one on, the store's unseen sales are known. What the store puts back by itself raises it again.
use crate::db::Result;
use crate::db::connection::{Backend, Conn};
use crate::db::kept::kept;
use crate::domain::ledger::NewEvent;
use crate::domain::stock::EventKind;
use crate::domain::{SellerId, StoreId, Timestamp};
use diesel::sql_types::{Array, BigInt, Binary, Text};
use std::collections::{BTreeMap, BTreeSet};

/// What stores have sold and put back.
#[derive(Default)]
pub(super) struct Sold {
    /// Units by seller, store and SKU.
    units: BTreeMap<(SellerId, StoreId, String), i64>,
    /// Stores that a sale has named.
    named: BTreeSet<(SellerId, StoreId)>,
}

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

/// The same for a store that is named for the first time.
fn name_text(from: &str, [seller, store, now]: [&str; 3]) -> String {
    format!(
        "UPDATE stores SET sales_named_at = {now}{from} \
         WHERE stores.seller_id = {seller} AND stores.id = {store} AND stores.sales_named_at IS NULL"
    )
}

impl Sold {
    /// Notes an event that was accepted; `is_restocked` says whether its store has put these units back by itself.
    pub(super) fn note(&mut self, seller: SellerId, new: &NewEvent, is_restocked: bool) {
        let Some(store) = new.store else { return };
        let sold = match new.event.kind {
            EventKind::Sale => new.event.quantity,
            _ if is_restocked => -new.event.quantity,
            _ => return,
        };
        if sold > 0 {
            self.named.insert((seller, store));
        }
        let units = self.units.entry((seller, store, new.event.sku.to_string())).or_default();
        *units = units.saturating_add(sold);
    }

    /// Saves what was noted.
    pub(super) fn save(&self, conn: &mut Conn, now: Timestamp) -> Result<()> {
        if self.units.is_empty() {
            return Ok(());
        }
        let (units, named) = (&self.units, &self.named);
        match &mut conn.backend {
            Backend::Sqlite(c) => {
                let (lower, name) = (lower_text("", ["?1", "?2", "?3", "?4"]), name_text("", ["?1", "?2", "?3"]));
                for ((seller, store, sku), units) in units {
                    let one = diesel::sql_query(lower.as_str()).bind::<Binary, _>(seller.bytes()).bind::<Binary, _>(store.bytes());
                    kept(one.bind::<Text, _>(sku).bind::<BigInt, _>(units)).run(c)?;
                }
                for (seller, store) in named {
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
                    .bind::<Array<Binary>, _>(units.keys().map(|(seller, ..)| seller.bytes()).collect::<Vec<_>>())
                    .bind::<Array<Binary>, _>(units.keys().map(|(_, store, _)| store.bytes()).collect::<Vec<_>>())
                    .bind::<Array<Text>, _>(units.keys().map(|(.., sku)| sku).collect::<Vec<_>>())
                    .bind::<Array<BigInt>, _>(units.values().copied().collect::<Vec<_>>());
                kept(lower).run(c)?;
                let name = name_text(" FROM unnest($1, $2) AS v (seller, store)", ["v.seller", "v.store", "$3"]);
                let name = diesel::sql_query(name)
                    .bind::<Array<Binary>, _>(named.iter().map(|(seller, _)| seller.bytes()).collect::<Vec<_>>())
                    .bind::<Array<Binary>, _>(named.iter().map(|(_, store)| store.bytes()).collect::<Vec<_>>())
                    .bind::<BigInt, _>(now);
                kept(name).run(c)?;
            }
        }
        Ok(())
    }
}
