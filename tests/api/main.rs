//! The HTTP interface, from outside: a whole service on a free port of this machine, on SQLite and, where
//! `STOCKTIDE_TEST_POSTGRES` names a server, on PostgreSQL too. `STOCKTIDE_TEST_REQUIRE=all` makes the lack of one a
//! failure.
//!
//! Names and shapes are a contract for other people's clients: these tests are written against the agreed page, not
//! against the code.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should say so at once"
)]

mod client;
mod database;
mod schema;
mod support;

mod audit;
mod bad_events;
mod bad_input;
mod description;
mod http;
mod keys;
mod lists;
mod overload;
mod shapes;
mod shares;
