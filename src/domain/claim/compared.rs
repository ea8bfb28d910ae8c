//! What a check of listings finds, which reads them although nothing is to be sent to them.
use super::outcome::{Answer, Updates, read_verdicts};
use super::terms::ClaimTerms;
use crate::domain::delivery::{ItemResult, Outcome};
use crate::domain::drift::{Drift, Known, Policy, correction, locked, unreadable};
use crate::domain::push::{Account, Addressee, ListingUpdate, Push, PushState, Verdict};
use crate::domain::unseen::Expectation;
use crate::domain::{DriftCheckId, ListingId};
use std::collections::HashMap;

/// The next step of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckStep {
    /// The check.
    pub check: DriftCheckId,
    /// The listings, by call.
    pub pages: Vec<Vec<Addressee>>,
    /// The last of them: the next step begins after it.
    pub to: ListingId,
    /// What was known of them before they are read.
    pub before: HashMap<ListingId, (Account, Expectation)>,
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

/// The reads of one step of a check: each of its calls, in smaller ones where one is refused because of one of its listings, or where
/// its answer is too large.
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
        Self { pages: step.pages.clone(), read: Vec::new(), results: Vec::new(), failed: None }
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

/// The calls of one step of a check: those listings that may be read together, as many as one call takes.
pub fn check_pages(listings: Vec<Addressee>, terms: &ClaimTerms) -> Vec<Vec<Addressee>> {
    let mut groups: Vec<(Option<String>, Vec<Addressee>)> = Vec::new();
    for to in listings {
        let group = terms.group_by.map(|field| to.extra_field(field));
        match groups.iter_mut().find(|(other, _)| *other == group) {
            Some((_, members)) => members.push(to),
            None => groups.push((group, vec![to])),
        }
    }
    let limit = terms.limit.max(1);
    groups.into_iter().flat_map(|(_, members)| members.chunks(limit).map(<[Addressee]>::to_vec).collect::<Vec<_>>()).collect()
}

/// Compares listings with what is known of them, `page` being the order of the answer; what is not `known` has changed since the read
/// began. `active` are their pushes that have not ended.
pub fn compared(
    page: &[ListingId],
    known: &HashMap<ListingId, Known<'_>>,
    active: &[Push],
    answer: Answer<'_>,
    policy: Policy,
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
            match waits_for_platform(pushes) {
                Some(reason) => found.differ.push((*listing, locked(&reason, known.before, answer.now))),
                None => found.skipped += 1,
            }
            continue;
        }
        match verdict {
            Verdict::Item(ItemResult::Applied { shown: Some(shown) }) if !known.account.may_be_cached(shown, answer.now) => {
                compare_one(*listing, shown, &known, policy, answer, &mut found);
            }
            Verdict::Item(ItemResult::Rejected { reason, .. }) => {
                found.differ.push((*listing, unreadable(&reason, known.before, answer.now)));
            }
            _ => found.skipped += 1,
        }
    }
    found
}

fn compare_one(listing: ListingId, shown: i64, known: &Known<'_>, policy: Policy, answer: Answer<'_>, found: &mut Compared) {
    let mut update = ListingUpdate { shown: Some(shown), ..ListingUpdate::default() };
    if let Some(late) = known.account.contradiction(shown, answer.now) {
        // A request that had been given up: healed whatever the policy, as whenever it is noticed.
        update.heal = Some(late.to_owned());
        found.skipped += 1;
    } else if let Some(drift) = known.compare(shown, answer.now) {
        if known.is_corrected(&drift, policy) {
            update.heal = Some(correction(&drift));
            found.corrected += 1;
        }
        found.differ.push((listing, drift));
    } else {
        found.same.push(listing);
    }
    found.updates.push((listing, update));
}

/// Why the pushes of a listing wait, if it is the platform that keeps them waiting: nothing is on its way, and each was refused for
/// the time being.
fn waits_for_platform(pushes: &[&Push]) -> Option<String> {
    let reason = |push: &Push| push.record().reason.filter(|_| push.state() == PushState::Retrying && !push.in_doubt());
    let mut reasons = pushes.iter().map(|push| reason(push));
    let first = reasons.next().flatten()?;
    reasons.all(|reason| reason.is_some()).then_some(first)
}

#[cfg(test)]
mod tests;
