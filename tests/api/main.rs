//! The HTTP API, from outside: a whole service on a free local port, on SQLite and, where `STOCKTIDE_TEST_POSTGRES`
//! names a server, on PostgreSQL too. With `STOCKTIDE_TEST_REQUIRE=all` a missing server is a failure.
//!
//! Names and shapes are a contract with other people's clients, so these tests are written against the agreed
//! specification rather than the code.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should say so at once"
)]

#[path = "../support/client.rs"]
mod client;
#[path = "../support/database.rs"]
mod database;
mod schema;
mod support;

mod amplification;
mod audit;
mod bad_events;
mod bad_input;
mod behind;
mod bodies;
mod bundles;
mod connect;
mod connect_platforms;
mod consent;
mod description;
mod discovery;
mod drift;
mod email;
mod explain;
mod falls;
mod growth;
mod guard;
mod hooks;
mod http;
mod keys;
mod limits;
mod lists;
mod metrics;
mod neighbours;
mod offers;
mod one_shop;
mod operations;
mod overload;
mod pauses;
mod secrets;
mod shapes;
mod shares;
mod spreadsheets;
mod undo;
mod units;
mod unseen_sales;
mod usage;
mod visitor;
mod webhooks;
mod work;
