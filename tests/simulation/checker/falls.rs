//! Increases and decreases that are owed; when a decrease may be confirmed although the platform has not applied it, and which kinds occurred.
use super::{Checker, LastRead, ListingState};
use crate::journal::{Push, State};
use crate::model::Event;
use crate::world::{Verdict, fail};
use std::collections::BTreeMap;

/// Targets by listing.
type Targets = BTreeMap<String, Option<i64>>;

pub(super) fn takes_off(push: &Push) -> bool {
    !push.overwrite && push.quantity < Some(0)
}

/// What is counted about a push that is in another state now.
pub(super) fn kind(push: &Push, was: Option<State>, starts: bool) -> Option<&'static str> {
    let is_nothing = !push.overwrite && push.quantity == Some(0);
    match push.state {
        State::Superseded if is_nothing && was != Some(State::Superseded) => Some("increase and decrease evened out"),
        _ if starts && takes_off(push) => Some("decrease sent"),
        _ => None,
    }
}

impl Checker<'_> {
    /// The last read of a push's item.
    pub(super) fn read_last(&self, seller: &str, push: &Push) -> Option<LastRead> {
        let store = self.sellers.get(seller)?.stores.get(&push.store)?;
        self.last_read.get(&(store.name.clone(), push.external_id.clone())).copied()
    }

    /// Notes what listings are owed by an event that moves their targets.
    pub(super) fn owe(&mut self, seller: &str, event: &Event, before: &Targets, after: Targets) {
        let of_seller = &self.sellers[seller];
        let moved = |(id, after): (String, Option<i64>)| Some((id.clone(), after? - before.get(&id).copied()??));
        let moved = after.into_iter().filter_map(moved).filter(|(_, units)| *units != 0);
        let (sent, kept): (Vec<_>, Vec<_>) = moved.partition(|(id, units)| of_seller.sends(event, &of_seller.listings[id], *units));
        if event.kind == "return" && of_seller.triggers("return") && !kept.is_empty() {
            *self.counts.entry("return that the store has restocked").or_default() += 1;
        }
        for (listing, units) in sent {
            let listed = self.listed.entry(listing).or_default();
            listed.falls |= units < 0;
            listed.owed += units;
            listed.since_target += units;
        }
    }
}

impl ListingState {
    /// A decrease is confirmed that never arrived: nothing was there to take off, or a read has found as much gone, which the store has sold.
    pub(super) fn has_fallen_without(&mut self, push: &Push, read: Option<LastRead>) -> Verdict {
        if push.is_unsent() && read.is_none_or(|read| read.shown > 0 || read.kept) {
            return fail("decrease left out although something is shown", format!("{push:?}, {read:?}"));
        }
        if !push.is_unsent() && self.sold_since_applied < -push.change() {
            return fail("decrease confirmed, but never applied", format!("{push:?}"));
        }
        self.owed -= push.quantity.unwrap_or(0);
        Ok(())
    }
}
