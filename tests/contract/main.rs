//! What the service promises, one module per promise. Each test runs a whole service (rows, actors, client) in virtual
//! time against a simulated platform in the same process, on SQLite and, if a server is configured, on PostgreSQL; see
//! [`support::database`].
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failing test should stop at once")]

mod both;
mod bundles;
mod cancel;
mod clock;
mod delivery;
mod drift;
mod explain;
mod frozen_windows;
mod guard;
mod held;
mod incremental;
mod invariants;
mod isolation;
mod manual;
mod neighbours;
mod nodes;
mod offers;
mod outages;
mod packs;
mod pairing;
mod pause_levels;
mod pauses;
mod query_plans;
mod races;
mod rate_limits;
mod rehearsal;
mod rejection;
mod removal;
mod renewals;
mod restarts;
mod settle_time;
mod setups;
mod statements;
mod stock_events;
mod support;
mod switching;
mod targets;
mod timed_full;
mod undo;
mod units;
mod unknown_outcomes;
mod unseen_sales;
mod webhooks;
