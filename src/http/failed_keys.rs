//! Requests with keys that open nothing, counted by the address that they come from.
use super::error::ApiError;
use super::throttle::Throttle;
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Requests with keys that open nothing, by address: beyond a bound they are refused without a look at the database. Keys
/// that were right lately are looked at in any case: behind one proxy are many sellers.
pub struct FailedKeys {
    throttle: Throttle,
    right: Mutex<HashSet<KeyHash>>,
}

type KeyHash = [u8; 32];

/// Right keys remembered at most.
const MOST_REMEMBERED: usize = 50_000;

impl FailedKeys {
    /// So many failures a minute.
    pub fn new(per_minute: u32) -> Self {
        Self { throttle: Throttle::new(per_minute, Duration::from_secs(60)), right: Mutex::default() }
    }

    fn right(&self) -> MutexGuard<'_, HashSet<KeyHash>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn may_try(&self, address: IpAddr, key: &KeyHash) -> Result<(), ApiError> {
        match self.throttle.check(address) {
            Err(wait) if !self.right().contains(key) => Err(ApiError::wrong_keys(wait)),
            _ => Ok(()),
        }
    }

    pub(super) fn failed(&self, address: IpAddr, key: &KeyHash) {
        self.right().remove(key);
        self.throttle.failed(address);
    }

    pub(super) fn was_right(&self, key: KeyHash) {
        let mut right = self.right();
        if right.len() >= MOST_REMEMBERED {
            right.clear();
        }
        right.insert(key);
    }
}
