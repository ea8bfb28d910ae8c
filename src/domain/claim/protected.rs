//! Overwrites of a store whose unseen sales are protected: read first, then sent with what is left of their targets.
use super::aimed::Aimed;
use super::outcome::{Answer, Updates, read_verdicts, unanswered};
use super::terms::ClaimTerms;
use crate::domain::delivery::ItemResult;
use crate::domain::push::{ASK_AGAIN_AFTER, Account, Addressee, CACHED, ListingUpdate, Push, Verdict};
use crate::domain::siblings::{Seen, TRIED_AFTER, Together, WAITS_FOR, together};
use crate::domain::unseen::Expectation;
use crate::domain::{ListingId, PushId, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Overwrites to be sent, whose listings are read first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectedPage {
    /// The overwrites.
    pub page: Vec<Push>,
    /// Other listings of the same SKUs, which are read before those of the overwrites.
    pub beside: Vec<Addressee>,
    /// What was expected of all these listings before.
    pub before: HashMap<ListingId, Expectation>,
}

/// Listings of one store that show the same SKU.
pub type Siblings = Vec<ListingId>;

/// The overwrites of a page that are sent together, and the listings to read beside theirs: no more of those than one call may read,
/// unless the first overwrite alone needs more.
pub fn with_siblings(mut page: Vec<Push>, siblings: &[Siblings], terms: &ClaimTerms) -> (Vec<Push>, Vec<ListingId>) {
    loop {
        let of: BTreeSet<ListingId> = page.iter().map(Push::listing_id).collect();
        let concerned = siblings.iter().filter(|group| group.iter().any(|id| of.contains(id)));
        let beside: Vec<ListingId> = concerned.flatten().filter(|id| !of.contains(id)).copied().collect();
        if page.len() <= 1 || beside.len() <= terms.limit {
            return (page, beside);
        }
        page.truncate(page.len().div_ceil(2));
    }
}

/// The calls that read these listings: each reads listings of one group.
pub fn pages_beside(mut beside: Vec<Addressee>, terms: &ClaimTerms) -> Vec<Vec<Addressee>> {
    let group = |to: &Addressee| terms.group_by.map(|field| to.extra_field(field));
    beside.sort_by_key(group);
    let of_group = beside.chunk_by(|a, b| group(a) == group(b));
    of_group.flat_map(|of_group| of_group.chunks(terms.limit.max(1))).map(<[Addressee]>::to_vec).collect()
}

/// What is known of the listings of overwrites in the transaction that decides about them, and of other listings of their SKUs.
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
    /// Those that show the same SKU.
    pub siblings: &'a [Siblings],
    /// What the others were found to show.
    pub beside: &'a HashMap<ListingId, ItemResult>,
    /// For how long units may be missing until they are drift.
    pub limit: Duration,
}

impl ReadFacts<'_> {
    fn account(&self, listing: ListingId) -> Account {
        self.accounts.get(&listing).copied().unwrap_or_default()
    }

    fn expected(&self, listing: ListingId) -> Expectation {
        self.expected.get(&listing).copied().unwrap_or_default()
    }

    /// The listings of the same SKU, this one among them.
    fn siblings_of(&self, listing: ListingId) -> Option<&Siblings> {
        self.siblings.iter().find(|group| group.contains(&listing))
    }

    /// Whether a report or a push came since the read began: what was read may be from before or after it.
    fn has_changed(&self, listing: ListingId) -> bool {
        self.expected.get(&listing).is_none_or(|now| self.before.get(&listing) != Some(now))
    }

    /// What is known of what a listing shows. `read` are those of the overwrites.
    fn seen(&self, listing: ListingId, read: &HashMap<ListingId, i64>, now: Timestamp) -> Seen {
        let account = self.account(listing);
        if self.busy.contains(&listing) {
            return Seen::Before(account.shown);
        }
        let shown = match (read.get(&listing), self.beside.get(&listing)) {
            (Some(shown), _) | (None, Some(ItemResult::Applied { shown: Some(shown) })) => *shown,
            (None, Some(ItemResult::Rejected { .. })) => return Seen::Gone(account.shown),
            (None, _) => return Seen::Unread(account.shown),
        };
        if account.may_be_cached(shown, now) {
            return Seen::Unread(account.shown);
        }
        Seen::Now { shown, left_late: account.was_left_late(shown, now) }
    }
}

/// Overwrites after their listings were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AfterOverwriteRead {
    /// Those that are sent now, with their numbers, and those whose listing is not to be pushed.
    pub aimed: Aimed,
    /// Those whose listings, or other listings of the same SKU, could not be read.
    pub others: Vec<Push>,
    /// What was learned about the listings.
    pub updates: Updates,
    /// What is expected of the listings of those that are sent, and of others of the same SKUs.
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
    let mut read: Vec<(Push, i64, i64)> = Vec::new();
    for (id, verdict) in page.iter().zip(read_verdicts(answer.outcome, page.len())) {
        let Some(mut push) = waiting.remove(id).filter(|push| !facts.busy.contains(&push.listing_id())) else { continue };
        let listing = push.listing_id();
        let account = facts.account(listing);
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
        match facts.targets.get(&listing).copied().flatten() {
            Some(target) => read.push((push, shown, target)),
            None => after.aimed.cancel(push, answer.now),
        }
    }
    let shown: HashMap<ListingId, i64> = read.iter().map(|(push, shown, _)| (push.listing_id(), *shown)).collect();
    let mut found: HashMap<ListingId, Together> = HashMap::new();
    for (push, shown_now, target) in read {
        let listing = push.listing_id();
        let Some(siblings) = facts.siblings_of(listing) else {
            if !facts.has_changed(listing) {
                let left_late = facts.account(listing).was_left_late(shown_now, answer.now);
                let found = facts.expected(listing).read(shown_now, left_late, facts.limit, answer.now);
                after.send(push, (shown_now, target), found.unseen, facts);
                after.expectations.push((listing, found.expectation));
            }
            continue;
        };
        if siblings.iter().any(|id| facts.has_changed(*id)) {
            continue;
        }
        if !found.contains_key(&listing) {
            let together = after.learn_of(siblings, &shown, facts, answer.now);
            found.extend(siblings.iter().map(|id| (*id, together.clone())));
        }
        if let Some(together) = found.get(&listing) {
            after.send_beside(push, (shown_now, target), together, facts, answer.now);
        }
    }
    after
}

impl AfterOverwriteRead {
    /// The listing shows this, and gets its target less so many of its units that were sold without a report.
    fn send(&mut self, mut push: Push, (shown, target): (i64, i64), unseen: i64, facts: &ReadFacts<'_>) {
        let listing = push.listing_id();
        push.note_replaced(shown, unseen, facts.expected(listing).sold, &facts.account(listing));
        let back = push.undo().and_then(|undo| undo.restored).map(|restored| restored.target(unseen));
        push.aim_after_read(back.unwrap_or(target), shown, unseen);
        self.updates.push((listing, ListingUpdate { shown: Some(shown), ..ListingUpdate::default() }));
        self.aimed.claimed.push(push);
    }

    /// The same where other listings show the SKU. One that cannot be read at the moment is waited for, but not for ever.
    fn send_beside(&mut self, mut push: Push, numbers: (i64, i64), together: &Together, facts: &ReadFacts<'_>, now: Timestamp) {
        let created_at = push.record().created_at;
        if together.is_uncertain && created_at <= now && now < created_at + WAITS_FOR {
            push.postpone(now + TRIED_AFTER, now);
            self.others.push(push);
            return;
        }
        let unseen = facts.expected(push.listing_id()).each.needed_for(together.unseen);
        self.send(push, numbers, unseen, facts);
    }

    /// What a read of siblings has found. Nothing may be sent to some of them now.
    fn learn_of(&mut self, siblings: &Siblings, read: &HashMap<ListingId, i64>, facts: &ReadFacts<'_>, now: Timestamp) -> Together {
        let listings: Vec<(Expectation, Seen)> = siblings.iter().map(|id| (facts.expected(*id), facts.seen(*id, read, now))).collect();
        let together = together(&listings, facts.limit, now);
        for ((listing, (expected, seen)), expectation) in siblings.iter().zip(&listings).zip(&together.expectations) {
            if let (Seen::Now { shown, .. }, true) = (seen, facts.beside.contains_key(listing)) {
                let heal = facts.account(*listing).contradiction(*shown, now).map(str::to_owned);
                self.updates.push((*listing, ListingUpdate { shown: Some(*shown), heal, ..ListingUpdate::default() }));
            }
            if expectation != expected {
                self.expectations.push((*listing, *expectation));
            }
        }
        together
    }
}

#[cfg(test)]
mod tests;
