//! How blocking work is run: on tokio's blocking pool, or, in a simulation, in place.
//!
//! The pool's threads answer when they like, so nothing that waits for them happens in the same order twice. A
//! simulation has the work done on its own thread instead, and by [`FaultInjection`] says how long that takes in its own
//! time, whether it fails, and whether its answer is lost after the commit. The service itself never interferes.
use super::error::{Error, Result};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// What a simulation does around every piece of work on the database.
pub trait FaultInjection: Send + Sync {
    /// Before the work; an error keeps it from being done.
    fn before(&self) -> BoxFuture<'static, Result<()>>;
    /// After the work, before anybody is told; an error takes the place of its result.
    fn after(&self) -> BoxFuture<'static, Result<()>>;
}

/// Runs blocking work.
#[derive(Clone)]
pub(super) struct Blocking(Option<Arc<dyn FaultInjection>>);

impl Blocking {
    pub(super) fn new(fault_injection: Option<Arc<dyn FaultInjection>>) -> Self {
        Self(fault_injection)
    }

    /// What `work` returned; an error when it panicked or was interfered with.
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
