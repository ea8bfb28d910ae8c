//! The simulated platform: many stores, a quantity for each item, faults on demand. Tests run it in process
//! ([`in_process`]); the demo and the load generator use it over HTTP ([`serve`]).
//!
//! It has several faces: a small protocol of its own, and the wire formats of Shopee ([`shopee`]) and Shopify (under
//! `/shopify/{shop}`, see `shopify.rs`). All faces share the same stores, faults, limits and receipts.
//!
//! It shares no code with the connectors that talk to it: it parses every request with code of its own.
pub mod args;
mod cache;
mod exchange;
mod faces;
mod faults;
pub mod in_process;
#[cfg(test)]
mod misbehaving_tests;
mod misbehavior;
mod own;
mod platform;
mod receipt;
pub mod serve;
pub mod shopee;
#[cfg(test)]
mod shopee_tests;
mod shopify;
#[cfg(test)]
mod shopify_tests;
mod shops;
mod state;

pub use exchange::{Answer, Decision, Incoming};
pub use faults::{Faults, Rate};
pub use misbehavior::{Chance, DATED_PAUSE_S, Misbehavior, Part};
pub use platform::Simulator;
pub use receipt::{Receipt, Stats};
