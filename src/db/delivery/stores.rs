//! What outcomes say about a store as a whole.
use super::together::SUCCESS_EVERY;
use crate::db::connection::on;
use crate::db::kept::kept;
use crate::db::schema::{listings, stores};
use crate::db::stores::Store;
use crate::db::{Changed, Result, Tenant};
use crate::domain::access::{Access, CREDENTIALS_UNREADABLE};
use crate::domain::circuit::{PROBE_AFTER, next_probe};
use crate::domain::claim::ClaimTerms;
use crate::domain::delivery::Outcome;
use crate::domain::webhook::{Message, REMINDED_AFTER};
use crate::domain::{StoreId, Timestamp};
use diesel::prelude::*;

/// Marked listings that are healed in one step.
const HEAL_PAGE: i64 = 500;

impl Tenant<'_> {
    /// A store that refuses its credentials or rejects everything is held, and tried again from time to time.
    pub fn note_outcome(&mut self, store: StoreId, outcome: &Outcome, now: Timestamp) -> Result<()> {
        self.note_access(store, Access::after(outcome, false), now)
    }

    /// [`Self::note_outcome`] after a write, which may also show that a store that refused one can be written to again, or that
    /// another one must be tried.
    pub(super) fn note_access(&mut self, store: StoreId, access: Access, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let one = || scope.stores().filter(stores::id.eq(store.bytes()));
        match access {
            Access::Unknown => Ok(()),
            Access::Refused { problem, write } => {
                self.notify_refused(store, &problem, now)?;
                on!(self.conn, c => kept(diesel::update(one())
                    .set((stores::needs_reauthorisation.eq(true), stores::problem.eq(&problem), stores::probe_at.eq(now + PROBE_AFTER)))).run(c))?;
                if write {
                    on!(self.conn, c => kept(diesel::update(one()).set(stores::write_refused.eq(true))).run(c))?;
                }
                self.hold_store(store, now).map(drop)
            }
            Access::TriedInVain => self.probe_again(store, now),
            Access::Written if self.store(store)?.write_refused => self.release_store(store, now).map(drop),
            Access::Written => Ok(()),
        }
    }

    /// The store works and has accepted a write: marked listings get their overwrite, and what was held because an earlier write
    /// was refused is released.
    pub(super) fn note_success(&mut self, store: StoreId, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let one = || scope.stores().filter(stores::id.eq(store.bytes()));
        let known: Option<(Option<Timestamp>, bool)> =
            on!(self.conn, c => one().select((stores::last_success_at, stores::write_refused)).get_result(c).optional())?;
        let (last, write_refused) = known.unwrap_or_default();
        if last.is_none_or(|at| at < now - SUCCESS_EVERY || at > now) {
            on!(self.conn, c => kept(diesel::update(one()).set(stores::last_success_at.eq(now))).run(c))?;
        }
        if write_refused {
            self.release_store(store, now)?;
        }
        self.heal_marked(store, HEAL_PAGE, now).map(drop)
    }

    /// Nothing can be sent to a store whose credentials cannot be opened, and trying again does not help.
    pub fn note_unreadable_credentials(&mut self, store: StoreId, now: Timestamp) -> Result<()> {
        self.note(Changed::Configuration);
        self.notify_refused(store, CREDENTIALS_UNREADABLE, now)?;
        let scope = self.scope();
        on!(self.conn, c => kept(diesel::update(scope.stores().filter(stores::id.eq(store.bytes()))).set((stores::needs_reauthorisation.eq(true),
            stores::problem.eq(CREDENTIALS_UNREADABLE), stores::probe_at.eq(None::<Timestamp>)))).run(c))?;
        self.hold_store(store, now).map(drop)
    }

    /// Notifies webhooks that a store needs reauthorization, if that is news: it is tried again from time to time, and refuses
    /// each time.
    fn notify_refused(&mut self, store: StoreId, problem: &str, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let found: Option<(String, Option<Timestamp>)> = on!(self.conn, c => scope.stores().filter(stores::id.eq(store.bytes()))
            .select((stores::name, stores::last_success_at)).get_result(c).optional())?;
        let Some((name, last_success_at)) = found else { return Ok(()) };
        let message = Message::needs_reauthorization(store, &name, problem);
        let lately = (now - REMINDED_AFTER, now);
        let last = self.last_message(&message, lately)?.max(self.last_news(&message, lately)?);
        let is_news = last.is_none_or(|last| last_success_at.is_some_and(|worked_at| worked_at > last));
        if is_news { self.notify(&message, now) } else { Ok(()) }
    }

    /// Has a store that refuses its credentials tried again at once, unless it is paused.
    pub fn probe_soon(&mut self, store: StoreId, now: Timestamp) -> Result<()> {
        self.note(Changed::Configuration);
        let scope = self.scope();
        on!(self.conn, c => kept(diesel::update(scope.stores().filter(stores::id.eq(store.bytes()))
            .filter(stores::needs_reauthorisation).filter(stores::paused.eq(false))).set(stores::probe_at.eq(now))).run(c))?;
        Ok(())
    }

    /// The store is tried again a while later.
    pub(super) fn put_off_probe(&mut self, store: StoreId, now: Timestamp) -> Result<()> {
        self.probe_at(store, now + PROBE_AFTER)
    }

    /// The store is tried again at this time.
    pub(super) fn probe_at(&mut self, store: StoreId, at: Timestamp) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => kept(diesel::update(scope.stores().filter(stores::id.eq(store.bytes()))).set(stores::probe_at.eq(at))).run(c))?;
        Ok(())
    }

    /// The write that was to find out whether the store accepts one has not shown it: if it has refused one, it is tried again
    /// at once, with another.
    pub(super) fn probe_again(&mut self, store: StoreId, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => kept(diesel::update(scope.stores().filter(stores::id.eq(store.bytes()))).filter(stores::write_refused)
            .set(stores::probe_at.eq(now))).run(c))?;
        Ok(())
    }

    /// The store is tried again as soon as a push may be sent to it, but a moment from now at the earliest. Returns when.
    pub(super) fn probe_once_due(&mut self, store: StoreId, terms: &ClaimTerms, now: Timestamp) -> Result<Timestamp> {
        let standing = self.standing(store, Timestamp::MIN, now)?;
        let at = next_probe(terms.kinds().filter_map(|kind| standing.first_of(kind)).min(), now);
        self.probe_at(store, at)?;
        Ok(at)
    }

    /// Releases one held push of a store that has refused a write, to find out whether it accepts one now. The store stays
    /// held until it does.
    pub(super) fn probe_by_writing(&mut self, store: StoreId, now: Timestamp) -> Result<()> {
        self.put_off_probe(store, now)?;
        if self.release_one(store, now)? == 0 {
            self.heal_marked(store, 1, now)?;
        }
        Ok(())
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
