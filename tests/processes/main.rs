//! What only real processes show: exit statuses, signals, logs, and that nothing is lost or doubled when the service
//! is killed at any instant under load. Runs the built program; on SQLite and, where `STOCKTIDE_TEST_POSTGRES` names a
//! server, on PostgreSQL too.
//!
//! `STOCKTIDE_TEST_SEED` draws other instants than the usual ones; the seed is printed.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should say so at once"
)]

#[path = "../api/client.rs"]
mod client;
mod cluster;
#[path = "../api/database.rs"]
mod database;
mod driver;
mod program;
mod wire;

mod faults;
mod killing;
mod logs;
mod recovery;
mod settings;
mod signals;
