//! What the service knows about listings: accounts, settle times, marks, and the overwrites that heal them.
use crate::db::connection::{Backend, on};
use crate::db::schema::{listings, stores};
use crate::db::{Result, Tenant, id_of};
use crate::domain::circuit::PROBE_AFTER;
use crate::domain::claim::outcome::Updates;
use crate::domain::claim::waiting;
use crate::domain::push::{Account, Addressee};
use crate::domain::{ListingId, StoreId, Timestamp};
use diesel::prelude::*;
use std::collections::HashMap;

impl Tenant<'_> {
    pub(super) fn accounts(&mut self, of: impl Iterator<Item = ListingId>) -> Result<HashMap<ListingId, Account>> {
        let (scope, ids) = (self.scope(), of.map(|id| id.bytes()).collect::<Vec<_>>());
        let rows: Vec<(Vec<u8>, Option<i64>, Option<Timestamp>)> = on!(self.conn, c => scope.listings().filter(listings::id.eq_any(ids))
            .select((listings::id, listings::shown, listings::doubt_until)).load(c))?;
        let read = |(id, shown, doubt_until): (Vec<u8>, _, _)| {
            Ok((id_of(&id, ListingId::from_bytes, "listings.id")?, Account { shown, doubt_until }))
        };
        rows.into_iter().map(read).collect()
    }

    fn addressees(&mut self, of: &[ListingId]) -> Result<HashMap<ListingId, Addressee>> {
        type Row = (Vec<u8>, Vec<u8>, String, String, Option<String>);
        let (scope, ids) = (self.scope(), of.iter().map(ListingId::bytes).collect::<Vec<_>>());
        let rows: Vec<Row> = on!(self.conn, c => scope.listings().filter(listings::id.eq_any(ids))
            .select((listings::id, listings::store_id, listings::sku, listings::external_id, listings::extra)).load(c))?;
        let read = |(id, store, sku, external_id, extra): Row| {
            let listing_id = id_of(&id, ListingId::from_bytes, "listings.id")?;
            let store_id = id_of(&store, StoreId::from_bytes, "listings.store_id")?;
            Ok((listing_id, Addressee { store_id, listing_id, sku, external_id, extra }))
        };
        rows.into_iter().map(read).collect()
    }

    /// Saves what answers say about listings, and queues the overwrites that heal them.
    pub(super) fn update_listings(&mut self, store: StoreId, updates: Updates, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let mut heal: Vec<(ListingId, String)> = Vec::new();
        let shown: Vec<(Vec<u8>, i64)> = updates.iter().filter_map(|(id, update)| update.shown.map(|shown| (id.bytes(), shown))).collect();
        self.note_shown(&shown, now)?;
        for (id, update) in updates {
            let id_bytes = id.bytes();
            if update.doubt_until.is_some() {
                on!(self.conn, c => diesel::update(scope.listings().filter(listings::id.eq(&id_bytes)))
                    .set(listings::doubt_until.eq(update.doubt_until)).execute(c))?;
            }
            if update.settles_at.is_some() {
                on!(self.conn, c => diesel::update(scope.listings().filter(listings::id.eq(&id_bytes)))
                    .set(listings::settles_at.eq(update.settles_at)).execute(c))?;
            }
            if update.mark {
                on!(self.conn, c => diesel::update(scope.listings().filter(listings::id.eq(&id_bytes))).set(listings::marked.eq(true)).execute(c))?;
                on!(self.conn, c => diesel::update(scope.stores().filter(stores::id.eq(store.bytes()))).filter(stores::probe_at.is_null())
                    .set(stores::probe_at.eq(now + PROBE_AFTER)).execute(c))?;
            }
            heal.extend(update.heal.map(|reason| (id, reason)));
        }
        self.overwrite_listings(&heal, now)
    }

    /// Saves what listings show, in one statement on PostgreSQL, where each costs a round trip.
    fn note_shown(&mut self, shown: &[(Vec<u8>, i64)], now: Timestamp) -> Result<()> {
        use diesel::sql_types::{Array, BigInt, Binary};
        let (key, scope) = (self.key(), self.scope());
        match &mut self.conn.backend {
            Backend::Sqlite(c) => {
                for (id, shown) in shown {
                    diesel::update(scope.listings().filter(listings::id.eq(id)))
                        .set((listings::shown.eq(shown), listings::shown_at.eq(now)))
                        .execute(c)?;
                }
            }
            Backend::Postgres(c) => {
                let (ids, values): (Vec<&Vec<u8>>, Vec<i64>) = shown.iter().map(|(id, shown)| (id, *shown)).unzip();
                diesel::sql_query(
                    "UPDATE listings SET shown = v.shown, shown_at = $1 FROM unnest($2, $3) AS v (id, shown) \
                     WHERE listings.seller_id = $4 AND listings.id = v.id",
                )
                .bind::<BigInt, _>(now)
                .bind::<Array<Binary>, _>(ids)
                .bind::<Array<BigInt>, _>(values)
                .bind::<Binary, _>(&key)
                .execute(c)?;
            }
        }
        Ok(())
    }

    /// Queues an overwrite for each of these listings that has none waiting.
    fn overwrite_listings(&mut self, of: &[(ListingId, String)], now: Timestamp) -> Result<()> {
        if of.is_empty() {
            return Ok(());
        }
        let ids: Vec<ListingId> = of.iter().map(|(id, _)| *id).collect();
        let active = self.active_pushes(&ids)?;
        let addressees = self.addressees(&ids)?;
        let held = self.held_stores(addressees.values().map(|to| to.store_id))?;
        let queued = waiting::heal(of, &active, addressees, &held, now);
        self.put(&queued)
    }

    /// Overwrites marked listings, whose pushes were given up. Returns how many overwrites were queued.
    pub fn heal_marked(&mut self, store: StoreId, limit: i64, now: Timestamp) -> Result<usize> {
        let scope = self.scope();
        let ids: Vec<Vec<u8>> = on!(self.conn, c => scope.listings().select(listings::id).filter(listings::store_id.eq(store.bytes())).filter(listings::marked)
            .limit(limit).load(c))?;
        if ids.is_empty() {
            return Ok(0);
        }
        let why = "An earlier increase was given up while the store did not work; overwritten with the target.";
        let of = ids.iter().map(|id| Ok((id_of(id, ListingId::from_bytes, "listings.id")?, why.to_owned()))).collect::<Result<Vec<_>>>()?;
        self.overwrite_listings(&of, now)?;
        on!(self.conn, c => diesel::update(scope.listings().filter(listings::id.eq_any(&ids)))
            .set(listings::marked.eq(false)).execute(c))?;
        Ok(ids.len())
    }
}
