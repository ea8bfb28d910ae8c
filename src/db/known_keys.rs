//! API keys that were found valid a moment ago, so that not every request reads its key again.
//!
//! What the operator changes in this process counts at once; what another process changes, within [`KNOWN_FOR`].
use super::sellers::KeyOwner;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a key is known to be valid after it was read.
const KNOWN_FOR: Duration = Duration::from_secs(1);
/// The most keys that are known at a time.
const MOST_KEYS: usize = 10_000;

/// The digest of a key.
pub(super) type Hash = [u8; 32];

#[derive(Debug, Default)]
struct Known {
    owners: HashMap<Hash, (KeyOwner, Instant)>,
    /// How often keys or sellers may have changed.
    changes: u64,
}

/// Valid keys, by their digests.
#[derive(Debug, Default)]
pub(super) struct KnownKeys(Mutex<Known>);

impl KnownKeys {
    fn open(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets all of them: keys or sellers may have changed.
    pub(super) fn forget(&self) {
        let mut known = self.open();
        known.changes += 1;
        known.owners.clear();
    }

    /// The owner of a key that was read not long ago, or how many changes there have been until now.
    pub(super) fn find(&self, hash: &Hash, now: Instant) -> Result<KeyOwner, u64> {
        let known = self.open();
        match known.owners.get(hash) {
            Some((owner, read_at)) if now.saturating_duration_since(*read_at) < KNOWN_FOR => Ok(*owner),
            _ => Err(known.changes),
        }
    }

    /// Notes what was read at `read_at`, after this many changes; it does not count if there have been others since.
    pub(super) fn note(&self, hash: Hash, owner: KeyOwner, read_at: Instant, changes: u64) {
        let mut known = self.open();
        if owner.revoked || owner.suspended || known.changes != changes {
            return;
        }
        if known.owners.len() >= MOST_KEYS {
            known.owners.clear();
        }
        known.owners.insert(hash, (owner, read_at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{KeyId, SellerId};
    use uuid::Uuid;

    const OWNER: KeyOwner =
        KeyOwner { seller: SellerId(Uuid::nil()), key: KeyId(Uuid::nil()), revoked: false, suspended: false, events_per_second: None };

    #[tokio::test(start_paused = true)]
    async fn a_key_is_read_again_after_a_second_and_after_any_change() {
        let (keys, now) = (KnownKeys::default(), Instant::now());
        assert_eq!(keys.find(&[1; 32], now), Err(0));
        keys.note([1; 32], OWNER, now, 0);
        assert_eq!(keys.find(&[1; 32], now + Duration::from_millis(999)), Ok(OWNER));
        assert_eq!(keys.find(&[1; 32], now + KNOWN_FOR), Err(0));
        assert_eq!(keys.find(&[2; 32], now), Err(0));
        keys.forget();
        assert_eq!(keys.find(&[1; 32], now), Err(1));
        keys.note([1; 32], OWNER, now, 0);
        assert_eq!(keys.find(&[1; 32], now), Err(1), "it was read before the change");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_is_refused_is_never_known() {
        let (keys, now) = (KnownKeys::default(), Instant::now());
        for refused in [KeyOwner { revoked: true, ..OWNER }, KeyOwner { suspended: true, ..OWNER }] {
            keys.note([1; 32], refused, now, 0);
            assert_eq!(keys.find(&[1; 32], now), Err(0));
        }
    }
}
