//! How the nodes that share a database stand, and what a process and its keeper know of one another.
use crate::domain::Timestamp;
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A node of the service, as it is seen from this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// When it started, by its own clock.
    pub started_at: Timestamp,
    /// Sellers with a running supervisor.
    pub active_sellers: i64,
    /// Stores with a running actor.
    pub active_stores: i64,
    /// The shards that it holds.
    pub shards: usize,
    /// How long ago this process saw it renew its leases last.
    pub renewed_for: Duration,
    /// It gives up its shards, to end.
    pub is_leaving: bool,
    /// It does not renew its leases any more.
    pub is_gone: bool,
    /// It is this process.
    pub is_here: bool,
}

/// Makes the keeper look at the rows at once.
#[derive(Debug, Default)]
pub(super) struct Poke(Notify);

impl Poke {
    pub(super) fn poke(&self) {
        self.0.notify_one();
    }

    pub(super) async fn poked(&self) {
        self.0.notified().await;
    }
}

/// What a process and its keeper know of one another.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// All nodes, as the keeper has seen them last.
    pub(super) nodes: Mutex<Vec<Standing>>,
    /// Has it give up everything, and end.
    pub(super) leave: CancellationToken,
    /// It holds nothing any more, or it has died.
    pub(super) ended: CancellationToken,
}
