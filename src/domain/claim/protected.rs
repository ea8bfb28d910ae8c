//! Overwrites of a store whose unseen sales are protected: read first, then sent with what is left of their targets.
use super::aimed::Aimed;
use super::outcome::{Answer, Updates, read_verdicts, unanswered};
use super::terms::ClaimTerms;
use crate::domain::delivery::ItemResult;
use crate::domain::push::{ASK_AGAIN_AFTER, Account, CACHED, ListingUpdate, Push, Verdict};
use crate::domain::unseen::Expectation;
use crate::domain::{ListingId, PushId};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// What is known of the listings of overwrites in the transaction that decides about them.
#[derive(Debug)]
pub struct ReadFacts<'a> {
    /// Those to which something else is on its way by now.
    pub busy: &'a BTreeSet<ListingId>,
    /// What is believed of them.
    pub accounts: &'a HashMap<ListingId, Account>,
    /// What was expected of them before they were read.
    pub before: &'a HashMap<ListingId, Expectation>,
    /// What is expected of them now.
    pub expected: &'a HashMap<ListingId, Expectation>,
    /// What they should show.
    pub targets: &'a HashMap<ListingId, Option<i64>>,
    /// For how long units may be missing until they are drift.
    pub limit: Duration,
}

/// Overwrites after their listings were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AfterOverwriteRead {
    /// Those that are sent now, with their numbers, and those whose listing is not to be pushed.
    pub aimed: Aimed,
    /// Those whose listings could not be read.
    pub others: Vec<Push>,
    /// What was learned about the listings.
    pub updates: Updates,
    /// What is expected of the listings of those that are sent.
    pub expectations: Vec<(ListingId, Expectation)>,
}

/// Prepares overwrites whose listings were read, `page` being the order of the read. Those in `waiting` still wait. One whose
/// listing sold something that was reported since the read began, or received something, is read again: what was read may be from
/// before or after that.
pub fn overwrites_after_read(
    page: &[PushId],
    mut waiting: HashMap<PushId, Push>,
    facts: &ReadFacts<'_>,
    answer: Answer<'_>,
    terms: &ClaimTerms,
) -> AfterOverwriteRead {
    let mut after = AfterOverwriteRead::default();
    let no_answer = unanswered(answer.outcome, page.len());
    for (id, verdict) in page.iter().zip(read_verdicts(answer.outcome, page.len())) {
        let Some(mut push) = waiting.remove(id).filter(|push| !facts.busy.contains(&push.listing_id())) else { continue };
        let listing = push.listing_id();
        let account = facts.accounts.get(&listing).copied().unwrap_or_default();
        if let Some(reason) = no_answer {
            push.note_answer(answer.raw);
            push.read_in_smaller_batch(reason, terms.context(answer.now, page.len()));
            after.others.push(push);
            continue;
        }
        let Verdict::Item(ItemResult::Applied { shown: Some(shown) }) = verdict else {
            push.note_answer(answer.raw);
            after.updates.push((listing, push.apply_failed_read(&account, &verdict, terms.context(answer.now, page.len()))));
            after.others.push(push);
            continue;
        };
        if account.may_be_cached(shown, answer.now) {
            let again = Verdict::TryAgain { reason: CACHED.to_owned(), after: Some(ASK_AGAIN_AFTER) };
            after.updates.push((listing, push.apply_failed_read(&account, &again, terms.context(answer.now, 1))));
            after.others.push(push);
            continue;
        }
        let Some(target) = facts.targets.get(&listing).copied().flatten() else {
            after.aimed.cancel(push, answer.now);
            continue;
        };
        let expected = facts.expected.get(&listing).copied().unwrap_or_default();
        if facts.before.get(&listing) != Some(&expected) {
            continue;
        }
        let found = expected.read(shown, account.was_left_late(shown, answer.now), facts.limit, answer.now);
        push.note_replaced(shown, found.unseen, expected.sold, &account);
        let back = push.undo().and_then(|undo| undo.restored).map(|restored| restored.target(found.unseen));
        push.aim_after_read(back.unwrap_or(target), shown, found.unseen);
        after.updates.push((listing, ListingUpdate { shown: Some(shown), ..ListingUpdate::default() }));
        after.expectations.push((listing, found.expectation));
        after.aimed.claimed.push(push);
    }
    after
}

#[cfg(test)]
mod tests;
