//! The owners of keys that were looked up a moment ago, so that a busy seller's requests do not each look its key up.
//!
//! A key that is revoked through this node is refused from the next request on, one that is revoked through another node or
//! in the database within [`KNOWN_FOR`].
use super::sellers::KeyOwner;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long the owner of a key counts as known.
const KNOWN_FOR: Duration = Duration::from_millis(500);

/// The most keys that are remembered. In a second, few sellers are as busy as that.
const MAX_KNOWN: usize = 10_000;

/// The digest of a key.
type KeyHash = [u8; 32];

/// Keys that were found to be valid, each with its owner and when that was read.
#[derive(Debug, Default)]
pub(super) struct KnownKeys(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    owners: HashMap<KeyHash, (KeyOwner, Instant)>,
    /// How often the right to access has changed. What was read before the latest change is not kept.
    changes: u64,
}

impl KnownKeys {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The owner of this key, if it was read a moment ago; otherwise what [`Self::keep`] has to be given after reading it.
    pub(super) fn find(&self, hash: &KeyHash) -> Result<KeyOwner, u64> {
        let known = self.known();
        match known.owners.get(hash) {
            Some((owner, read_at)) if read_at.elapsed() < KNOWN_FOR => Ok(*owner),
            _ => Err(known.changes),
        }
    }

    /// Keeps what was read, unless the right to access has changed meanwhile.
    pub(super) fn keep(&self, hash: KeyHash, owner: KeyOwner, read_at: Instant, changes: u64) {
        let mut known = self.known();
        if known.changes != changes {
            return;
        }
        if known.owners.len() >= MAX_KNOWN {
            known.owners.clear();
        }
        known.owners.insert(hash, (owner, read_at));
    }

    /// The right to access may have changed: everything is read again.
    pub(super) fn forget(&self) {
        let mut known = self.known();
        known.changes += 1;
        known.owners.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{KeyId, SellerId};
    use uuid::Uuid;

    const KEY: KeyHash = [7; 32];

    fn owner() -> KeyOwner {
        let id = Uuid::from_u128(1);
        KeyOwner { seller: SellerId(id), key: KeyId(id), revoked: false, suspended: false }
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_is_known_for_a_moment() {
        let keys = KnownKeys::default();
        let changes = keys.find(&KEY).unwrap_err();
        keys.keep(KEY, owner(), Instant::now(), changes);
        tokio::time::advance(KNOWN_FOR / 2).await;
        assert_eq!(keys.find(&KEY), Ok(owner()));
        tokio::time::advance(KNOWN_FOR / 2).await;
        assert!(keys.find(&KEY).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_before_a_key_was_revoked_is_not_used_afterwards() {
        let keys = KnownKeys::default();
        let changes = keys.find(&KEY).unwrap_err();
        keys.forget();
        keys.keep(KEY, owner(), Instant::now(), changes);
        let changes = keys.find(&KEY).unwrap_err();
        keys.keep(KEY, owner(), Instant::now(), changes);
        assert!(keys.find(&KEY).is_ok());
        keys.forget();
        assert!(keys.find(&KEY).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_known_keys_is_limited() {
        let keys = KnownKeys::default();
        for n in 0..=MAX_KNOWN {
            let mut hash = [0; 32];
            hash[..8].copy_from_slice(&n.to_le_bytes());
            keys.keep(hash, owner(), Instant::now(), 0);
        }
        assert!(keys.known().owners.len() <= MAX_KNOWN);
    }
}
