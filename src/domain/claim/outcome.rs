//! What an answer or a read does to the pushes of a call. Each item's verdict goes to its own push.
use super::terms::ClaimTerms;
use crate::domain::delivery::{ItemResult, Method, Outcome};
use crate::domain::push::{
    ASK_AGAIN_AFTER, Account, CACHED, CAN_BE_WRITTEN_AGAIN, LOOK_AFTER, ListingUpdate, Push, PushState, Verdict, verdicts,
};
use crate::domain::{ListingId, PushId, Timestamp};
use std::collections::{BTreeSet, HashMap};

/// Updates of listings, in the order in which they are applied.
pub type Updates = Vec<(ListingId, ListingUpdate)>;

/// The answer to a read or a call.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// What it means.
    pub outcome: &'a Outcome,
    /// The platform's words, shortened.
    pub raw: Option<&'a str>,
    /// When it came.
    pub now: Timestamp,
}

/// Increases after their listings were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AfterRead {
    /// Those that are sent now, with their base.
    pub claimed: Vec<Push>,
    /// Those whose listings could not be read.
    pub others: Vec<Push>,
    /// What was learned about the listings.
    pub updates: Updates,
}

/// Prepares increases whose listings were read, `page` being the order of the read. Those in `waiting` still wait;
/// those of `busy` listings have something in flight by now and stay as they are.
pub fn after_read(
    page: &[PushId],
    mut waiting: HashMap<PushId, Push>,
    busy: &BTreeSet<ListingId>,
    accounts: &HashMap<ListingId, Account>,
    answer: Answer<'_>,
    terms: &ClaimTerms,
) -> AfterRead {
    let mut after = AfterRead::default();
    let unanswered = unanswered(answer.outcome, page.len());
    let sets = terms.abilities.increase_method() == Some(Method::ReadAndSet);
    for (id, verdict) in page.iter().zip(read_verdicts(answer.outcome, page.len())) {
        let Some(mut push) = waiting.remove(id).filter(|push| !busy.contains(&push.listing_id())) else { continue };
        let listing = push.listing_id();
        let account = accounts.get(&listing).copied().unwrap_or_default();
        if let Some(reason) = unanswered {
            push.note_answer(answer.raw);
            push.read_in_smaller_batch(reason, terms.context(answer.now, page.len()));
            after.others.push(push);
        } else if let Verdict::Item(ItemResult::Applied { shown: Some(shown) }) = verdict {
            let may_be_cached = account.may_be_cached(shown, answer.now);
            if may_be_cached && (sets || push.is_fall()) {
                let again = Verdict::TryAgain { reason: CACHED.to_owned(), after: Some(ASK_AGAIN_AFTER) };
                after.updates.push((listing, push.apply_failed_read(&account, &again, terms.context(answer.now, 1))));
                after.others.push(push);
                continue;
            }
            let heal = account.contradiction(shown, answer.now).filter(|_| !may_be_cached).map(str::to_owned);
            if heal.is_none() {
                push.note_base(shown);
            }
            // A store that compares confirms the number that nothing can be taken off.
            let is_compared = shown == 0 && terms.abilities.increase_method() == Some(Method::CompareAndSet);
            if push.takes_nothing() && !is_compared {
                after.updates.push((listing, push.confirm_unsent(&account, terms.context(answer.now, 1))));
                after.others.push(push);
                continue;
            }
            if heal.is_none() {
                after.claimed.push(push);
            }
            // A store that compares refuses a base that is not true, so it may be tried; it is no news of the listing, though.
            let shown = Some(shown).filter(|_| !may_be_cached);
            after.updates.push((listing, ListingUpdate { shown, heal, ..ListingUpdate::default() }));
        } else {
            push.note_answer(answer.raw);
            after.updates.push((listing, push.apply_failed_read(&account, &verdict, terms.context(answer.now, page.len()))));
            after.others.push(push);
        }
    }
    after
}

/// Decides uncertain pushes by what their listings show, `page` being the order of the read.
pub fn read_back(
    page: &[PushId],
    mut uncertain: HashMap<PushId, Push>,
    accounts: &HashMap<ListingId, Account>,
    answer: Answer<'_>,
    terms: &ClaimTerms,
) -> (Vec<Push>, Updates) {
    let (mut changed, mut updates) = (Vec::new(), Vec::new());
    let alone = terms.context(answer.now, 1);
    let is_unanswered = unanswered(answer.outcome, page.len()).is_some();
    for (id, verdict) in page.iter().zip(read_verdicts(answer.outcome, page.len())) {
        let Some(mut push) = uncertain.remove(id) else { continue };
        let account = accounts.get(&push.listing_id()).copied().unwrap_or_default();
        let update = match verdict {
            Verdict::TryAgain { reason, .. } | Verdict::Refused { reason, .. } if is_unanswered => {
                push.read_back_refused(&reason, terms.context(answer.now, page.len()))
            }
            Verdict::Item(ItemResult::Applied { shown: Some(shown) }) => push.read_back(&account, shown, alone),
            Verdict::Refused { reason, .. } => push.read_back_refused(&reason, terms.context(answer.now, page.len())),
            // Instead of being asked about again, an overwrite may simply be sent again.
            Verdict::TryAgain { .. } | Verdict::Item(_) if push.is_overwrite() && !is_throttled(answer.outcome) => {
                push.repeat_or_overwrite(alone)
            }
            other => push.apply_failed_read(&account, &other, alone),
        };
        push.note_answer(answer.raw);
        updates.push((push.listing_id(), update));
        changed.push(push);
    }
    (changed, updates)
}

/// What a look at listings finds, `page` being the order of the read, when nothing is to be sent to them. Those that are
/// `busy` will be answered for anyway.
pub fn looked(page: &[ListingId], busy: &BTreeSet<ListingId>, accounts: &HashMap<ListingId, Account>, answer: Answer<'_>) -> Updates {
    let soon = || ListingUpdate { look_at: Some(answer.now + LOOK_AFTER), ..ListingUpdate::default() };
    let update = |(listing, verdict): (&ListingId, Verdict)| {
        let account = accounts.get(listing).copied().unwrap_or_default();
        let later = ListingUpdate { look_at: account.next_look(answer.now), ..ListingUpdate::default() };
        let found = match verdict {
            _ if busy.contains(listing) => soon(),
            Verdict::Item(ItemResult::Applied { shown: Some(shown) }) if !account.may_be_cached(shown, answer.now) => {
                let owed = account.owed_since.map(|_| CAN_BE_WRITTEN_AGAIN);
                let heal = account.contradiction(shown, answer.now).or(owed).map(str::to_owned);
                ListingUpdate { shown: Some(shown), look_at: later.look_at.filter(|_| heal.is_none()), heal, ..ListingUpdate::default() }
            }
            Verdict::Item(ItemResult::Rejected { .. }) => later,
            _ => soon(),
        };
        (*listing, found)
    };
    page.iter().zip(read_verdicts(answer.outcome, page.len())).map(update).collect()
}

/// What is done instead of a look at a store that cannot be read: it is tried whether what is owed can be written.
pub fn looked_blindly(page: &[ListingId], accounts: &HashMap<ListingId, Account>) -> Updates {
    let is_owed = |listing: &&ListingId| accounts.get(listing).is_some_and(|account| account.owed_since.is_some());
    let heal = || ListingUpdate { heal: Some(CAN_BE_WRITTEN_AGAIN.to_owned()), ..ListingUpdate::default() };
    page.iter().filter(is_owed).map(|listing| (*listing, heal())).collect()
}

/// Applies the outcome of a call to its pushes, which are in the order of the call's items.
pub fn finish(page: &mut [Push], accounts: &HashMap<ListingId, Account>, answer: Answer<'_>, terms: &ClaimTerms) -> Updates {
    let items = page.len();
    let mut updates = Vec::with_capacity(items);
    for (push, verdict) in page.iter_mut().zip(verdicts(answer.outcome, items)) {
        let account = accounts.get(&push.listing_id()).copied().unwrap_or_default();
        updates.push((push.listing_id(), push.apply_verdict(&account, &verdict, terms.context(answer.now, items))));
        // A success needs no answer beside it, and a whole batch's answer beside each push would be most of what is written.
        push.note_answer(answer.raw.filter(|_| !push.is_confirmed()));
    }
    updates
}

/// Overwrites with targets that were in doubt and turn out to be applied. It may have been their repetition that was applied, with a
/// target that is out of date.
pub fn applied_after_doubt<'a>(before: &[Push], page: &'a [Push]) -> Vec<&'a Push> {
    let doubted: BTreeSet<PushId> = before.iter().filter(|p| p.in_doubt() && !p.cancel_requested()).map(Push::id).collect();
    page.iter().filter(|p| p.is_overwrite() && p.undo().is_none() && p.is_confirmed() && doubted.contains(&p.id())).collect()
}

/// Overwrites the listings of such pushes again whose target has changed by more than what waiting increases explain.
pub fn moved_targets(applied: &[&Push], targets: &HashMap<ListingId, Option<i64>>, active: &[Push]) -> Updates {
    let mut expected: HashMap<ListingId, i64> = applied.iter().filter_map(|p| Some((p.listing_id(), p.target()?))).collect();
    for waiting in active.iter().filter(|p| p.is_mergeable()) {
        let added = |sum: &mut i64| *sum = waiting.quantity().map_or(*sum, |units| sum.saturating_add(units));
        expected.entry(waiting.listing_id()).and_modify(added);
    }
    let why = "The target changed while it was not known whether an overwrite had been applied.";
    let moved = |(listing, expected): (ListingId, i64)| {
        let target = targets.get(&listing).copied().flatten()?;
        (target != expected).then(|| (listing, ListingUpdate { heal: Some(why.to_owned()), ..ListingUpdate::default() }))
    };
    expected.into_iter().filter_map(moved).collect()
}

/// Why nothing is known after a read of several listings that was not answered: they are read again in smaller batches.
pub(super) fn unanswered(outcome: &Outcome, items: usize) -> Option<&str> {
    match outcome {
        Outcome::Unknown { reason } if items > 1 => Some(reason),
        _ => None,
    }
}

fn is_throttled(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::TryAgain { throttled: true, .. })
}

/// What a read says about each of `items` listings. A read changes nothing at the platform, so a listing without an
/// answer is simply read again.
pub(super) fn read_verdicts(outcome: &Outcome, items: usize) -> Vec<Verdict> {
    let again = |reason: &String| Verdict::TryAgain { reason: reason.clone(), after: None };
    let nothing = "The store did not say what this listing shows.".to_owned();
    let mut all = verdicts(outcome, items);
    for verdict in &mut all {
        match verdict {
            Verdict::Item(
                ItemResult::Unknown { reason } | ItemResult::NeverApplied { reason } | ItemResult::RefusedWithOthers { reason },
            ) => *verdict = again(reason),
            Verdict::Item(ItemResult::Applied { shown: None } | ItemResult::Accepted | ItemResult::Stale { .. }) => {
                *verdict = again(&nothing)
            }
            _ => {}
        }
    }
    all
}

/// The listings of a call's pushes that wait again, and may do so beside another increase.
pub fn waiting_again(page: &[Push]) -> Vec<ListingId> {
    page.iter().filter(|push| push.state().is_waiting()).map(Push::listing_id).collect()
}

/// How many of a call's pushes were confirmed.
pub fn confirmed(page: &[Push]) -> usize {
    page.iter().filter(|push| push.state() == PushState::Confirmed).count()
}

/// The listings whose overwrite was confirmed, so that it contains every increase that was rejected before. What takes back another
/// overwrite contains none.
pub fn overwritten(page: &[Push]) -> Vec<ListingId> {
    page.iter().filter(|push| push.is_overwrite() && push.undo().is_none() && push.is_confirmed()).map(Push::listing_id).collect()
}
