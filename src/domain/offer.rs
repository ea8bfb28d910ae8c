//! A call that a store offers while nothing keeps it from sending one: the transaction that makes increases for the store
//! puts them into it, so that they are on their way as soon as they are recorded, and nothing is claimed.
//!
//! What goes into it is what a [`claim`](super::claim) at that instant would send.
use super::claim::{ClaimTerms, ClaimedCall, Step, begin, next_step, page_of};
use super::push::{Invalid, Push, PushKind, SendBy};
use super::{CallId, Timestamp};
use chrono::TimeDelta;

/// An offer that is older is not used: what the store's actor believed may not hold any more. It offers another one when it
/// wakes next.
const VALID_FOR: TimeDelta = TimeDelta::minutes(15);

/// A call that may be made at once.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// Its id. Whoever offers it counts it among the calls under way until it is known whether it is made.
    pub call: CallId,
    /// What it may look like.
    pub terms: ClaimTerms,
    made_at: Timestamp,
}

impl Offer {
    /// A call by these terms; `None` where increases cannot be sent, or not before their listings were read.
    pub fn new(terms: ClaimTerms, now: Timestamp) -> Option<Self> {
        let method = terms.abilities.increase_method()?;
        (!method.reads_first()).then(|| Self { call: CallId::new(now), terms, made_at: now })
    }

    /// Whether it may be used at `now`.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.made_at <= now && now < self.made_at + VALID_FOR
    }

    /// Those of these due increases that the call takes, on their way, and the call. The pushes have passed
    /// [`may_go`], and nothing of their listings is in flight or may still arrive. `None` if it takes none.
    ///
    /// # Errors
    /// One of the pushes may not be sent.
    pub fn take(&self, due: Vec<Push>, now: Timestamp) -> Result<Option<(Vec<Push>, ClaimedCall)>, Invalid> {
        let page = page_of(due, &self.terms);
        if page.is_empty() || !self.is_valid(now) {
            return Ok(None);
        }
        let Step::Send(mut page, method) = next_step(PushKind::Increase, page, &self.terms.abilities, now) else { return Ok(None) };
        let call = begin(&mut page, self.call, SendBy::Increase(method), now)?;
        Ok(Some((page, call)))
    }
}

/// Whether a claim at `now` would look at this push as an increase: it is due, and neither it nor its store is held.
pub fn may_go(push: &Push, now: Timestamp) -> bool {
    push.kind() == PushKind::Increase && push.state().is_claimable() && push.due_at().is_some_and(|at| at <= now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::{Abilities, Change};
    use crate::domain::push::{Addressee, PushState};
    use crate::domain::retry::RetryPolicy;
    use crate::domain::{ListingId, StoreId};
    use uuid::Uuid;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn terms(idempotency: bool, adjust: bool, limit: usize) -> ClaimTerms {
        let abilities = Abilities { adjust, idempotency, compare_and_set: false, read: true, max_items: limit };
        let policy = RetryPolicy::default();
        ClaimTerms { abilities, limit, group_by: None, overwrites_first: false, overwrites_wait: false, policy, jitter: 0.5 }
    }

    fn increase(listing: u128, held: bool) -> Push {
        let (listing_id, store_id) = (ListingId(Uuid::from_u128(listing)), StoreId(Uuid::nil()));
        let to = Addressee { store_id, listing_id, sku: "A".to_owned(), external_id: "a".to_owned(), extra: None };
        Push::increase(to, 3, at(100), held)
    }

    #[test]
    fn only_a_store_that_adds_without_reading_first_offers_a_call() {
        assert!(Offer::new(terms(true, true, 1), at(0)).is_some());
        assert!(Offer::new(terms(false, true, 1), at(0)).is_none(), "it is read first");
        assert!(Offer::new(terms(true, false, 1), at(0)).is_none(), "it only sets");
        let blind = ClaimTerms { abilities: Abilities { read: false, ..terms(false, true, 1).abilities }, ..terms(false, true, 1) };
        assert!(Offer::new(blind, at(0)).is_some());
    }

    #[test]
    fn an_offer_holds_for_a_while_and_not_after_the_clock_was_set_back() {
        let offer = Offer::new(terms(true, true, 1), at(100)).unwrap();
        let end = at(100) + VALID_FOR;
        let valid = [at(99), at(100), end - TimeDelta::milliseconds(1), end].map(|now| offer.is_valid(now));
        assert_eq!(valid, [false, true, true, false]);
        assert_eq!(offer.take(vec![increase(1, false)], end).unwrap(), None);
    }

    #[test]
    fn a_call_takes_what_a_claim_would_and_one_push_of_each_listing() {
        let offer = Offer::new(terms(true, true, 2), at(100)).unwrap();
        let due = vec![increase(1, false), increase(1, false), increase(2, false), increase(3, false)];
        let (page, call) = offer.take(due.clone(), at(101)).unwrap().unwrap();
        assert_eq!(page.iter().map(Push::id).collect::<Vec<_>>(), [due[0].id(), due[2].id()]);
        assert!(
            page.iter().all(|push| push.state() == PushState::Sending && push.call_id() == Some(offer.call) && push.due_at().is_none())
        );
        assert_eq!((call.id, call.items.iter().map(|item| item.change).collect()), (offer.call, vec![Change::Add(3); 2]));
        assert_eq!(offer.take(Vec::new(), at(101)).unwrap(), None);
    }

    #[test]
    fn what_is_held_or_not_due_yet_or_an_overwrite_does_not_go() {
        let goes = |push: &Push| may_go(push, at(100));
        assert!(goes(&increase(1, false)) && !goes(&increase(1, true)));
        let mut later = increase(1, false);
        later.postpone(at(101), at(100));
        assert!(!goes(&later));
        let to = Addressee {
            store_id: StoreId(Uuid::nil()),
            listing_id: ListingId(Uuid::nil()),
            sku: String::new(),
            external_id: String::new(),
            extra: None,
        };
        assert!(!goes(&Push::overwrite(to, at(100), None, None, false)));
    }
}
