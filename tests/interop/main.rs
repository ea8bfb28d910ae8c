//! The service, as a process, against software that real shops run, even when it is killed in the middle of its work.
//!
//! Run with `cargo test --test interop`. Vendure is installed, started and seeded by the scripts in
//! `../shared/real/vendure` beside the package, or in the folder named by `STOCKTIDE_TEST_VENDURE`; they need Node.js 20
//! and a PostgreSQL server. The installation is kept in the target folder for later runs. If there are no scripts beside
//! the package the test reports that and does nothing; anything else that is missing is a failure with
//! `STOCKTIDE_TEST_REQUIRE=all`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should say so at once"
)]

#[path = "../support/client.rs"]
mod client;
#[expect(dead_code, reason = "this test only needs SQLite")]
#[path = "../support/database.rs"]
mod database;
mod orders;
#[expect(dead_code, reason = "the other suite uses the rest of it")]
#[path = "../support/program.rs"]
mod program;
mod seller;
mod shop;

use seller::Seller;
use shop::Shop;
use std::collections::BTreeMap;

/// SKUs that exist in the shop and in the service under the same name.
const SKUS: usize = 200;
/// The service is killed once this many listings have changed, while it is working on the rest.
const MIDDLE: usize = 40;

fn skus() -> Vec<String> {
    (1..=SKUS).map(|n| format!("SKU-{n:04}")).collect()
}

/// Maps each SKU to a quantity computed from its number.
fn numbered(number: impl Fn(i64) -> i64) -> BTreeMap<String, i64> {
    skus().into_iter().zip(1..).map(|(sku, n)| (sku, number(n))).collect()
}

fn added(to: &BTreeMap<String, i64>, units: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    to.iter().map(|(sku, shown)| (sku.clone(), shown + units.get(sku).copied().unwrap_or(0))).collect()
}

#[test]
fn two_hundred_skus_of_a_vendure_shop_end_up_exactly_right_even_when_the_service_is_killed() {
    let Some(shop) = Shop::start(SKUS) else { return };
    let available = numbered(|n| 10 + n % 7);
    let mut seller = Seller::new(&shop, &available);

    let found = seller.discover(false);
    assert_eq!((found.matched, found.paired), (SKUS, 0), "nothing is paired unless requested");
    assert_eq!(found.ambiguous, 2, "two variants of the shop have the SKU SKU-DUP");
    let found = seller.discover(true);
    assert_eq!((found.matched, found.paired), (SKUS, SKUS));

    seller.overwrite_everything();
    seller.wait_until_quiet();
    shop.assert_shows(&available, "after a full overwrite");

    // A sale that the shop has shipped lowers what it shows, and an increase is added to that.
    let sold: BTreeMap<String, i64> = skus().into_iter().take(20).map(|sku| (sku, -3)).collect();
    shop.change_stock(&sold);
    let bought = numbered(|n| 1 + n % 5);
    seller.record("purchase", &bought);
    seller.wait_until_quiet();
    let shown = added(&added(&available, &sold), &bought);
    shop.assert_shows(&shown, "after increases");

    let bought_again = numbered(|n| 2 + n % 3);
    let before = shop.shown();
    seller.record("purchase", &bought_again);
    let arrived = shop.wait_until_changed(&before, MIDDLE);
    seller.kill_and_restart();
    println!("killed after {arrived} of {SKUS} increases had arrived");
    assert!(arrived < SKUS, "the kill came too late to be in the middle");
    let late: BTreeMap<String, i64> = skus().into_iter().skip(SKUS / 2).map(|sku| (sku, 4)).collect();
    seller.record("purchase", &late);
    seller.wait_until_quiet();
    let shown = added(&added(&shown, &bought_again), &late);
    shop.assert_shows(&shown, "after increases with a kill in the middle");

    let counted = numbered(|n| 100 + n);
    let before = shop.shown();
    seller.record("count", &counted);
    seller.overwrite_everything();
    let arrived = shop.wait_until_changed(&before, MIDDLE);
    seller.kill_and_restart();
    println!("killed after {arrived} of {SKUS} listings had been overwritten");
    seller.wait_until_quiet();
    shop.assert_shows(&counted, "after an overwrite with a kill in the middle");
    assert_eq!(seller.rejected(), 0);
}

#[test]
fn orders_that_customers_place_between_events_overwrites_and_kills_are_never_put_back_on_sale() {
    let Some(shop) = Shop::start(SKUS) else { return };
    shop.opens();
    let of = |numbers: std::ops::Range<usize>, units: i64| -> BTreeMap<String, i64> {
        skus().into_iter().skip(numbers.start).take(numbers.len()).map(|sku| (sku, units)).collect()
    };
    let less = |from: &BTreeMap<String, i64>, units: &BTreeMap<String, i64>| {
        added(from, &units.iter().map(|(sku, units)| (sku.clone(), -units)).collect())
    };
    let available = numbered(|n| 50 + n % 7);
    let mut seller = Seller::new(&shop, &available);
    seller.discover(true);
    seller.overwrite_everything();
    seller.wait_until_quiet();
    // The first sale that names the store says that its sales are reported.
    let mut offered = available;
    let first = shop.order(&of(0..1, 1));
    seller.report_sales(&of(0..1, 1));
    offered = less(&offered, &of(0..1, 1));
    seller.overwrite_everything();
    seller.wait_until_quiet();
    shop.assert_shows(&offered, "after a reported order and an overwrite");

    let reported = shop.order(&of(0..10, 2));
    shop.order(&of(10..20, 2));
    seller.report_sales(&of(0..10, 2));
    offered = less(&offered, &of(0..20, 2));
    let bought = numbered(|n| 1 + n % 3);
    seller.record("purchase", &bought);
    offered = added(&offered, &bought);
    seller.wait_until_quiet();
    shop.assert_shows(&offered, "after orders and increases");
    shop.sends(&first);
    shop.sends(&reported);
    seller.overwrite_everything();
    seller.wait_until_quiet();
    shop.assert_shows(&offered, "after an overwrite, with orders that nobody has reported");

    // Between the read and the write of each, and between two processes.
    let counted = numbered(|n| 100 + n);
    seller.record("count", &counted);
    // A count says what is in the warehouse, where what was ordered without a report still lies.
    offered = less(&counted, &of(10..20, 2));
    let before = shop.shown();
    let during: Vec<_> = (0..5).map(|n| of(n * 40..n * 40 + 10, 3)).collect();
    std::thread::scope(|scope| {
        seller.overwrite_everything();
        scope.spawn(|| during.iter().for_each(|units| drop(shop.order(units))));
        let arrived = shop.wait_until_changed(&before, MIDDLE);
        seller.kill_and_restart();
        println!("killed after {arrived} of {SKUS} listings had changed");
        assert!(arrived < SKUS, "the kill came too late to be in the middle");
    });
    offered = during.iter().fold(offered, |offered, units| less(&offered, units));
    shop.order(&of(150..160, 4));
    offered = less(&offered, &of(150..160, 4));
    seller.wait_until_quiet();
    seller.overwrite_everything();
    seller.wait_until_quiet();
    shop.assert_shows(&offered, "after orders during overwrites with a kill in the middle");

    seller.report_sales(&of(10..20, 2));
    during.iter().for_each(|units| seller.report_sales(units));
    seller.report_sales(&of(150..160, 4));
    seller.wait_until_quiet();
    shop.assert_shows(&offered, "after everything was reported");
    seller.overwrite_everything();
    seller.wait_until_quiet();
    shop.assert_shows(&offered, "after everything was reported, and overwritten");
    assert_eq!(seller.rejected(), 0);
}
