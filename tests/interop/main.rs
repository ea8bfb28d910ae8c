//! The service, as a process, against software that real shops run, also killed in the middle of its work.
//!
//! `cargo test --test interop`. Vendure is installed, started and filled by the scripts in `../shared/real/vendure`
//! beside the package, or where `STOCKTIDE_TEST_VENDURE` says; they need Node.js 20 and PostgreSQL's server. Nothing is
//! installed twice: it stays below the target folder. Where no scripts are beside the package the test says so and does
//! nothing; whatever else is missing is a failure with `STOCKTIDE_TEST_REQUIRE=all`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should say so at once"
)]

#[path = "../api/client.rs"]
mod client;
#[expect(dead_code, reason = "this test needs no PostgreSQL of its own")]
#[path = "../api/database.rs"]
mod database;
#[expect(dead_code, reason = "the tests of the process need more of it")]
#[path = "../processes/program.rs"]
mod program;
mod seller;
mod shop;

use seller::Seller;
use shop::Shop;
use std::collections::BTreeMap;

/// SKUs that are in the shop and here under the same name.
const SKUS: usize = 200;
/// The service is killed when so many listings show something new: it is in the midst of the others.
const MIDDLE: usize = 40;

fn skus() -> Vec<String> {
    (1..=SKUS).map(|n| format!("SKU-{n:04}")).collect()
}

/// Each SKU with a number of its own.
fn numbered(number: impl Fn(i64) -> i64) -> BTreeMap<String, i64> {
    skus().into_iter().zip(1..).map(|(sku, n)| (sku, number(n))).collect()
}

fn added(to: &BTreeMap<String, i64>, units: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    to.iter().map(|(sku, shown)| (sku.clone(), shown + units.get(sku).copied().unwrap_or(0))).collect()
}

#[test]
fn two_hundred_skus_of_a_vendure_shop_end_exactly_right_also_when_the_service_is_killed() {
    let Some(shop) = Shop::start(SKUS) else { return };
    let available = numbered(|n| 10 + n % 7);
    let mut seller = Seller::new(&shop, &available);

    let found = seller.discovers(false);
    assert_eq!((found.matched, found.paired), (SKUS, 0), "nothing is paired unless it is asked for");
    assert_eq!(found.ambiguous, 2, "two variants of the shop have the SKU SKU-DUP");
    let found = seller.discovers(true);
    assert_eq!((found.matched, found.paired), (SKUS, SKUS));

    seller.overwrites();
    seller.until_quiet();
    shop.shows(&available, "after a full overwrite");

    // A sale that the shop has shipped is in what it shows, and an increase is added to that.
    let sold: BTreeMap<String, i64> = skus().into_iter().take(20).map(|sku| (sku, -3)).collect();
    shop.changes_by_itself(&sold);
    let bought = numbered(|n| 1 + n % 5);
    seller.records("purchase", &bought);
    seller.until_quiet();
    let shown = added(&added(&available, &sold), &bought);
    shop.shows(&shown, "after increases");

    let bought_again = numbered(|n| 2 + n % 3);
    let before = shop.shown();
    seller.records("purchase", &bought_again);
    let arrived = shop.until_changed(&before, MIDDLE);
    seller.is_killed();
    println!("killed when {arrived} of {SKUS} increases had arrived");
    assert!(arrived < SKUS, "the kill came too late to be in the middle");
    let late: BTreeMap<String, i64> = skus().into_iter().skip(SKUS / 2).map(|sku| (sku, 4)).collect();
    seller.records("purchase", &late);
    seller.until_quiet();
    let shown = added(&added(&shown, &bought_again), &late);
    shop.shows(&shown, "after increases with a kill in the middle");

    let counted = numbered(|n| 100 + n);
    let before = shop.shown();
    seller.records("count", &counted);
    seller.overwrites();
    let arrived = shop.until_changed(&before, MIDDLE);
    seller.is_killed();
    println!("killed when {arrived} of {SKUS} listings had been overwritten");
    seller.until_quiet();
    shop.shows(&counted, "after an overwrite with a kill in the middle");
    assert_eq!(seller.rejected(), 0);
}
