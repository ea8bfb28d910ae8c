//! Who runs, when, and what is done with the answer.
pub mod connection;

use crate::domain::SellerId;

/// The way to the actors, for the HTTP layer. Cheap to clone; messages are hints, the rows are the truth.
#[derive(Clone)]
pub struct Handle {}

impl Handle {
    /// There may be new work for this seller.
    pub fn hint(&self, _seller: SellerId) {}
    /// Its settings, rules, stores or credentials have changed.
    pub fn reconfigure(&self, _seller: SellerId) {}
    /// It was suspended or deleted: ends its actors, after what they have under way.
    pub async fn forget(&self, _seller: SellerId) {}
    /// What runs here.
    pub async fn status(&self) -> NodeStatus {
        NodeStatus::default()
    }
}

/// What runs on this node.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub struct NodeStatus {
    /// Sellers with a running supervisor.
    pub sellers: usize,
    /// Stores with a running actor.
    pub stores: usize,
}
