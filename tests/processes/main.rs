//! What only real processes can show: exit statuses, signals, logs, and that nothing is lost or duplicated when the
//! service is killed at any instant under load. Runs the built program on SQLite and, where `STOCKTIDE_TEST_POSTGRES`
//! names a server, on PostgreSQL too.
//!
//! The instants of the kills are drawn from a fixed seed, or from `STOCKTIDE_TEST_SEED`; the seed is printed.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should say so at once"
)]

#[path = "../support/client.rs"]
mod client;
mod cluster;
#[path = "../support/database.rs"]
mod database;
mod driver;
mod otlp;
#[path = "../support/program.rs"]
mod program;
mod wire;

mod demo;
mod examples;
mod faults;
mod files;
mod fleet;
mod hostile;
mod killing;
mod load;
mod logs;
mod nats;
mod nats_login;
mod nats_server;
mod nodes;
mod pgbouncer;
mod recovery;
mod rolling;
mod settings;
mod signals;
mod start;
mod taint;
mod traces;
