//! What is loaded and saved as answers come in.
use super::claim::read_in_order;
use super::listings::{AccountRow, account_columns};
use crate::db::connection::on;
use crate::db::pushes::{PushRow, is_in_flight, is_sending};
use crate::db::schema::{listings, pushes};
use crate::db::scope::listing_of_push;
use crate::db::{Result, Tenant};
use crate::domain::access::Access;
use crate::domain::claim::outcome::{self, Answer, Updates};
use crate::domain::claim::{ClaimTerms, Next};
use crate::domain::delivery::Outcome;
use crate::domain::push::{Account, Push};
use crate::domain::{CallId, ListingId, PushId, StoreId, Timestamp};
use diesel::prelude::*;
use std::collections::HashMap;

/// The result of a finished call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Pushes that were confirmed.
    pub confirmed: usize,
    /// What is left for the store.
    pub next: Next,
}

impl Tenant<'_> {
    /// Resolves uncertain pushes by what their listings show: `outcome` is the answer to a read of `page`'s listings,
    /// in order.
    pub fn decide_by_read(
        &mut self,
        store: StoreId,
        page: &[PushId],
        outcome: &Outcome,
        raw: Option<&str>,
        terms: &ClaimTerms,
        now: Timestamp,
    ) -> Result<()> {
        let uncertain = self.still(store, page, |state| state.is_uncertain())?;
        let before: Vec<Push> = uncertain.values().cloned().collect();
        let accounts = self.accounts(uncertain.values().map(Push::listing_id))?;
        let (changed, mut updates) = outcome::read_back(page, uncertain, &accounts, Answer { outcome, raw, now }, terms);
        self.put(&changed)?;
        updates.extend(self.moved_targets(&before, &changed)?);
        self.count_run_progress(&before, &changed, now)?;
        self.notify_rejected(store, &before, &changed, now)?;
        self.note_contained(&outcome::overwritten(&changed))?;
        self.note_outcome(store, outcome, now)?;
        self.update_listings(store, updates, now)?;
        self.line_up(store, &changed, now)
    }

    /// Applies the outcome of a call. When the database fails, it may simply be called again.
    pub fn finish_call(
        &mut self,
        store: StoreId,
        id: CallId,
        outcome: &Outcome,
        raw: Option<&str>,
        terms: &ClaimTerms,
        now: Timestamp,
    ) -> Result<Finished> {
        let answer = Answer { outcome, raw, now };
        let (mut page, accounts) = self.sent_by(store, id)?;
        let before = page.clone();
        let mut updates = outcome::finish(&mut page, &accounts, answer, terms);
        self.put_finished(&before, &page, now)?;
        updates.extend(self.moved_targets(&before, &page)?);
        let finished = Finished { confirmed: outcome::confirmed(&page), next: Next::Unknown };
        self.count_run_progress(&before, &page, now)?;
        self.notify_rejected(store, &before, &page, now)?;
        self.update_listings(store, updates, now)?;
        self.note_contained(&outcome::overwritten(&page))?;
        if finished.confirmed > 0 {
            self.note_success(store, now)?;
        } else {
            self.note_access(store, Access::after(outcome, true), now)?;
        }
        self.line_up(store, &page, now)?;
        Ok(finished)
    }

    /// [`Self::finish_call`] for a call of overwrites, which may be in packs.
    pub fn finish_overwrites(
        &mut self,
        store: StoreId,
        id: CallId,
        outcome: &Outcome,
        raw: Option<&str>,
        terms: &ClaimTerms,
        now: Timestamp,
    ) -> Result<Finished> {
        match self.finish_packs(store, id, Answer { outcome, raw, now }, terms)? {
            Some(confirmed) => Ok(Finished { confirmed, next: Next::Unknown }),
            None => self.finish_call(store, id, outcome, raw, terms, now),
        }
    }

    /// The pushes that this call is sending, in the order of its items, and the accounts of their listings.
    fn sent_by(&mut self, store: StoreId, call: CallId) -> Result<(Vec<Push>, HashMap<ListingId, Account>)> {
        let scope = self.scope();
        let columns = (pushes::all_columns, account_columns!().nullable());
        let rows: Vec<(PushRow, Option<AccountRow>)> = on!(self.conn, c => scope.pushes().left_join(listing_of_push!())
            .filter(pushes::store_id.eq(store.bytes())).filter(is_in_flight()).filter(is_sending()).filter(pushes::call_id.eq(call.bytes()))
            .select(columns).load(c))?;
        let (rows, accounts): (Vec<PushRow>, Vec<Option<AccountRow>>) = rows.into_iter().unzip();
        let accounts = self.read_accounts(accounts.into_iter().flatten().collect())?;
        Ok((read_in_order(rows)?, accounts))
    }

    fn moved_targets(&mut self, before: &[Push], page: &[Push]) -> Result<Updates> {
        let applied = outcome::applied_after_doubt(before, page);
        if applied.is_empty() {
            return Ok(Vec::new());
        }
        let of: Vec<ListingId> = applied.iter().map(|push| push.listing_id()).collect();
        Ok(outcome::moved_targets(&applied, &self.targets_of(&of)?, &self.active_pushes(&of)?))
    }

    /// Pushes that are waiting again are held if their store is held by now, and merged with later ones.
    pub(super) fn line_up(&mut self, store: StoreId, page: &[Push], now: Timestamp) -> Result<()> {
        let of = outcome::waiting_again(page);
        if of.is_empty() {
            return Ok(());
        }
        if self.store(store)?.is_held(now) {
            self.hold_store(store, now)?;
        }
        self.merge_waiting(&of, now)
    }
}
