//! What keeps two nodes from making the same call, where another node may take over a seller: the epoch of the lease stops what a
//! node writes, but not a request of a node that was frozen after its claim.
use super::outbound::Outbound;
use crate::clock::Clock;
use crate::db::{Error, SellerDb, Tenant};
use crate::domain::retry::RetryPolicy;
use crate::domain::{CallId, StoreId, Timestamp};
use crate::platforms::client::MaySend;
use futures_util::FutureExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The first and the longest pause between two attempts to prove it while the database does not answer.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// What a claim finds out first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recover {
    /// Nothing.
    #[default]
    Nothing,
    /// Which pushes were cut off in flight.
    CutOff,
    /// The same where another node may have called the store before, by another clock.
    TakenOver,
}

impl Recover {
    /// Finds out what was cut off, by the rule for what another node may have begun.
    pub(super) fn recover(
        self,
        t: &mut Tenant<'_>,
        store: StoreId,
        under_way: &[CallId],
        (policy, recovery): (&RetryPolicy, &RetryPolicy),
        now: Timestamp,
    ) -> Result<(), Error> {
        if self == Self::TakenOver {
            t.settle_anew(store, policy, now)?;
        }
        if self != Self::Nothing {
            t.recover_store(store, under_way, recovery, now)?;
        }
        Ok(())
    }
}

/// By what rule pushes are recovered that nothing here is sending. Where another node may have begun to send them, it may be frozen
/// in the middle of that: what it still does within this time has to arrive first.
pub(super) fn recovery(db: &SellerDb, policy: RetryPolicy, send_within: Duration) -> RetryPolicy {
    let longer = if db.lease().is_some() { send_within } else { Duration::ZERO };
    RetryPolicy { settle_for: policy.settle_for + longer, ..policy }
}

/// An instant at which the seller's lease is known to have been held, by both clocks: the monotonic one of a virtual machine may
/// stand still while the machine is suspended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proof(Instant, Timestamp);

impl Proof {
    /// Holds from now on if the transaction that begins now is committed.
    pub(super) fn now(clock: &Clock) -> Self {
        Self(Instant::now(), clock.now())
    }

    /// Of a transaction that began at this instant, or later, by both clocks.
    pub(super) fn at(instant: Instant, time: Timestamp) -> Self {
        Self(instant, time)
    }

    fn is_more_recent_than(self, age: Duration, clock: &Clock) -> bool {
        let passed = clock.now() - self.1;
        self.0.elapsed() < age && passed.to_std().is_ok_and(|passed| passed < age)
    }
}

/// Whether a request may be sent: its claim is recent, or a transaction has just proved that no other node has taken over since.
pub(super) fn may_send(db: SellerDb, outbound: &Outbound, claimed: Proof) -> MaySend {
    let (clock, send_within, latest) = (outbound.clock.clone(), outbound.send_within, Arc::new(Mutex::new(claimed)));
    Arc::new(move || {
        let (db, clock, latest) = (db.clone(), clock.clone(), Arc::clone(&latest));
        async move {
            let [mut pause, longest_pause] = PAUSES;
            while db.lease().is_some() && !latest.lock().unwrap_or_else(PoisonError::into_inner).is_more_recent_than(send_within, &clock) {
                let proof = Proof::now(&clock);
                match db.write(|_| Ok(())).await {
                    Ok(()) => *latest.lock().unwrap_or_else(PoisonError::into_inner) = proof,
                    Err(Error::Fenced | Error::NotFound) => return false,
                    Err(_) => {
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(longest_pause);
                    }
                }
            }
            true
        }
        .boxed()
    })
}
