//! The load generator behind `stocktide load`: sends synthetic stock events to a running service as an outside client
//! would, then compares what a running simulated platform shows with a model of its own.
//!
//! It shares no rules with the service: [`model`] is written from the contract alone, so that a mistake in the service's
//! arithmetic is not repeated here and thereby hidden. It knows the service only by its HTTP interface.
//!
//! A run that sends events ([`events`]) has six steps: [`workload`] draws all events from the seed; [`fleet`] creates
//! sellers, stores and listings; [`send`] sends the events, those of each SKU in order on one connection, and retries
//! unanswered requests with the same event ids, so that the service may be killed and restarted meanwhile; [`records`]
//! waits until no push is under way and reads the records; [`verdict`] compares every listing; [`latency`] measures the
//! time from acceptance to the platform's receipt. The other kind of run ([`overwrite`]) overwrites many listings once
//! against a rate limit. [`report`] is for people at a terminal and for programs, [`page`] for people who look later.
//!
//! Latencies and the timing of overwrites compare timestamps of this program, the service and the platform, so all three
//! must use the same clock; that is, run on the same machine.
mod api;
mod args;
mod chart;
mod context;
mod counts;
mod course;
mod events;
mod face;
mod fleet;
mod latency;
mod model;
mod numbers;
mod overwrite;
mod page;
mod plan;
mod platform;
mod progress;
mod records;
mod report;
mod run;
mod send;
mod setting;
mod store;
mod verdict;
mod workload;

pub use api::{Error, Retries};
pub use args::Args;
pub use course::{Bucket, Course, Interval};
pub use face::Face;
pub use latency::Latencies;
pub use plan::{Kind, Mix, Offers, Plan, Task};
pub use report::{EventsReport, OverwriteReport, Report, Sending, Settled};
pub use run::run;
pub use setting::{Setting, Surroundings};
pub use verdict::Verdict;
