//! Use cases: what sellers and operators can do, one file per resource. Each takes the caller and a typed input; in one
//! transaction it loads rows, lets [`domain`](crate::domain) decide, saves, and writes the audit log.
//!
//! `http`, the console and `nats` parse what has come in, call a use case and format the answer. No use case wakes the actors: the database's hook does, after the commit, depending on what
//! the transaction has changed.
pub mod apps;
pub mod behind;
pub mod bundles;
mod checks;
pub mod connect;
pub mod connected;
pub mod connection;
pub mod daily;
pub mod delivery;
pub mod discover;
pub mod drift;
pub mod email;
pub mod explain;
pub mod frozen_windows;
mod grants;
pub mod guard;
pub mod hooks;
pub mod listings;
pub mod mailing;
pub mod pauses;
pub mod platforms;
pub mod preview;
pub mod pushes;
pub mod quotas;
pub mod rehearsal;
pub mod removal;
pub mod renewing;
pub mod rules;
pub mod sellers;
pub mod settings;
pub mod shares;
mod shops;
pub mod skus;
pub mod stock_events;
mod store_change;
pub mod store_figures;
pub mod stores;
pub mod syncs;
pub mod undo;
pub mod usage;
pub mod warehouses;
pub mod webhooks;

mod context;
pub mod credentials;

pub use context::{Caller, Error, Forget, OUTBOUND_AT_ONCE, Operator, Result, Service};
