//! How blocking work runs: on tokio's blocking pool or, in a simulation, on the caller's thread.
//!
//! Threads of the pool finish in an unpredictable order, which no simulation could repeat. A simulation therefore runs the
//! work on its own thread and decides through [`FaultInjection`] how long it takes in simulated time, whether it fails,
//! and whether its result is lost after the commit. The service itself injects no faults.
use super::error::{Error, Result};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// What a simulation does before and after each piece of work on the database.
pub trait FaultInjection: Send + Sync {
    /// Runs before the work; after an error the work is not done.
    fn before(&self) -> BoxFuture<'static, Result<()>>;
    /// Runs after the work; an error replaces its result.
    fn after(&self) -> BoxFuture<'static, Result<()>>;
}

/// Runs work on the database.
#[derive(Clone)]
pub(super) struct Blocking(Option<Arc<dyn FaultInjection>>);

impl Blocking {
    pub(super) fn new(fault_injection: Option<Arc<dyn FaultInjection>>) -> Self {
        Self(fault_injection)
    }

    /// Whether it is a simulation, in which work has no threads or connections to wait for.
    pub(super) fn is_simulated(&self) -> bool {
        self.0.is_some()
    }

    /// What `work` returned, or an error if it panicked or a fault was injected.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let Some(fault_injection) = &self.0 else {
            return tokio::task::spawn_blocking(work).await.map_err(|e| Error::Unavailable(e.to_string()));
        };
        fault_injection.before().await?;
        let done = work();
        fault_injection.after().await?;
        Ok(done)
    }
}
