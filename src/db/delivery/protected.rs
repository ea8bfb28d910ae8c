//! What is loaded and saved as overwrites of a store are read first because its unseen sales are protected.
use super::claim::Waiting;
use crate::db::{Result, Tenant};
use crate::domain::access::Access;
use crate::domain::claim::outcome::Answer;
use crate::domain::claim::{self, ClaimTerms, ClaimedCall, ReadFacts, Work};
use crate::domain::push::Push;
use crate::domain::unseen::Expectation;
use crate::domain::{ListingId, PushId, StoreId};
use std::collections::HashMap;

impl Tenant<'_> {
    /// Overwrites that are read before they are claimed.
    pub(super) fn read_then_overwrite(&mut self, page: Vec<Push>) -> Result<Work> {
        let of: Vec<ListingId> = page.iter().map(Push::listing_id).collect();
        let expected = self.expectations(&of)?;
        Ok(Work::ReadThenOverwrite(page, expected))
    }

    /// Claims overwrites whose listings were read: `answer` is that to a read of `page`'s listings, in order, and `before` what was
    /// expected of them when it was decided to read them. Targets and expectations are read in the same transaction, so that a
    /// reported sale lowers both or neither.
    pub fn claim_overwrites_after_read(
        &mut self,
        store: StoreId,
        page: &[PushId],
        before: &HashMap<ListingId, Expectation>,
        answer: Answer<'_>,
        terms: &ClaimTerms,
    ) -> Result<Option<ClaimedCall>> {
        let now = answer.now;
        let standing = self.standing(store, now, now)?;
        if standing.accepts_nothing(now) || !standing.protects(terms) {
            return Ok(None);
        }
        if standing.skus_paused {
            self.hold_paused_skus(store, now)?;
        }
        let Waiting { pushes: waiting, of, busy } = self.still_waiting(store, page, &standing)?;
        let (accounts, expected) = (self.accounts(of.iter().copied())?, self.expectations(&of)?);
        let mut targets = self.targets_of(&of)?;
        let mut waiting: Vec<Push> = waiting.into_values().collect();
        let limit = standing.unseen_for();
        let before_read = waiting.clone();
        let left = self.aim_back(&mut waiting, &mut targets, now)?;
        let waiting = waiting.into_iter().map(|push| (push.id(), push)).collect();
        let facts = ReadFacts { busy: &busy, accounts: &accounts, before, expected: &expected, targets: &targets, limit };
        let mut after = claim::overwrites_after_read(page, waiting, &facts, answer, terms);
        after.aimed.prepend(left);
        self.put(&after.others)?;
        // Those that were given up, or were refused as their listings were read.
        self.count_run_progress(&before_read, &after.others, now)?;
        self.notify_rejected(store, &before_read, &after.others, now)?;
        self.note_outcome(store, answer.outcome, now)?;
        self.update_listings(store, after.updates, now)?;
        self.put_expectations(&after.expectations)?;
        let call = self.send_aimed(after.aimed, claim::overwrite_after_read(&terms.abilities), now)?;
        if call.is_none() && standing.write_refused && Access::after(answer.outcome, false) == Access::Unknown {
            // Nothing is sent, so it is still to be found out whether the store accepts a write.
            self.probe_once_due(store, terms, now)?;
        }
        Ok(call)
    }
}
