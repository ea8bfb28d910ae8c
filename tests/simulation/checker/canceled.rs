//! Canceled pushes: by whom, and what is owed to their listings afterwards.
use super::Checker;
use crate::journal::{Push, State};
use crate::world::{Verdict, fail};

/// How the reasons of overwrites begin that were canceled with their runs.
const WITH_RUN: [&str; 2] = ["Canceled on request", "Its run came in the store's rehearsal"];

/// Whether it was canceled with its run, which keeps none of the increases of its listing from being sent.
pub(super) fn on_request(push: &Push) -> bool {
    push.overwrite && push.reason.as_deref().is_some_and(|reason| WITH_RUN.iter().any(|with_run| reason.starts_with(with_run)))
}

impl Checker<'_> {
    /// Only a seller's action cancels a push: switching sync off, unpairing, rules under which the listing is not pushed, or canceling
    /// its run.
    pub(super) fn canceled(&mut self, seller: &str, push: &Push) -> Verdict {
        let unpushed = push.overwrite && self.target(seller, &push.listing).is_none();
        let of_seller = &self.sellers[seller];
        let settings = of_seller.settings.as_ref().unwrap();
        let store_on = of_seller.stores.get(&push.store).is_some_and(|s| s.enabled);
        let paired = !self.unpaired.contains(&push.listing);
        if settings.auto_sync && store_on && paired && !unpushed && !push.cancel_requested && !on_request(push) {
            return fail("push cancelled without a cause", format!("{push:?}"));
        }
        // What a refused or given up overwrite was to bring is still owed, and brought once the listing can be written again.
        let is_refused = |other: &Push| other.overwrite && other.state == State::Rejected && other.listing == push.listing;
        let is_refused = on_request(push) && self.pushes.values().any(is_refused);
        let Some(listed) = self.listed.get_mut(&push.listing) else { return Ok(()) };
        // Pushes that wait, or are in flight and not yet applied, are still owed; the rest was cancelled with this push.
        let open: i64 = listed.active.values().filter(|p| !p.overwrite).map(|p| listed.outstanding(p)).sum();
        let waits = open + listed.rejected.values().sum::<i64>();
        let dropped = listed.owed - waits;
        if on_request(push) {
            let after_rehearsal = push.reason.as_deref().is_some_and(|reason| reason.starts_with(WITH_RUN[1]));
            let what = if after_rehearsal { "overwrite of a rehearsal canceled" } else { "overwrite canceled with its run" };
            *self.counts.entry(what).or_default() += 1;
            if dropped > 0 && !is_refused && !listed.active.values().any(|other| other.overwrite && other.id != push.id) {
                return fail("increases lost with a canceled run", format!("{dropped} units of {push:?}"));
            }
            return Ok(());
        }
        listed.owed = waits;
        // While an overwrite is on its way, nothing waits beside it but what came after its target was read.
        let since_target = if listed.falls { open } else { (listed.since_target - dropped.max(0)).max(0).min(waits) };
        listed.since_target = since_target;
        Ok(())
    }
}
