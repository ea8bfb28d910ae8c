//! Steps of a check: listings that are read to see whether they drift.
use crate::db::connection::on;
use crate::db::drift::OpenCheck;
use crate::db::schema::{listings, sync_runs};
use crate::db::{Result, Tenant, id_of};
use crate::domain::claim::outcome::Answer;
use crate::domain::claim::{self, CheckNext, CheckStep, ClaimTerms, Work};
use crate::domain::delivery::Outcome;
use crate::domain::drift::{Drift, Known, Policy, WAITS};
use crate::domain::push::Account;
use crate::domain::unseen::Expectation;
use crate::domain::{ListingId, StoreId, Timestamp};
use diesel::prelude::*;
use std::collections::HashMap;

impl Tenant<'_> {
    /// The next listings to compare, once no run is being made into pushes; the check ends after the last of them. Fewer are read
    /// together the more often that was in vain.
    pub(super) fn check_work(&mut self, store: StoreId, terms: &ClaimTerms, now: Timestamp) -> Result<Option<Work>> {
        let Some(open) = self.open_drift_check(store)? else { return Ok(None) };
        // Unless the clock was set back, no check waits for longer than that.
        if open.continues_at.is_some_and(|at| at > now && at <= now + WAITS) {
            return Ok(None);
        }
        if self.has_open_run()? {
            self.put_off_drift_check(open.check.id, now + WAITS, open.tries)?;
            return Ok(None);
        }
        let (scope, from) = (self.scope(), open.read_to.clone().unwrap_or_default());
        let most = claim::check_size(terms, open.tries);
        let limit = i64::try_from(most).unwrap_or(i64::MAX);
        let next: Vec<Vec<u8>> = on!(self.conn, c => scope.listings().select(listings::id).filter(listings::store_id.eq(store.bytes()))
            .filter(listings::id.gt(&from)).order(listings::id).limit(limit).load(c))?;
        let next = next.iter().map(|id| id_of(id, ListingId::from_bytes, "listings.id")).collect::<Result<Vec<_>>>()?;
        if next.is_empty() || !terms.abilities.read {
            self.end_drift_check(&open.check, now)?;
            return Ok(None);
        }
        let (before, mut found) = (self.known_before(&next)?, self.addressees(&next)?);
        let page = claim::check_page(next.iter().filter_map(|id| found.remove(id)).collect(), terms);
        Ok(Some(Work::Compare(CheckStep { check: open.check.id, from: open.read_to, page, before, tries: open.tries })))
    }

    /// Whether a run of the seller is still made into pushes.
    fn has_open_run(&mut self) -> Result<bool> {
        let scope = self.scope();
        let found: Option<Vec<u8>> = on!(self.conn, c => scope.sync_runs().select(sync_runs::id).filter(sync_runs::finished_at.is_null())
            .filter(sync_runs::answer_by.is_null()).filter(sync_runs::expanded.eq(false)).first(c).optional())?;
        Ok(found.is_some())
    }

    fn known_before(&mut self, of: &[ListingId]) -> Result<HashMap<ListingId, (Account, Expectation)>> {
        let (accounts, expected) = (self.accounts(of.iter().copied())?, self.expectations(of)?);
        Ok(expected.into_iter().map(|(id, expected)| (id, (accounts.get(&id).copied().unwrap_or_default(), expected))).collect())
    }

    /// Saves what a step of a check has found, `page` being the order of the answer. A store that cannot be read is asked again later.
    pub fn finish_compare(
        &mut self,
        store: StoreId,
        (step, page): (&CheckStep, &[ListingId]),
        outcome: &Outcome,
        terms: &ClaimTerms,
        now: Timestamp,
    ) -> Result<()> {
        self.note_outcome(store, outcome, now)?;
        // Unless another actor of the store has come further.
        let is_next = |open: &OpenCheck| open.check.id == step.check && open.read_to == step.from;
        let Some(open) = self.open_drift_check(store)?.filter(is_next) else { return Ok(()) };
        let mut check = open.check;
        let Some(to) = step.page.last().map(|to| to.listing_id) else { return self.end_drift_check(&check, now) };
        match claim::check_goes_on(step, outcome) {
            CheckNext::Compare => {}
            CheckNext::Again { tries } => return self.put_off_drift_check(step.check, now + WAITS, tries),
            CheckNext::Skip => {
                check.skipped += 1;
                return self.save_drift_check(&check, to, now);
            }
        }
        let settings = self.sync_settings()?;
        // The seller may have chosen something else since it began.
        let policy = if settings.drift == check.policy { check.policy } else { Policy::Report };
        let standing = self.standing(store, now, now)?;
        let (protects, unseen_for) = (standing.protects(terms), standing.unseen_for());
        let (targets, drifts, active) = (self.targets_of(page)?, self.drifts_of(page)?, self.active_pushes(page)?);
        let mut known = self.known_before(page)?;
        // A push or a report in the meantime: the number read may be from before or after it.
        known.retain(|id, now| step.before.get(id) == Some(&*now));
        let facts = |(id, (account, expected)): (ListingId, (Account, Expectation))| {
            let before: Option<&Drift> = drifts.get(&id);
            let target = targets.get(&id).copied().flatten();
            (id, Known { target, account, expected: protects.then_some(expected), before, unseen_for })
        };
        let known = known.into_iter().map(facts).collect();
        let heals = settings.auto_sync.then_some(policy);
        let found = claim::compared(page, &known, &active, Answer { outcome, raw: None, now }, heals);
        check.compared += i64::try_from(found.same.len() + found.differ.len()).unwrap_or(0);
        check.skipped += i64::try_from(found.skipped).unwrap_or(0);
        check.corrected += i64::try_from(found.corrected).unwrap_or(0);
        found.differ.iter().for_each(|(_, drift)| check.counts.add(drift.cause));
        self.save_drifts(store, &found.same, &found.differ)?;
        self.update_listings(store, found.updates, now)?;
        self.save_drift_check(&check, to, now)
    }
}
