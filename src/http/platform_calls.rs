//! What calls from platforms share.
use super::throttle::Throttle;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Calls that cannot be used, from one address in a minute.
const MAX_FAILED: u32 = 20;
/// The most calls whose shops are being asked.
const MAX_ASKED: usize = 32;

/// What bounds calls from platforms.
#[derive(Debug)]
pub struct PlatformCalls {
    /// Addresses whose calls cannot be used.
    pub(super) failed: Throttle,
    /// Places for calls whose shops are being asked.
    pub(super) asked: Arc<Semaphore>,
}

impl Default for PlatformCalls {
    fn default() -> Self {
        Self { failed: Throttle::new(MAX_FAILED, Duration::from_secs(60)), asked: Arc::new(Semaphore::new(MAX_ASKED)) }
    }
}
