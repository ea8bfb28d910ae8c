//! The load generator behind `stocktide load`: sends synthetic stock events to a running service as an outside client
//! would, then holds what a running simulated platform shows against a model of its own.
//!
//! It shares no rule with the service: [`model`] is written from the contract alone, so that a mistake in the
//! service's arithmetic cannot hide in the same mistake here. It speaks HTTP, and knows the service by its interface.
//!
//! A run in six steps: [`workload`] draws all events from the seed; [`fleet`] creates sellers, stores and listings;
//! [`send`] sends, each SKU's events in order on one connection, and repeats what was not answered under the same event
//! ids, so the service may be killed and started again meanwhile; [`records`] waits until nothing is under way and reads
//! the records; [`verdict`] compares every listing; [`latency`] measures from acceptance to the platform's receipt.
//! [`overwrite`] is the other kind of run: one overwrite of many listings against a rate limit.
//!
//! Latencies and the placing of overwrites compare instants of this program, the service and the platform: all three
//! must run by one clock, that is on one machine.
mod api;
mod args;
mod face;
mod fleet;
mod latency;
mod model;
mod overwrite;
mod plan;
mod platform;
mod progress;
mod records;
mod report;
mod run;
mod send;
mod verdict;
mod workload;

pub use api::Error;
pub use args::Args;
pub use face::Face;
pub use latency::Latencies;
pub use plan::{Kind, Mix, Offers, Plan, Task};
pub use report::{EventsReport, OverwriteReport, Report, Retries, Sending, Setting, Settled};
pub use run::run;
pub use verdict::Verdict;
