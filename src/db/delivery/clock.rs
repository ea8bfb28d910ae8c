//! Pushes and listings with times from before the clock was set back: their times start anew.
use crate::db::connection::on;
use crate::db::kept::kept;
use crate::db::pushes::{PushRow, is_in_flight, is_increase, is_overwrite, is_uncertain, read_pushes};
use crate::db::schema::{listings, pushes};
use crate::db::{Result, Tenant, id_of};
use crate::domain::push::Push;
use crate::domain::retry::RetryPolicy;
use crate::domain::{ListingId, StoreId, Timestamp};
use chrono::TimeDelta;
use diesel::prelude::*;
use std::collections::HashMap;

/// The clocks of nodes differ by less.
const CLOCKS_DIFFER_BY: TimeDelta = TimeDelta::minutes(15);

impl Tenant<'_> {
    /// Whether pushes of this store wait that were written before the clock was set back.
    pub fn has_pushes_ahead(&mut self, store: StoreId, now: Timestamp) -> Result<bool> {
        let scope = self.scope();
        for is_of_kind in [is_increase(), is_overwrite()] {
            let found: Option<Vec<u8>> = on!(self.conn, c => scope.pushes().select(pushes::id).filter(pushes::store_id.eq(store.bytes()))
                .filter(is_of_kind).filter(pushes::due_at.gt(now)).filter(pushes::updated_at.gt(now)).first(c).optional())?;
            if found.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// [`Push::start_times_anew`](crate::domain::push::Push::start_times_anew) for every push of this store.
    pub fn start_times_anew(&mut self, store: StoreId, policy: &RetryPolicy, now: Timestamp) -> Result<()> {
        if !self.has_pushes_ahead(store, now)? {
            return Ok(());
        }
        tracing::warn!(store.id = %store, "the clock was set back; pushes that were waiting for a later time are due now");
        self.claimable_due_now(store, now)?;
        let mut uncertain = self.uncertain(store)?;
        uncertain.retain(|push| push.is_ahead_of(now));
        uncertain.iter_mut().for_each(|push| push.start_times_anew(now, policy));
        self.put(&uncertain)
    }

    /// Another node has called this store before, whose clock may differ from this one's: whatever may still arrive there settles anew.
    pub fn settle_anew(&mut self, store: StoreId, policy: &RetryPolicy, now: Timestamp) -> Result<()> {
        let mut uncertain = self.uncertain(store)?;
        uncertain.iter_mut().for_each(|push| push.settle_anew(now, policy));
        self.put(&uncertain)?;
        let (scope, settled) = (self.scope(), now - CLOCKS_DIFFER_BY);
        on!(self.conn, c => kept(diesel::update(scope.listings().filter(listings::store_id.eq(store.bytes()))
            .filter(listings::settles_at.gt(settled))).set(listings::settles_at.eq(now + policy.settle_for))).run(c))?;
        Ok(())
    }

    fn uncertain(&mut self, store: StoreId) -> Result<Vec<Push>> {
        let scope = self.scope();
        let rows: Vec<PushRow> = on!(self.conn, c => scope.pushes().filter(pushes::store_id.eq(store.bytes()))
            .filter(is_in_flight()).filter(is_uncertain()).load(c))?;
        read_pushes(rows)
    }

    /// Until when earlier requests might still arrive at listings of this store: not later than a settle time from now,
    /// also for what was noted before the clock was set back.
    pub(super) fn settling(&mut self, store: StoreId, policy: &RetryPolicy, now: Timestamp) -> Result<HashMap<ListingId, Timestamp>> {
        let (scope, latest) = (self.scope(), now + policy.settle_for);
        let rows: Vec<(Vec<u8>, Option<Timestamp>)> = on!(self.conn, c => scope.listings().select((listings::id, listings::settles_at))
            .filter(listings::store_id.eq(store.bytes())).filter(listings::settles_at.gt(now)).load(c))?;
        if rows.iter().any(|(_, at)| at.is_some_and(|at| at > latest)) {
            on!(self.conn, c => kept(diesel::update(scope.listings().filter(listings::store_id.eq(store.bytes()))
                .filter(listings::settles_at.gt(latest))).set(listings::settles_at.eq(latest))).run(c))?;
        }
        let read =
            |(id, at): (Vec<u8>, Option<Timestamp>)| at.map(|at| Ok((id_of(&id, ListingId::from_bytes, "listings.id")?, at.min(latest))));
        rows.into_iter().filter_map(read).collect()
    }
}
