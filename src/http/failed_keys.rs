//! Counts requests with invalid keys by IP address.
use super::error::ApiError;
use super::throttle::{Attempt, Throttle};
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Looks up the keys of an address above its limit of invalid keys only one after another. Keys that were recently valid do
/// not wait, because many sellers may share the address of a proxy.
pub struct FailedKeys {
    throttle: Throttle,
    known_valid: Mutex<HashSet<KeyHash>>,
}

type KeyHash = [u8; 32];

const MAX_KNOWN_VALID: usize = 50_000;

impl FailedKeys {
    /// Allows this many failures per minute and address.
    pub fn new(per_minute: u32) -> Self {
        Self { throttle: Throttle::new(per_minute, Duration::from_secs(60)), known_valid: Mutex::default() }
    }

    fn known_valid(&self) -> MutexGuard<'_, HashSet<KeyHash>> {
        self.known_valid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to check a key; returns 429 if too many keys from this address are waiting.
    pub(super) async fn attempt(&self, address: IpAddr, key: &KeyHash) -> Result<Attempt, ApiError> {
        if self.known_valid().contains(key) {
            return Ok(Attempt::default());
        }
        self.throttle.attempt(address).await.map_err(ApiError::too_many_invalid_keys)
    }

    /// The answer to an invalid key, which counts as a failure.
    pub(super) fn refuse(&self, address: IpAddr, key: &KeyHash, otherwise: ApiError) -> ApiError {
        let refusal = self.throttle.check(address).map_or_else(ApiError::too_many_invalid_keys, |()| otherwise);
        self.known_valid().remove(key);
        self.throttle.failed(address);
        refusal
    }

    pub(super) fn succeeded(&self, key: KeyHash) {
        let mut known = self.known_valid();
        if known.len() >= MAX_KNOWN_VALID {
            known.clear();
        }
        known.insert(key);
    }
}
