//! What is expected of listings whose unseen sales are protected; [`unseen`](crate::domain::unseen) says what that means.
use crate::db::connection::{Backend, on};
use crate::db::kept::kept;
use crate::db::schema::listings;
use crate::db::sets::among_ids;
use crate::db::{Result, Tenant, id_of, units_of};
use crate::domain::push::{Expected, ListingUpdate};
use crate::domain::siblings::{Seen, together};
use crate::domain::unseen::{Expectation, is_plausible};
use crate::domain::{ListingId, StoreId, Timestamp};
use diesel::prelude::*;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// By how much an answer changes what its listing shows, and so what is expected of it; `None` if nothing can be expected any more.
pub(super) fn change(expected: Option<Expected>) -> Option<i64> {
    match expected {
        None | Some(Expected::PerhapsChanged(_)) => Some(0),
        Some(Expected::Changed(units)) => Some(units).filter(|units| is_plausible(*units)),
        Some(Expected::Unknown) => None,
    }
}

impl Tenant<'_> {
    /// What is expected of these listings.
    pub(super) fn expectations(&mut self, of: &[ListingId]) -> Result<HashMap<ListingId, Expectation>> {
        type Row = (Vec<u8>, Option<i64>, Option<i64>, i64, Option<Timestamp>, Option<Timestamp>, i64, i64, i64, i64);
        let (scope, ids) = (self.scope(), of.iter().map(ListingId::bytes).collect::<Vec<_>>());
        let columns = (
            listings::id,
            listings::expected,
            listings::expected_otherwise,
            listings::unseen,
            listings::unseen_since,
            listings::shown_at,
            listings::units,
            listings::reports,
            listings::sold,
            listings::unattributed,
        );
        let rows: Vec<Row> = on!(self.conn, c => scope.listings().filter(among_ids(listings::id, ids)).select(columns).load(c))?;
        let read = |(id, units, otherwise, unseen, unseen_since, shown_at, each, reports, sold, unattributed): Row| {
            let id = id_of(&id, ListingId::from_bytes, "listings.id")?;
            let each = units_of(each)?;
            Ok((id, Expectation { units, otherwise, unseen, unseen_since, shown_at, each, reports, sold, unattributed }))
        };
        rows.into_iter().map(read).collect()
    }

    /// Of listings of a store that show this: what an overwrite would leave out of their targets now.
    pub fn unseen_sales(
        &mut self,
        store: StoreId,
        shown: &HashMap<ListingId, i64>,
        limit: Duration,
        now: Timestamp,
    ) -> Result<HashMap<ListingId, i64>> {
        let of: Vec<ListingId> = shown.keys().copied().collect();
        let siblings = if self.store(store)?.repeats_skus { self.siblings(store, &of)? } else { Vec::new() };
        let known: BTreeSet<ListingId> = of.iter().chain(siblings.iter().flatten()).copied().collect();
        let known: Vec<ListingId> = known.into_iter().collect();
        let (accounts, expected) = (self.accounts(known.iter().copied())?, self.expectations(&known)?);
        let seen = |id: &ListingId| {
            let account = accounts.get(id).copied().unwrap_or_default();
            shown
                .get(id)
                .map_or(Seen::Unread(account.shown), |shown| Seen::Now { shown: *shown, left_late: account.was_left_late(*shown, now) })
        };
        let unseen = |id: &ListingId| {
            let alone = [*id];
            let own = siblings.iter().find(|group| group.contains(id)).map_or(&alone[..], Vec::as_slice);
            let listings: Vec<_> = own.iter().filter_map(|id| Some((*expected.get(id)?, seen(id)))).collect();
            Some((*id, expected.get(id)?.each.needed_for(together(&listings, limit, now).unseen)))
        };
        Ok(of.iter().filter_map(unseen).collect())
    }

    /// Saves what is expected of listings that were read just now.
    pub(super) fn put_expectations(&mut self, of: &[(ListingId, Expectation)]) -> Result<()> {
        use diesel::sql_types::{Array, BigInt, Binary, Nullable};
        if of.is_empty() {
            return Ok(());
        }
        let key = self.key();
        match &mut self.conn.backend {
            Backend::Sqlite(c) => {
                for (id, expectation) in of {
                    let update = diesel::sql_query(
                        "UPDATE listings SET expected = ?, expected_otherwise = ?, unseen = ?, unseen_since = ?, unattributed = ? \
                         WHERE seller_id = ? AND id = ?",
                    );
                    let update = update
                        .bind::<Nullable<BigInt>, _>(expectation.units)
                        .bind::<Nullable<BigInt>, _>(expectation.otherwise)
                        .bind::<BigInt, _>(expectation.unseen)
                        .bind::<Nullable<BigInt>, _>(expectation.unseen_since)
                        .bind::<BigInt, _>(expectation.unattributed)
                        .bind::<Binary, _>(&key)
                        .bind::<Binary, _>(id.bytes());
                    kept(update).run(c)?;
                }
            }
            Backend::Postgres(c) => {
                let update = diesel::sql_query(
                    "UPDATE listings SET expected = v.units, expected_otherwise = v.otherwise, unseen = v.unseen, unseen_since = v.since, \
                     unattributed = v.unattributed \
                     FROM unnest($1, $2, $3, $4, $5, $6) AS v (id, units, otherwise, unseen, since, unattributed) \
                     WHERE listings.seller_id = $7 AND listings.id = v.id",
                );
                let of_each = |value: fn(&Expectation) -> Option<i64>| of.iter().map(|(_, found)| value(found)).collect::<Vec<_>>();
                let update = update
                    .bind::<Array<Binary>, _>(of.iter().map(|(id, _)| id.bytes()).collect::<Vec<_>>())
                    .bind::<Array<Nullable<BigInt>>, _>(of_each(|found| found.units))
                    .bind::<Array<Nullable<BigInt>>, _>(of_each(|found| found.otherwise))
                    .bind::<Array<BigInt>, _>(of.iter().map(|(_, found)| found.unseen).collect::<Vec<_>>())
                    .bind::<Array<Nullable<BigInt>>, _>(of.iter().map(|(_, found)| found.unseen_since).collect::<Vec<_>>())
                    .bind::<Array<BigInt>, _>(of.iter().map(|(_, found)| found.unattributed).collect::<Vec<_>>())
                    .bind::<Binary, _>(&key);
                kept(update).run(c)?;
            }
        }
        Ok(())
    }

    /// Saves that a push of unknown outcome has perhaps changed what a listing shows, if that is not known.
    pub(super) fn note_perhaps(&mut self, id: &[u8], ListingUpdate { expected, shown, .. }: &ListingUpdate) -> Result<()> {
        use diesel::sql_types::{BigInt, Binary};
        let key = self.key();
        let units = match expected {
            Some(Expected::PerhapsChanged(units)) if is_plausible(*units) => units,
            // Otherwise it was saved with what is shown.
            Some(Expected::Unknown) if shown.is_none() => {
                on!(self.conn, c => kept(diesel::sql_query(
                        "UPDATE listings SET expected = NULL, expected_otherwise = NULL WHERE seller_id = $1 AND id = $2 AND expected IS NOT NULL")
                    .bind::<Binary, _>(&key).bind::<Binary, _>(id)).run(c))?;
                return Ok(());
            }
            _ => return Ok(()),
        };
        on!(self.conn, c => kept(diesel::sql_query(
                "UPDATE listings SET expected_otherwise = COALESCE(expected_otherwise, expected) + $1 * units WHERE seller_id = $2 AND id = $3")
            .bind::<BigInt, _>(units).bind::<Binary, _>(&key).bind::<Binary, _>(id)).run(c))?;
        Ok(())
    }

    /// These listings show another SKU, or another number of units of it, from now on.
    pub(in crate::db) fn forget_expectations(&mut self, of: &[ListingId]) -> Result<()> {
        if !of.is_empty() {
            let (scope, ids) = (self.scope(), of.iter().map(ListingId::bytes).collect::<Vec<_>>());
            on!(self.conn, c => kept(diesel::update(scope.listings().filter(among_ids(listings::id, ids.clone())))
                .set((listings::expected.eq(None::<i64>), listings::expected_otherwise.eq(None::<i64>),
                    listings::unseen.eq(0), listings::unattributed.eq(0), listings::unseen_since.eq(None::<Timestamp>), listings::set_by.eq(None::<Vec<u8>>)))).run(c))?;
        }
        Ok(())
    }
}
