//! Whether the database can be written to, as far as the latest attempts have shown, and why not.
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Between two trial writes: `/readyz` may be asked by anybody, as often as they like.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// The latest failure of a pool's writes.
#[derive(Debug, Default)]
pub(super) struct Writable(Mutex<Option<Failure>>);

#[derive(Debug)]
struct Failure {
    cause: String,
    /// When `/readyz` last tried to write.
    tried_at: Option<Instant>,
}

impl Writable {
    fn failure(&self) -> MutexGuard<'_, Option<Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A write failed, not because of its content.
    pub(super) fn failed(&self, cause: &str) {
        let mut failure = self.failure();
        let tried_at = failure.as_ref().and_then(|failure| failure.tried_at);
        *failure = Some(Failure { cause: cause.to_owned(), tried_at });
    }

    /// Something was written.
    pub(super) fn works(&self) {
        *self.failure() = None;
    }

    /// Whether the latest write failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failure().is_some()
    }

    /// Why the latest write failed, if it did.
    pub(super) fn cause(&self) -> Option<String> {
        self.failure().as_ref().map(|failure| failure.cause.clone())
    }

    /// Whether to try now. True at most once in [`TRY_EVERY`], and only while writes fail.
    pub(super) fn may_try(&self) -> bool {
        let now = Instant::now();
        let mut failure = self.failure();
        let Some(failure) = failure.as_mut() else { return false };
        let may = failure.tried_at.is_none_or(|at| now.duration_since(at) >= TRY_EVERY);
        if may {
            failure.tried_at = Some(now);
        }
        may
    }
}
