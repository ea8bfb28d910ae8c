//! Packs: overwrites of one run for one store that are alike in everything but their listing and number, kept as one.
//!
//! A run of a large store concerns tens of thousands of listings, nearly all of which are simply overwritten. A pack keeps
//! many such overwrites together from the time they are queued until they are confirmed or cancelled. As soon as anything
//! else happens to one of them, the pack is unpacked: each of its pushes becomes a [`Push`] of its own, in exactly the state
//! that it had in the pack. So whatever is difficult about delivery is decided for single pushes alone. A pack is never in
//! doubt, never retried and never rejected.
use super::claim::{ClaimTerms, ClaimedCall, ClaimedItem};
use super::delivery::{Change, Outcome, Resolution};
use super::push::{Addressee, Invalid, Push, PushKind, PushState, Record, WAITS_FOR_STORE};
use super::undo::Replaced;
use super::{CallId, ListingId, PushId, RunId, StoreId, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// The most pushes in a new pack.
pub const PACK_SIZE: usize = 100;

/// Overwrites of one run for one store; see the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// The id of its first push; the others follow it.
    pub id: PushId,
    /// The store they go to.
    pub store_id: StoreId,
    /// The run they belong to.
    pub run_id: RunId,
    /// The listings they go to, in the order of the ids of both; all of this store.
    pub items: Vec<Addressee>,
    /// Their numbers, in the same order; none before the targets are read.
    pub quantities: Option<Vec<i64>>,
    /// What each has replaced, in the same order; none before they are confirmed, nor if a former version has confirmed them.
    pub replaced: Option<Vec<Replaced>>,
    /// Queued, held, sending, confirmed or cancelled.
    pub state: PushState,
    /// Why they are in this state.
    pub reason: Option<String>,
    /// When they were made.
    pub created_at: Timestamp,
    /// When they last changed.
    pub updated_at: Timestamp,
    /// Since when they are due.
    pub due_at: Option<Timestamp>,
    /// When their success became known.
    pub confirmed_at: Option<Timestamp>,
    /// The call that carries them.
    pub call_id: Option<CallId>,
    /// How an unknown outcome of that call is determined.
    pub resolution: Option<Resolution>,
}

impl Pack {
    /// Overwrites of listings of one store that are due now, as [`Push::overwrite`] makes them one by one. `None` without
    /// listings.
    pub fn queued(items: Vec<Addressee>, run_id: RunId, now: Timestamp) -> Option<Self> {
        let store_id = items.first()?.store_id;
        Some(Self {
            id: PushId::first_of_many(now),
            store_id,
            run_id,
            items,
            quantities: None,
            replaced: None,
            state: PushState::Queued,
            reason: None,
            created_at: now,
            updated_at: now,
            due_at: Some(now),
            confirmed_at: None,
            call_id: None,
            resolution: None,
        })
    }

    /// How many pushes it holds.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it holds none, which no pack does.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The first and the last of its listings.
    pub fn span(&self) -> Option<(ListingId, ListingId)> {
        let ids = || self.items.iter().map(|to| to.listing_id);
        ids().min().zip(ids().max())
    }

    /// Whether it holds a push to one of these listings.
    pub fn concerns(&self, listings: &BTreeSet<ListingId>) -> bool {
        self.items.iter().any(|to| listings.contains(&to.listing_id))
    }

    /// Its pushes, each on its own.
    ///
    /// # Errors
    /// No transition produces such pushes.
    pub fn pushes(&self) -> Result<Vec<Push>, Invalid> {
        (0..self.len()).filter_map(|n| self.push(n)).collect()
    }

    /// Its push number `n`.
    pub fn push(&self, n: usize) -> Option<Result<Push, Invalid>> {
        let to = self.items.get(n)?;
        let record = Record {
            id: self.id.nth(n),
            store_id: self.store_id,
            listing_id: to.listing_id,
            sku: to.sku.clone(),
            external_id: to.external_id.clone(),
            extra: to.extra.clone(),
            kind: PushKind::Overwrite,
            quantity: self.quantities.as_ref().and_then(|all| all.get(n)).copied(),
            state: self.state,
            attempts: i32::from(self.call_id.is_some()),
            reason: self.reason.clone(),
            next_step: None,
            cause: None,
            raw_answer: None,
            created_at: self.created_at,
            updated_at: self.updated_at,
            due_at: self.due_at,
            confirmed_at: self.confirmed_at,
            call_id: self.call_id,
            base: None,
            resolution: self.resolution,
            failing_since: None,
            batch_limit: None,
            cancel_requested: false,
            run_id: Some(self.run_id),
            in_doubt: false,
            contained: false,
            shown_before: None,
            unseen: None,
            replaced: self.replaced.as_ref().and_then(|all| all.get(n)).copied().unwrap_or_default(),
            undo: None,
        };
        Some(Push::from_record(record))
    }

    /// Its push of this id, if it holds that.
    pub fn push_of(&self, id: PushId) -> Option<Result<Push, Invalid>> {
        self.push(id.place_after(self.id)?)
    }

    /// Splits a queued pack: keeps the first `at` pushes, and returns the others as a pack of their own.
    pub fn split_off(&mut self, at: usize) -> Self {
        let items = self.items.split_off(at.min(self.items.len()));
        Self { id: self.id.nth(self.items.len()), items, ..self.clone_without_items() }
    }

    fn clone_without_items(&self) -> Self {
        Self { items: Vec::new(), quantities: None, replaced: None, reason: self.reason.clone(), ..*self }
    }

    /// Puts all its pushes on their way in one call, as [`Push::aim`] and [`Push::begin`] do with each. `targets` are those
    /// of its listings.
    ///
    /// # Errors
    /// It may not be sent now.
    pub fn begin(&mut self, call: CallId, targets: Vec<i64>, by: Resolution, now: Timestamp) -> Result<Vec<ClaimedItem>, Invalid> {
        if self.state != PushState::Queued || targets.len() != self.items.len() {
            return Err(Invalid { push: self.id, what: "a pack that may not be sent" });
        }
        let due_for = self.due_at.map_or(Duration::ZERO, |at| (now - at).to_std().unwrap_or_default());
        let items = self.items.iter().zip(&targets).enumerate().map(|(n, (to, target))| ClaimedItem {
            push: self.id.nth(n),
            listing: to.listing_id,
            external_id: to.external_id.clone(),
            extra: to.extra.clone(),
            change: Change::Set(*target),
            due_for,
        });
        let items = items.collect();
        (self.state, self.call_id, self.resolution, self.quantities) = (PushState::Sending, Some(call), Some(by), Some(targets));
        self.touch(now, None);
        Ok(items)
    }

    /// The call has succeeded for every one of them, and this is what they have replaced.
    pub fn confirm(&mut self, replaced: Vec<Replaced>, now: Timestamp) {
        self.replaced = Some(replaced);
        (self.state, self.confirmed_at, self.reason) = (PushState::Confirmed, Some(now), None);
        self.touch(now, None);
    }

    /// Its call was refused only because it came too early, so each push waits as if it had not been sent.
    fn wait_again(&mut self, reason: &str, now: Timestamp) {
        self.state = PushState::Queued;
        (self.call_id, self.resolution, self.quantities) = (None, None, None);
        self.reason = Some(reason.to_owned());
        self.touch(now, Some(now));
    }

    /// As [`Push::cancel`] for each while it waits; a pack in flight has to be unpacked for that.
    pub fn cancel(&mut self, reason: &str, now: Timestamp) {
        if self.state.is_waiting() {
            (self.state, self.reason) = (PushState::Cancelled, Some(reason.to_owned()));
            self.touch(now, None);
        }
    }

    /// As [`Push::hold_with_store`] for each.
    pub fn hold_with_store(&mut self, now: Timestamp) {
        if self.state == PushState::Queued {
            self.state = PushState::Held;
            self.reason.get_or_insert_with(|| WAITS_FOR_STORE.to_owned());
            self.touch(now, None);
        }
    }

    /// As [`Push::release_with_store`] for each.
    pub fn release_with_store(&mut self, now: Timestamp) {
        if self.state == PushState::Held {
            (self.state, self.reason) = (PushState::Queued, None);
            self.touch(now, Some(now));
        }
    }

    fn touch(&mut self, now: Timestamp, due: Option<Timestamp>) {
        (self.updated_at, self.due_at) = (now, due);
    }
}

/// What to do with a store's next queued packs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Send these in one call. The last of them was split, if there is a rest.
    Send(Vec<Pack>, Option<Pack>),
    /// Unpack this one: its pushes cannot share a call, or only very few of them can.
    Unpack(Pack),
}

/// Up to this pause, the limits alone make sure that a throttled pack is not sent too early: a longer one has to outlive the process.
const SHORT_PAUSE: Duration = Duration::from_secs(5);

/// After an answer to the call that carries these packs: whether they wait again as they are, because they came a little too early.
/// What is throttled a second time is retried as single pushes are.
pub fn wait_again(packs: &mut [Pack], outcome: &Outcome, now: Timestamp) -> bool {
    let Outcome::TryAgain { throttled: true, after, reason } = outcome else { return false };
    let is_first = packs.iter().all(|pack| pack.reason.is_none());
    if !is_first || after.is_some_and(|after| after > SHORT_PAUSE) {
        return false;
    }
    packs.iter_mut().for_each(|pack| pack.wait_again(reason, now));
    true
}

/// How much smaller than a pack a call may be before it is better unpacked: each call that takes a part of a pack writes what
/// is left of it again.
const LEAST_PART: usize = 4;

/// The next call out of queued packs, which are in the order of their ids. `None` without packs.
pub fn next_call(queued: Vec<Pack>, terms: &ClaimTerms) -> Option<Next> {
    let most = terms.limit.max(1);
    let group_of = |pack: &Pack| {
        let group = |to: &Addressee| terms.group_by.map(|field| to.extra_field(field));
        let first = pack.items.first().map(group)?;
        pack.items.iter().all(|to| group(to) == first).then_some(first)
    };
    let mut queued = queued.into_iter();
    let first = queued.next()?;
    let Some(group) = group_of(&first).filter(|_| first.len() / LEAST_PART <= most) else { return Some(Next::Unpack(first)) };
    let (run, mut room, mut page) = (first.run_id, most, Vec::new());
    for mut pack in std::iter::once(first).chain(queued) {
        if room == 0 || pack.run_id != run || group_of(&pack).as_ref() != Some(&group) {
            break;
        }
        if pack.len() > room {
            let rest = pack.split_off(room);
            page.push(pack);
            return Some(Next::Send(page, Some(rest)));
        }
        room -= pack.len();
        page.push(pack);
    }
    Some(Next::Send(page, None))
}

/// Puts packs on their way as one call; see [`Pack::begin`].
///
/// # Errors
/// One of them may not be sent now, or one of their listings has no target.
pub fn begin(
    packs: &mut [Pack],
    id: CallId,
    targets: &HashMap<ListingId, Option<i64>>,
    by: Resolution,
    now: Timestamp,
) -> Result<ClaimedCall, Invalid> {
    let mut items = Vec::with_capacity(packs.iter().map(Pack::len).sum());
    for pack in packs {
        let own = pack.items.iter().filter_map(|to| targets.get(&to.listing_id).copied().flatten()).collect();
        items.extend(pack.begin(id, own, by, now)?);
    }
    Ok(ClaimedCall { id, kind: PushKind::Overwrite, items })
}

/// Packs of these listings, which are in the order of their ids: one store in each, no more than [`PACK_SIZE`].
pub fn packs_of(listings: Vec<Addressee>, run: RunId, now: Timestamp) -> Vec<Pack> {
    let mut by_store: Vec<(StoreId, Vec<Addressee>)> = Vec::new();
    for to in listings {
        match by_store.iter_mut().find(|(store, _)| *store == to.store_id) {
            Some((_, items)) => items.push(to),
            None => by_store.push((to.store_id, vec![to])),
        }
    }
    let mut packs = Vec::new();
    for (_, mut items) in by_store {
        while !items.is_empty() {
            let rest = items.split_off(PACK_SIZE.min(items.len()));
            packs.extend(Pack::queued(std::mem::replace(&mut items, rest), run, now));
        }
    }
    packs
}

#[cfg(test)]
mod tests;
