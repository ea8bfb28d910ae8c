//! What happens to waiting pushes as a group: merged, retried by the seller, joined by the overwrites that heal listings.
use crate::domain::push::{Addressee, OverwriteBehind, Push, PushKind, Retry};
use crate::domain::{ListingId, StoreId, Timestamp};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

/// Merges increases of one listing that wait beside each other, as happens when one of them comes back, into the oldest.
/// `active` is in the order of ids. Returns those that changed.
pub fn merge(active: Vec<Push>, now: Timestamp) -> Vec<Push> {
    let mut oldest: HashMap<ListingId, Push> = HashMap::new();
    let mut changed = Vec::new();
    for mut push in active.into_iter().filter(Push::is_mergeable) {
        match oldest.entry(push.listing_id()) {
            Entry::Occupied(mut first) => {
                first.get_mut().merge(&mut push, now);
                changed.push(push);
                if !first.get().is_mergeable() {
                    changed.push(first.remove());
                }
            }
            Entry::Vacant(none) => {
                none.insert(push);
            }
        }
    }
    if !changed.is_empty() {
        changed.extend(oldest.into_values());
    }
    changed
}

/// What a retry depends on beside the pushes themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetryFacts {
    /// Listings that are still paired.
    pub paired: BTreeSet<ListingId>,
    /// Stores that are held.
    pub held: BTreeSet<StoreId>,
    /// The active pushes of the same listings.
    pub active: Vec<Push>,
}

/// Pushes after a retry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retried {
    /// Those that changed.
    pub changed: Vec<Push>,
    /// The listings of those that wait again, one entry for each push.
    pub queued: Vec<ListingId>,
}

/// Retries rejected or held pushes for the seller.
///
/// While an overwrite is in flight, nothing else of its listing is sent, so an increase that is rejected was rejected
/// before the overwrite's target was read. A waiting overwrite will contain it too, unless it is cancelled; and an
/// overwrite being cancelled may or may not have been applied.
pub fn retry(page: Vec<Push>, facts: &RetryFacts, now: Timestamp) -> Retried {
    let overwrites = facts.active.iter().chain(&page).filter(|push| push.kind() == PushKind::Overwrite && push.undo().is_none());
    let behind = |push: &Push| {
        if push.cancel_requested() || !push.state().is_in_flight() { OverwriteBehind::Open } else { OverwriteBehind::Contains }
    };
    let overwrites: HashMap<ListingId, OverwriteBehind> = overwrites.map(|push| (push.listing_id(), behind(push))).collect();
    let mut retried = Retried::default();
    for mut push in page {
        let listing = push.listing_id();
        if !facts.paired.contains(&listing) {
            continue;
        }
        match push.retry(overwrites.get(&listing).copied(), facts.held.contains(&push.store_id()), now) {
            Retry::Unchanged => continue,
            Retry::Superseded => {}
            Retry::Queued => retried.queued.push(listing),
        }
        retried.changed.push(push);
    }
    retried
}

/// Overwrites that heal listings, each for its reason: one for each listing that has none waiting. `active` are the
/// active pushes of these listings, `addressees` those that are still paired.
pub fn heal(
    listings: &[(ListingId, String)],
    active: &[Push],
    mut addressees: HashMap<ListingId, Addressee>,
    held: &BTreeSet<StoreId>,
    now: Timestamp,
) -> Vec<Push> {
    // A run may be canceled, and its overwrites with it.
    let has_one = active.iter().filter(|push| push.is_waiting_overwrite() && push.run_id().is_none());
    let has_one: BTreeSet<ListingId> = has_one.map(Push::listing_id).collect();
    let wanted = listings.iter().filter(|(listing, _)| !has_one.contains(listing));
    let heal = wanted.filter_map(|(listing, reason)| {
        let to = addressees.remove(listing)?;
        let is_held = held.contains(&to.store_id);
        Some(Push::overwrite(to, now, None, Some(reason), is_held))
    });
    heal.collect()
}
