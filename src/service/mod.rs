//! Use cases: what sellers and operators can do, one file a resource. Each takes who asks and a typed input, then loads,
//! decides by [`domain`](crate::domain), saves, and writes the audit log, in one transaction.
//!
//! `http` and the console parse, call one of these and answer; another door, such as a message queue, would do the same.
//! No use case wakes the actors: the database's hook does, after the commit, by what the transaction has changed.
pub mod connection;
pub mod daily;
pub mod delivery;
pub mod discover;
pub mod listings;
pub mod preview;
pub mod pushes;
pub mod rules;
pub mod sellers;
pub mod settings;
pub mod shares;
pub mod skus;
pub mod stock_events;
pub mod stores;
pub mod syncs;
pub mod warehouses;

mod context;

pub use context::{Caller, Error, Forget, Operator, Result, Service};
