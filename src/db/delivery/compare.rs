//! Steps of a check: listings that are read to see whether they drift.
use crate::db::connection::on;
use crate::db::schema::{listings, sync_runs};
use crate::db::{Result, Tenant, id_of};
use crate::domain::claim::outcome::Answer;
use crate::domain::claim::{self, CheckStep, ClaimTerms, Work};
use crate::domain::delivery::Outcome;
use crate::domain::drift::{Drift, Known, Policy, WAITS};
use crate::domain::push::Account;
use crate::domain::unseen::Expectation;
use crate::domain::{ListingId, StoreId, Timestamp};
use diesel::prelude::*;
use std::collections::HashMap;

impl Tenant<'_> {
    /// The next listings to compare, once no run is being made into pushes; the check ends after the last of them.
    pub(super) fn check_work(&mut self, store: StoreId, terms: &ClaimTerms, now: Timestamp) -> Result<Option<Work>> {
        let Some(open) = self.open_drift_check(store)? else { return Ok(None) };
        if self.has_open_run()? {
            self.put_off_drift_check(open.check.id, now + WAITS)?;
            return Ok(None);
        }
        let (scope, from) = (self.scope(), open.read_to.unwrap_or_default());
        let limit = i64::try_from(terms.rows()).unwrap_or(i64::MAX);
        let next: Vec<Vec<u8>> = on!(self.conn, c => scope.listings().select(listings::id).filter(listings::store_id.eq(store.bytes()))
            .filter(listings::id.gt(&from)).order(listings::id).limit(limit).load(c))?;
        let next = next.iter().map(|id| id_of(id, ListingId::from_bytes, "listings.id")).collect::<Result<Vec<_>>>()?;
        let Some(to) = next.last().copied().filter(|_| terms.abilities.read) else {
            self.end_drift_check(&open.check, now)?;
            return Ok(None);
        };
        let (before, mut found) = (self.known_before(&next)?, self.addressees(&next)?);
        let listings = next.iter().filter_map(|id| found.remove(id)).collect();
        Ok(Some(Work::Compare(CheckStep { check: open.check.id, pages: claim::check_pages(listings, terms), to, before })))
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
        let Some(open) = self.open_drift_check(store)?.filter(|open| open.check.id == step.check) else { return Ok(()) };
        if !matches!(outcome, Outcome::Answered(_)) {
            return self.put_off_drift_check(step.check, now + WAITS);
        }
        let mut check = open.check;
        // Nothing is corrected while auto-sync is off.
        let policy = if self.sync_settings()?.auto_sync { check.policy } else { Policy::Report };
        let protects = self.standing(store, now, now)?.protects(terms);
        let (targets, drifts, active) = (self.targets_of(page)?, self.drifts_of(page)?, self.active_pushes(page)?);
        let mut known = self.known_before(page)?;
        // A push or a report in the meantime: the number read may be from before or after it.
        known.retain(|id, now| step.before.get(id) == Some(&*now));
        let facts = |(id, (account, expected)): (ListingId, (Account, Expectation))| {
            let before: Option<&Drift> = drifts.get(&id);
            let target = targets.get(&id).copied().flatten();
            (id, Known { target, account, expected: protects.then_some(expected), before })
        };
        let known = known.into_iter().map(facts).collect();
        let found = claim::compared(page, &known, &active, Answer { outcome, raw: None, now }, policy);
        check.compared += i64::try_from(found.same.len() + found.differ.len()).unwrap_or(0);
        check.skipped += i64::try_from(found.skipped).unwrap_or(0);
        check.corrected += i64::try_from(found.corrected).unwrap_or(0);
        found.differ.iter().for_each(|(_, drift)| check.counts.add(drift.cause));
        self.save_drifts(store, &found.same, &found.differ)?;
        self.update_listings(store, found.updates, now)?;
        self.save_drift_check(&check, step.to, now)
    }
}
