//! Counts requests with invalid keys by IP address.
use super::error::ApiError;
use super::throttle::Throttle;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Refuses an address above its limit of invalid keys without querying the database. Keys that were recently valid are
/// exempt, because many sellers may share the address of a proxy.
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

    pub(super) fn may_try(&self, address: IpAddr, key: &KeyHash) -> Result<(), ApiError> {
        match self.throttle.check(address) {
            Err(wait) if !self.known_valid().contains(key) => Err(ApiError::too_many_invalid_keys(wait)),
            _ => Ok(()),
        }
    }

    pub(super) fn failed(&self, address: IpAddr, key: &KeyHash) {
        self.known_valid().remove(key);
        self.throttle.failed(address);
    }

    pub(super) fn succeeded(&self, key: KeyHash) {
        let mut known = self.known_valid();
        if known.len() >= MAX_KNOWN_VALID {
            known.clear();
        }
        known.insert(key);
    }
}
