//! What the service promises, a module per promise: whole services (rows, actors, client) in virtual time, over the
//! simulated platform in process. Every story is told on SQLite and, where a server is named, on PostgreSQL; see
//! [`support::database`].
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so at once"
)]

mod delivery;
mod incremental;
mod invariants;
mod isolation;
mod manual;
mod query_plans;
mod rate_limits;
mod recovery;
mod rejection;
mod stock_events;
mod support;
mod switching;
mod targets;
mod timed_full;
