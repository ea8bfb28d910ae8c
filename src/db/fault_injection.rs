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
    /// Instead of [`Self::before`], where a node looks after its leases.
    fn before_leases(&self) -> BoxFuture<'static, Result<()>> {
        self.before()
    }
    /// Tells the other nodes this, and returns what they have said: a simulation has no server to carry it.
    fn exchange(&self, _said: Vec<String>) -> Vec<String> {
        Vec::new()
    }
    /// Returns when other nodes may have said something.
    fn rung(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// Runs work on the database.
#[derive(Clone)]
pub(super) struct Blocking {
    simulation: Option<Arc<dyn FaultInjection>>,
    /// It looks after leases.
    of_leases: bool,
}

impl Blocking {
    pub(super) fn new(simulation: Option<Arc<dyn FaultInjection>>) -> Self {
        Self { simulation, of_leases: false }
    }

    /// The same for what looks after a node's leases.
    pub(super) fn of_leases(&self) -> Self {
        Self { of_leases: true, ..self.clone() }
    }

    /// Whether it is a simulation, in which work has no threads or connections to wait for.
    pub(super) fn is_simulated(&self) -> bool {
        self.simulation.is_some()
    }

    pub(super) fn simulation(&self) -> Option<Arc<dyn FaultInjection>> {
        self.simulation.clone()
    }

    /// What `work` returned, or an error if it panicked or a fault was injected.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let Some(simulation) = &self.simulation else {
            return tokio::task::spawn_blocking(work).await.map_err(|e| Error::Unavailable(e.to_string()));
        };
        if self.of_leases { simulation.before_leases() } else { simulation.before() }.await?;
        let done = work();
        simulation.after().await?;
        Ok(done)
    }
}
