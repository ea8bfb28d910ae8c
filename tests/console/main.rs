//! The console as a seller uses it: a real browser, a whole service over HTTP, the simulated platform beside it. One
//! journey without JavaScript; attacks; every page checked for accessibility, and its picture taken on request.
//!
//! Needs Debian's packages chromium and chromium-driver; says so and skips without them, and fails instead with
//! `STOCKTIDE_TEST_REQUIRE=all`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should say so at once"
)]

#[path = "../support/database.rs"]
mod database;
mod pages;
mod scene;
mod security;
mod seller;
mod stream;
mod support;
