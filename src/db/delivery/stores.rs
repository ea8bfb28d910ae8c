//! What outcomes say about a store as a whole.
use crate::db::connection::on;
use crate::db::kept::kept;
use crate::db::schema::{listings, stores};
use crate::db::stores::Store;
use crate::db::{Result, Tenant};
use crate::domain::circuit::PROBE_AFTER;
use crate::domain::delivery::Outcome;
use crate::domain::push::RECONNECT;
use crate::domain::{StoreId, Timestamp};
use diesel::prelude::*;
use std::time::Duration;

/// Marked listings that are healed in one step.
const HEAL_PAGE: i64 = 500;
/// The shortest time between two writes of `last_success_at`: people compare it with what has just been confirmed.
const SUCCESS_EVERY: Duration = Duration::from_secs(1);

impl Tenant<'_> {
    /// A store that refuses its credentials or rejects everything is held, and tried again from time to time.
    pub fn note_outcome(&mut self, store: StoreId, outcome: &Outcome, now: Timestamp) -> Result<()> {
        let problem = match outcome {
            Outcome::Unauthorized { reason } => format!("{reason} {RECONNECT}"),
            Outcome::Closed { reason, next_step } | Outcome::Obscured { reason, next_step } => format!("{reason} {next_step}"),
            _ => return Ok(()),
        };
        let scope = self.scope();
        on!(self.conn, c => kept(diesel::update(scope.stores().filter(stores::id.eq(store.bytes())))
            .set((stores::needs_reauthorisation.eq(true), stores::problem.eq(problem), stores::probe_at.eq(now + PROBE_AFTER)))).run(c))?;
        self.hold_store(store, now).map(drop)
    }

    /// The store works: marked listings get their overwrite.
    pub(super) fn note_success(&mut self, store: StoreId, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => kept(diesel::update(scope.stores().filter(stores::id.eq(store.bytes())))
            .filter(stores::last_success_at.is_null()
                .or(stores::last_success_at.lt(now - SUCCESS_EVERY).or(stores::last_success_at.gt(now)).assume_not_null()))
            .set(stores::last_success_at.eq(now))).run(c))?;
        self.heal_marked(store, HEAL_PAGE, now).map(drop)
    }

    /// Tries a store again: its held pushes are released, and one marked listing is overwritten.
    pub(super) fn probe_store(&mut self, row: &Store, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let store = row.id;
        if row.needs_reauthorisation {
            self.release_store(store, now)?;
        } else {
            on!(self.conn, c => kept(diesel::update(scope.stores().filter(stores::id.eq(store.bytes()))).set(stores::probe_at.eq(None::<Timestamp>))).run(c))?;
        }
        self.heal_marked(store, 1, now)?;
        let more: i64 = on!(self.conn, c => scope.listings().filter(listings::store_id.eq(store.bytes())).filter(listings::marked).count().get_result(c))?;
        if more > 0 {
            on!(self.conn, c => kept(diesel::update(scope.stores().filter(stores::id.eq(store.bytes()))).set(stores::probe_at.eq(now + PROBE_AFTER))).run(c))?;
        }
        Ok(())
    }
}
