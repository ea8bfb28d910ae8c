//! Actors: when stores are called, and how work continues after crashes and restarts.
//!
//! [`node::Node`] runs on an arbiter of its own and keeps one [`seller::SellerSupervisor`] for each seller that has work;
//! the supervisor holds the sync settings and keeps one [`store::StoreActor`] for each store. Sellers are distributed over
//! the arbiters of this process by their ids, so all actors of a seller share one arbiter.
//!
//! Where several processes share a database, each works for the sellers of some shards: its keeper (`keeper.rs`) holds leases, and
//! all that the actors write is refused once another process has taken over. Work that is recorded here for a seller of another
//! process is announced there by a notice of PostgreSQL (`signals.rs`).
//!
//! Messages are hints: "there may be work", "settings may have changed". Whoever receives one reads the rows. A message
//! that is lost, duplicated or late therefore costs time, never a push, and a restart takes the same path as normal
//! operation. Only rows survive a restart.
//!
//! Supervision: a panic ends an actor for good. Parents check their children's addresses and replace those that died; the
//! replacement's `started` finds what was in flight. A node has no parent: the process ends with it and has to be
//! restarted by whatever runs it.
//!
//! Parents know their children, never the other way round: a child reports through a `Recipient` of its own messages.
mod deps;
mod handle;
mod keeper;
mod messenger;
pub mod node;
mod open_offer;
mod postman;
pub mod seller;
mod send;
mod signals;
mod standing;
pub mod store;
pub mod store_config;
mod store_runs;
mod token_keeper;

pub use deps::{CHILD_MAILBOX, Deps, NODE_MAILBOX, Running, Settings, Sharing};
pub use handle::{Handle, NodeStatus};
pub use standing::Standing;
