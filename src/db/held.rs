//! The leases that this process holds, as far as it knows. The rows decide: whoever acts by a lease has it checked by each
//! transaction.
use crate::domain::SellerId;
use crate::domain::leases::{Lease, shard_of};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Who works for a seller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// This process; by a lease, where other nodes may take over.
    Here(Option<Lease>),
    /// Another node, or none at present.
    Elsewhere,
}

/// The leases of this process. Without any use of [`share`](Self::share) it works for all sellers, and needs none.
#[derive(Debug, Default)]
pub struct Held(Mutex<Option<Shards>>);

/// The epoch of each shard, and since when this process has held it.
type Shards = BTreeMap<i16, (i64, Instant)>;

impl Held {
    fn open(&self) -> MutexGuard<'_, Option<Shards>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this process works only for the shards that it holds, which are none yet.
    pub fn share(&self) {
        self.open().get_or_insert_default();
    }

    /// It holds these as well, from now on.
    pub fn add(&self, leases: &[Lease]) {
        let now = Instant::now();
        self.open().get_or_insert_default().extend(leases.iter().map(|lease| (lease.shard, (lease.epoch, now))));
    }

    /// It does not hold these any more.
    pub fn remove(&self, leases: &[Lease]) {
        if let Some(held) = self.open().as_mut() {
            held.retain(|shard, (epoch, _)| !leases.contains(&Lease { shard: *shard, epoch: *epoch }));
        }
    }

    /// All of them.
    pub fn leases(&self) -> Vec<Lease> {
        self.open().iter().flatten().map(|(shard, (epoch, _))| Lease { shard: *shard, epoch: *epoch }).collect()
    }

    /// Since when it has held this one; `None` if it does not.
    pub fn since(&self, lease: Lease) -> Option<Instant> {
        let held = self.open();
        let (epoch, since) = held.as_ref()?.get(&lease.shard)?;
        (*epoch == lease.epoch).then_some(*since)
    }

    /// Whether this process is the one that does what is done once for all sellers together.
    pub fn has_first(&self) -> bool {
        self.open().as_ref().is_none_or(|held| held.contains_key(&0))
    }

    /// Who works for this seller.
    pub fn place_of(&self, seller: SellerId) -> Place {
        match self.open().as_ref() {
            None => Place::Here(None),
            Some(held) => {
                let shard = shard_of(seller);
                held.get(&shard).map_or(Place::Elsewhere, |(epoch, _)| Place::Here(Some(Lease { shard, epoch: *epoch })))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_process_works_for_everybody_until_it_shares_and_then_for_what_it_holds() {
        let held = Held::default();
        let [a, b] = [1, 2].map(|shard| SellerId(Uuid::from_u128(shard << 16)));
        assert_eq!(held.place_of(a), Place::Here(None));
        held.share();
        assert_eq!(held.place_of(a), Place::Elsewhere);
        let lease = Lease { shard: 1, epoch: 7 };
        held.add(&[lease]);
        assert_eq!([held.place_of(a), held.place_of(b)], [Place::Here(Some(lease)), Place::Elsewhere]);
        held.remove(&[Lease { epoch: 6, ..lease }]);
        assert_eq!(held.leases(), [lease], "an earlier one is gone already");
        held.remove(&[lease]);
        assert_eq!(held.place_of(a), Place::Elsewhere);
    }
}
