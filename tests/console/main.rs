//! The console as a seller uses it: a real browser, a whole service over HTTP and the simulated platform. Includes one
//! journey without JavaScript, attacks, accessibility checks of every page and, on request, screenshots.
//!
//! Needs Debian's packages chromium and chromium-driver. Without them, browser tests report that they are skipped; with
//! `STOCKTIDE_TEST_REQUIRE=all` they fail.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot continue should fail at once"
)]

mod bundles;
mod connect;
#[path = "../support/database.rs"]
mod database;
mod drift;
mod emails;
mod falls;
mod guard;
mod notices;
mod operator;
mod pages;
mod pauses;
mod scene;
mod security;
mod seller;
mod stream;
mod support;
mod undo;
mod units;
mod unseen_sales;
mod webhooks;
