//! What changes together in the checker's account of a listing.
use super::{Checker, Excuse, ListingState, Wrong};
use crate::journal::{Listing, Push};
use tokio::time::Instant;

impl ListingState {
    /// Notes that a late request has changed what is shown by this many units.
    pub(super) fn add_late_change(&mut self, units: i64, now: Instant) {
        let (before, sold) = self.wrong.as_ref().map_or((0, self.unreported_sales), |wrong| (wrong.units, wrong.sold));
        let wrong = Wrong { sold, ..Wrong::new(Excuse::AppliedLate, before + units, now) };
        self.wrong = (wrong.units != 0).then_some(wrong);
    }

    /// What was rejected need not be healed any more.
    pub(super) fn expect_no_heal(&mut self) {
        self.given_up.clear();
        self.refused.clear();
    }

    /// The units that this increase has yet to add.
    pub(super) fn outstanding(&self, push: &Push) -> i64 {
        push.quantity.unwrap_or(0) - self.present.get(&push.id).unwrap_or(&0)
    }

    /// An overwrite has taken effect: only what came after its target was read is owed.
    pub(super) fn count_as_overwritten(&mut self) {
        self.owed = self.since_target;
        for id in std::mem::take(&mut self.rejected_before_target) {
            self.rejected.remove(&id);
        }
    }
}

impl Checker<'_> {
    pub(super) fn expect_no_heals(&mut self, seller: &str, of: impl Fn(&Listing) -> bool) {
        let ids: Vec<String> = self.seller(seller).listings.values().filter(|l| of(l)).map(|l| l.id.clone()).collect();
        ids.into_iter().for_each(|id| self.listed.entry(id).or_default().expect_no_heal());
    }
}
