//! What goes next to a store: in which order, in which call, by which method. Pure functions over loaded pushes; the
//! database loads, calls them, and saves what they return.
//!
//! [`outcome`] decides what an answer or a read does to the pushes of a call, [`waiting`] what happens to those that wait.
mod aimed;
mod compared;
pub mod outcome;
mod protected;
mod size;
mod terms;
pub mod waiting;

use super::delivery::{Abilities, Change, Method, Resolution};
use super::push::{Addressee, Invalid, ListingUpdate, Push, PushKind, SendBy, VerdictContext};
use super::{CallId, ListingId, PushId, Timestamp};
pub use aimed::{Aimed, aim, aim_back, note_contained};
pub use compared::{CheckNext, CheckReading, CheckStep, Compared, check_goes_on, check_page, check_size, compared};
pub use protected::{AfterOverwriteRead, ProtectedPage, ReadFacts, Siblings, overwrites_after_read, pages_beside, with_siblings};
pub use size::CallSize;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;
pub use terms::ClaimTerms;

/// The most increases that are read and then set together. What the shop sells between the two comes back with the set,
/// and both take longer the more rows they have: with 100 rows, a WooCommerce shop took 8 s for them, and of 30 units sold
/// in that time 14 came back.
const READ_AND_SET_ROWS: usize = 20;

/// A call that is `sending` in the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedCall {
    /// Its id, which is also its idempotency key where the platform honors one.
    pub id: CallId,
    /// Relative or absolute; every push of a call is of the same kind.
    pub kind: PushKind,
    /// What it carries, in the order of the pushes' ids.
    pub items: Vec<ClaimedItem>,
}

/// One push of a claimed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedItem {
    /// The push.
    pub push: PushId,
    /// Its listing.
    pub listing: ListingId,
    /// The platform's name of the listing.
    pub external_id: String,
    /// The connector's own fields of the listing, as JSON.
    pub extra: Option<String>,
    /// What is sent.
    pub change: Change,
    /// How long it had been due when it was claimed.
    pub due_for: Duration,
}

/// What a transaction has found out about the work that is left for a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: some may be due.
    Unknown,
    /// The first of it is due then; `None` if there is none.
    DueAt(Option<Timestamp>),
}

/// What there is to do for a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Nothing at present.
    Nothing {
        /// When the next push is due.
        next_due: Option<Timestamp>,
    },
    /// Send this call. Then there is this to do.
    Send(ClaimedCall, Next),
    /// Read what the listings of these increases show, then claim them. Then there is this to do.
    ReadFirst(Vec<Push>, Next),
    /// Read what the listings of these overwrites show, then claim them.
    ReadThenOverwrite(ProtectedPage),
    /// Read what the listings of these uncertain pushes show, then decide them.
    ReadBack(Vec<Push>),
    /// Read what these listings show, to which nothing is to be sent: they may contradict the account, or are owed what
    /// was refused.
    Look(Vec<Addressee>),
    /// Read what these listings show, for a check.
    Compare(CheckStep),
}

/// How the uncertain pushes that are due first are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uncertain {
    /// Send this call again. All its uncertain pushes take part, due or not: one key names one call.
    Repeat(CallId),
    /// Read the listings of these.
    ReadBack(Vec<Push>),
    /// The outcome of these cannot be determined: repeat or overwrite them.
    GiveUp(Vec<Push>),
}

/// Chooses among uncertain pushes that are due, in the order in which they are due.
pub fn resolve_uncertain(mut due: Vec<Push>, terms: &ClaimTerms, now: Timestamp) -> Option<Uncertain> {
    let first = due.first()?;
    let resolution = |push: &Push| push.resolution_at(&terms.abilities, now);
    Some(match (resolution(first), first.call_id()) {
        (Resolution::SameCallAgain, Some(call)) => Uncertain::Repeat(call),
        (Resolution::ReadBack, _) => {
            let group = terms.group_of(first);
            due.retain(|push| resolution(push) == Resolution::ReadBack && terms.group_of(push) == group);
            due.truncate(due.iter().filter_map(Push::batch_limit).min().unwrap_or(usize::MAX).min(terms.limit));
            Uncertain::ReadBack(due)
        }
        _ => {
            due.retain(|push| resolution(push) == Resolution::Overwrite || push.call_id().is_none());
            Uncertain::GiveUp(due)
        }
    })
}

/// Repeats or overwrites pushes whose outcome cannot be determined.
pub fn give_up(page: &mut [Push], ctx: VerdictContext<'_>) -> Vec<(ListingId, ListingUpdate)> {
    page.iter_mut().map(|push| (push.listing_id(), push.repeat_or_overwrite(ctx))).collect()
}

/// The next call's pushes, out of due ones of one kind in the order in which they are due: one for each listing, all of
/// one group, no more than the smallest batch limit among them allows.
pub fn page_of(due: Vec<Push>, terms: &ClaimTerms) -> Vec<Push> {
    let mut page: Vec<Push> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut most = terms.limit.max(1);
    let is_increase = due.first().is_some_and(|push| push.kind() == PushKind::Increase);
    if is_increase && terms.abilities.increase_method() == Some(Method::ReadAndSet) {
        most = most.min(READ_AND_SET_ROWS);
    }
    let mut group = None;
    for push in due {
        let own = terms.group_of(&push);
        if *group.get_or_insert_with(|| own.clone()) != own {
            continue;
        }
        most = most.min(push.batch_limit().unwrap_or(usize::MAX));
        if page.len() >= most {
            break;
        }
        if seen.insert(push.listing_id()) {
            page.push(push);
        }
    }
    page
}

/// The listings of one look, out of those that are due: all of one group.
pub fn look_page(mut due: Vec<Addressee>, terms: &ClaimTerms) -> Vec<Addressee> {
    let group = |to: &Addressee| terms.group_by.map(|field| to.extra_field(field));
    let first = due.first().map(group);
    due.retain(|to| Some(group(to)) == first);
    due.truncate(terms.limit.max(1));
    due
}

/// Splits off the pushes of listings that an earlier request may still reach: those wait until their listing has settled.
pub fn postpone(mut page: Vec<Push>, settling: &HashMap<ListingId, Timestamp>, now: Timestamp) -> (Vec<Push>, Vec<Push>) {
    let mut postponed: Vec<Push> = page.extract_if(.., |push| settling.contains_key(&push.listing_id())).collect();
    for push in &mut postponed {
        if let Some(until) = settling.get(&push.listing_id()) {
            push.postpone(*until, now);
        }
    }
    (page, postponed)
}

/// What to do with a page of due pushes of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Overwrites: read the targets of their listings, then send them.
    Aim(Vec<Push>),
    /// Increases: read their listings first.
    ReadFirst(Vec<Push>),
    /// Increases: send them by this method.
    Send(Vec<Push>, Method),
    /// Increases whose store can neither add nor be read: they are superseded, and their listings overwritten.
    OverwriteInstead(Vec<Push>, Vec<(ListingId, ListingUpdate)>),
}

/// Chooses how a page of due pushes of this kind is sent.
pub fn next_step(kind: PushKind, mut page: Vec<Push>, abilities: &Abilities, now: Timestamp) -> Step {
    if kind == PushKind::Overwrite {
        return Step::Aim(page);
    }
    match abilities.increase_method() {
        Some(method) if method.reads_first() => Step::ReadFirst(page),
        Some(method) => Step::Send(page, method),
        None => {
            let heal = || Some("This store can only be overwritten.".to_owned());
            let updates = page.iter().map(|push| (push.listing_id(), ListingUpdate { heal: heal(), ..ListingUpdate::default() })).collect();
            for push in &mut page {
                push.supersede("This store can only be overwritten; its target contains this.", now);
            }
            Step::OverwriteInstead(page, updates)
        }
    }
}

/// How an unknown outcome of an overwrite is determined at a store that can do this.
pub fn overwrite_resolution(abilities: &Abilities) -> Resolution {
    if abilities.idempotency { Resolution::SameCallAgain } else { Resolution::Overwrite }
}

/// How overwrites are sent whose listings were read first.
pub fn overwrite_after_read(abilities: &Abilities) -> SendBy {
    let resolution = overwrite_resolution(abilities);
    if abilities.compare_and_set { SendBy::OverwriteUnchanged(resolution) } else { SendBy::Overwrite(resolution) }
}

/// How a call of unknown outcome is repeated.
pub fn repetition(abilities: &Abilities) -> SendBy {
    if abilities.compare_and_set { SendBy::RepeatUnchanged } else { SendBy::Repeat }
}

/// The waiting increases that the targets of overwrites contain, superseded by them.
pub fn contained(active: Vec<Push>, now: Timestamp) -> Vec<Push> {
    let mut contained: Vec<Push> = active.into_iter().filter(Push::is_mergeable).collect();
    contained.iter_mut().for_each(|push| push.supersede("An overwrite of the listing contains this.", now));
    contained
}

/// Puts a page on its way as one call, in the order of the pushes' ids.
///
/// # Errors
/// One of the pushes may not be sent this way.
pub fn begin(page: &mut [Push], id: CallId, by: SendBy, now: Timestamp) -> Result<ClaimedCall, Invalid> {
    page.sort_unstable_by_key(Push::id);
    let kind = page.first().map_or(PushKind::Increase, Push::kind);
    if by.is_repeat() && page.iter().any(|push| push.base().is_none()) {
        // The call was made without reading. A base that stands beside one of its pushes is of an earlier call (a former
        // version kept it), and must not turn the repetition from additions into numbers to set.
        page.iter_mut().for_each(Push::forget_base);
    }
    let items = page.iter_mut().map(|push| {
        let due_for = push.due_at().map_or(Duration::ZERO, |at| (now - at).to_std().unwrap_or_default());
        let change = push.begin(id, by, now)?;
        let (external_id, extra) = (push.external_id().to_owned(), push.extra().map(str::to_owned));
        Ok(ClaimedItem { push: push.id(), listing: push.listing_id(), external_id, extra, change, due_for })
    });
    Ok(ClaimedCall { id, kind, items: items.collect::<Result<_, _>>()? })
}

#[cfg(test)]
mod tests;
