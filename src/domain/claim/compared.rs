//! What a check of listings finds, which reads them although nothing is to be sent to them.
use super::outcome::{Answer, Updates, read_verdicts};
use super::terms::ClaimTerms;
use crate::domain::delivery::{ItemResult, Outcome};
use crate::domain::drift::{Drift, Known, LOCKED_AFTER, Policy, correction, locked, unreadable};
use crate::domain::push::{Account, Addressee, ListingUpdate, Push, PushState, Verdict};
use crate::domain::unseen::Expectation;
use crate::domain::{DriftCheckId, ListingId, Timestamp};
use std::collections::HashMap;

/// The next step of a check: one call, unless that has to be taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckStep {
    /// The check.
    pub check: DriftCheckId,
    /// The last listing before the step, as its row says; the next step begins after the last of these.
    pub from: Option<Vec<u8>>,
    /// The listings.
    pub page: Vec<Addressee>,
    /// What was known of them before they are read.
    pub before: HashMap<ListingId, (Account, Expectation)>,
    /// How often they were read in vain.
    pub tries: i32,
}

/// What follows from the answer to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckNext {
    /// The listings are compared.
    Compare,
    /// They are read again later, after so many tries.
    Again {
        /// Of these listings.
        tries: i32,
    },
    /// The only listing of the step is left out, because the store never answers for it.
    Skip,
}

/// How often a listing is read alone and in vain.
const ALONE: i32 = 3;
/// After so many tries, listings are read one by one.
const HALVED: i32 = 7;

/// How many listings the next step reads at most, after so many tries in vain.
pub fn check_size(terms: &ClaimTerms, tries: i32) -> usize {
    let halved = u32::try_from(tries).unwrap_or(0);
    if tries >= HALVED { 1 } else { (terms.limit.max(1) >> halved.min(31)).max(1) }
}

/// What follows from this answer. Only one that may be due to the listings themselves counts as a try.
pub fn check_goes_on(step: &CheckStep, outcome: &Outcome) -> CheckNext {
    match outcome {
        Outcome::Answered(_) => CheckNext::Compare,
        Outcome::Unknown { .. } if step.page.len() == 1 && step.tries >= HALVED + ALONE => CheckNext::Skip,
        Outcome::Unknown { .. } => CheckNext::Again { tries: step.tries.saturating_add(1) },
        _ => CheckNext::Again { tries: step.tries },
    }
}

/// The listings of one step, out of the next ones in their order: those that may be read together with the first, as far as no other
/// one comes between.
pub fn check_page(mut listings: Vec<Addressee>, terms: &ClaimTerms) -> Vec<Addressee> {
    let group = |to: &Addressee| terms.group_by.map(|field| to.extra_field(field));
    let first = listings.first().map(group);
    let together = listings.iter().take_while(|to| Some(group(to)) == first).count();
    listings.truncate(together.min(terms.limit.max(1)));
    listings
}

/// What a check has found out about some listings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// Those that do not differ, or to which nothing is pushed.
    pub same: Vec<ListingId>,
    /// Those that do.
    pub differ: Vec<(ListingId, Drift)>,
    /// How many could not be compared.
    pub skipped: usize,
    /// How many are overwritten.
    pub corrected: usize,
    /// What was learned about the listings.
    pub updates: Updates,
}

/// The reads of one step of a check, or of listings beside those of overwrites: each of its calls, in smaller ones where one is refused
/// because of one of its listings, or where its answer is too large.
#[derive(Debug)]
pub struct CheckReading {
    pages: Vec<Vec<Addressee>>,
    read: Vec<ListingId>,
    results: Vec<ItemResult>,
    failed: Option<(Outcome, bool)>,
}

impl CheckReading {
    /// Nothing has been read yet.
    pub fn new(step: &CheckStep) -> Self {
        Self::of(vec![step.page.clone()])
    }

    /// The same of these calls.
    pub fn of(pages: Vec<Vec<Addressee>>) -> Self {
        Self { pages, read: Vec::new(), results: Vec::new(), failed: None }
    }

    /// What to read next; nothing more once the store cannot be read.
    pub fn next_page(&mut self) -> Option<Vec<Addressee>> {
        self.pages.pop()
    }

    /// Takes the answer; `answered` says whether it was the platform that gave it.
    pub fn answered(&mut self, mut page: Vec<Addressee>, outcome: Outcome, answered: bool) {
        let (items, is_one) = (page.len(), page.len() == 1);
        let results = match outcome {
            Outcome::Answered(results) if results.len() == items => results,
            Outcome::Refused { reason, next_step } if is_one => vec![ItemResult::Rejected { reason, next_step }],
            Outcome::Unknown { reason } if is_one && answered => vec![ItemResult::Unknown { reason }],
            Outcome::Answered(_) | Outcome::Refused { .. } | Outcome::Unknown { .. } if answered && !is_one => {
                let rest = page.split_off(items.div_ceil(2));
                self.pages.extend([rest, page]);
                return;
            }
            failed => {
                self.failed = Some((failed, answered));
                self.pages.clear();
                return;
            }
        };
        self.read.extend(page.iter().map(|to| to.listing_id));
        self.results.extend(results);
    }

    /// The listings that were read, the answer for each of them in order, and whether it was the platform that gave it; or why the
    /// store cannot be read.
    pub fn end(self) -> (Vec<ListingId>, Outcome, bool) {
        match self.failed {
            Some((outcome, answered)) => (Vec::new(), outcome, answered),
            None => (self.read, Outcome::Answered(self.results), true),
        }
    }
}

/// Compares listings with what is known of them, `page` being the order of the answer; what is not `known` has changed since the read
/// began. `active` are their pushes that have not ended. `heals` is what is done about listings that differ; `None` while nothing may
/// be sent.
pub fn compared(
    page: &[ListingId],
    known: &HashMap<ListingId, Known<'_>>,
    active: &[Push],
    answer: Answer<'_>,
    heals: Option<Policy>,
) -> Compared {
    let mut of: HashMap<ListingId, Vec<&Push>> = HashMap::new();
    active.iter().for_each(|push| of.entry(push.listing_id()).or_default().push(push));
    let mut found = Compared::default();
    for (listing, verdict) in page.iter().zip(read_verdicts(answer.outcome, page.len())) {
        let Some(known) = known.get(listing).copied() else {
            found.skipped += 1;
            continue;
        };
        if known.target.is_none() {
            found.same.push(*listing);
            continue;
        }
        if let Some(pushes) = of.get(listing) {
            match waits_for_platform(pushes, answer.now) {
                Some(reason) => found.differ.push((*listing, locked(&reason, known.before, answer.now))),
                None => found.skipped += 1,
            }
            continue;
        }
        match verdict {
            Verdict::Item(ItemResult::Applied { shown: Some(shown) }) if !known.account.may_be_cached(shown, answer.now) => {
                compare_one(*listing, shown, &known, heals, answer, &mut found);
            }
            Verdict::Item(ItemResult::Rejected { reason, .. }) => {
                found.differ.push((*listing, unreadable(&reason, known.before, answer.now)));
            }
            _ => found.skipped += 1,
        }
    }
    found
}

fn compare_one(listing: ListingId, shown: i64, known: &Known<'_>, heals: Option<Policy>, answer: Answer<'_>, found: &mut Compared) {
    let mut update = ListingUpdate { shown: Some(shown), ..ListingUpdate::default() };
    if let Some(late) = known.account.contradiction(shown, answer.now) {
        // A request that had been given up: healed whatever the policy, as whenever it is noticed.
        update.heal = heals.map(|_| late.to_owned());
        found.skipped += 1;
    } else if let Some(drift) = known.compare(shown, answer.now) {
        if heals.is_some_and(|policy| known.is_corrected(&drift, policy, answer.now)) {
            update.heal = Some(correction(&drift));
            found.corrected += 1;
        }
        found.differ.push((listing, drift));
    } else {
        found.same.push(listing);
    }
    found.updates.push((listing, update));
}

/// Why the pushes of a listing wait, if it is the platform that keeps them waiting: nothing is on its way, and each has been refused
/// for the time being for long.
fn waits_for_platform(pushes: &[&Push], now: Timestamp) -> Option<String> {
    let reason = |push: &Push| {
        let record = push.record();
        let is_long = record.failing_since.is_some_and(|since| now >= since + LOCKED_AFTER);
        record.reason.filter(|_| record.state == PushState::Retrying && !record.in_doubt && is_long)
    };
    let mut reasons = pushes.iter().map(|push| reason(push));
    let first = reasons.next().flatten()?;
    reasons.all(|reason| reason.is_some()).then_some(first)
}

#[cfg(test)]
mod tests;
