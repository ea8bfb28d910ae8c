//! Drift: listings that show something other than expected are found, named by cause, and corrected if the seller wants that.
use crate::support::*;
use serde_json::Value;
use stocktide::db::drift::Drifted;
use stocktide::db::runs::RunFilter;
use stocktide::domain::drift::{Cause, DriftCheck, Policy};
use stocktide::domain::settings::SyncSettings;
use stocktide::domain::stock::EventKind;
use stocktide::service::drift;

const SKUS: [&str; 6] = ["A", "B", "C", "D", "E", "F"];

impl Seller<'_> {
    async fn checks_drift(&self, shop: &Shop) -> DriftCheck {
        drift::check(&self.world.service(), &self.caller(), shop.id).await.unwrap()
    }

    async fn last_check(&self, shop: &Shop) -> DriftCheck {
        let id = shop.id;
        self.db().read(move |t| t.drift_checks(Some(id), None, 1)).await.unwrap().remove(0)
    }

    async fn drifted(&self, shop: &Shop) -> Vec<Drifted> {
        let id = shop.id;
        self.db().read(move |t| t.drifted((Some(id), None), None, 10_000)).await.unwrap()
    }

    /// SKU, cause and difference of each listing that differs.
    async fn differences(&self, shop: &Shop) -> Vec<(String, Cause, Option<i64>)> {
        let mut found: Vec<_> = self.drifted(shop).await.into_iter().map(|row| (row.sku, row.drift.cause, row.drift.difference)).collect();
        found.sort();
        found
    }
}

fn differs(sku: &str, cause: Cause, units: i64) -> (String, Cause, Option<i64>) {
    (sku.to_owned(), cause, Some(units))
}

/// A shop that shows 10 of each of its listings by an overwrite.
async fn full_shop(world: &World, seller: &Seller<'_>, platform: Value) -> Shop {
    let shop = seller.shop_on(platform, "corner", &SKUS).await;
    for sku in SKUS {
        seller.event(sku, EventKind::Count, 10).await;
    }
    seller.sync(RunFilter::default()).await;
    world.a_moment().await;
    assert!(SKUS.iter().all(|sku| world.shown(&shop, sku) == 10));
    shop
}

/// The seller, or somebody else, changes a number in the store.
fn edits(world: &World, shop: &Shop, sku: &str, quantity: i64) {
    world.platform.set_quantity(&shop.external, sku, quantity);
}

fn daily(policy: Policy) -> impl Fn(&mut SyncSettings) {
    move |settings| {
        incremental(settings);
        daily_time(settings);
        settings.drift = policy;
    }
}

fn daily_time(settings: &mut SyncSettings) {
    settings.daily_at = chrono::NaiveTime::from_hms_opt(3, 30, 0).unwrap();
    settings.timezone = chrono_tz::UTC;
}

#[test]
fn a_check_names_each_listing_that_differs_and_why_and_sends_nothing() {
    story(async |world| {
        for platform in [platform_that::knows_keys(), platform_that::compares_and_sets(), platform_that::only_sets()] {
            let seller = world.seller(incremental).await;
            let shop = full_shop(world, &seller, platform).await;
            edits(world, &shop, "A", 13);
            world.sells(&shop, "B", 2);
            world.faults(|f| (f.reject_items, f.untracked_items) = (vec!["D".into()], vec!["E".into()]));
            seller.sale("F", 4).await;
            world.sells(&shop, "F", 4);
            let sent = world.received(&shop).len();
            seller.checks_drift(&shop).await;
            world.a_moment().await;
            let found = seller.differences(&shop).await;
            assert_eq!(
                found,
                [
                    differs("A", Cause::EditedInStore, 3),
                    differs("B", Cause::SaleNotReported, -2),
                    ("D".to_owned(), Cause::Unreadable, None),
                    ("E".to_owned(), Cause::NotTracked, None),
                ]
            );
            let check = seller.last_check(&shop).await;
            assert_eq!((check.compared, check.skipped, check.corrected, check.counts.total()), (6, 0, 0, 4));
            assert!(check.finished_at.is_some());
            let last = seller.db().read(|t| t.last_drift_checks()).await.unwrap();
            assert_eq!(last.into_iter().collect::<Vec<_>>(), [(shop.id, check)]);
            assert_eq!(world.received(&shop).len(), sent, "a check only reads");
            world.all_is_well();
        }
    });
}

#[test]
fn a_rejected_update_is_the_cause_until_it_is_made_up_for() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        let shop = full_shop(world, &seller, platform_that::knows_keys()).await;
        world.faults(|f| f.reject_items = vec!["A".into()]);
        seller.purchase("A", 5).await;
        world.a_moment().await;
        world.faults(|f| f.reject_items = Vec::new());
        seller.checks_drift(&shop).await;
        world.a_moment().await;
        assert_eq!(seller.differences(&shop).await, [differs("A", Cause::PushRejected, -5)]);
        world.sleep(days(1)).await;
        assert_eq!(world.shown(&shop, "A"), 15, "a look has found that it can be written again");
        seller.checks_drift(&shop).await;
        world.a_moment().await;
        assert_eq!(seller.differences(&shop).await, []);
    });
}

#[test]
fn in_a_store_whose_sales_are_reported_only_what_nobody_has_reported_differs() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = full_shop(world, &seller, platform_that::compares_and_sets()).await;
        seller.sale_of(&shop, "F", 1).await;
        world.sells(&shop, "F", 1);
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        world.sells(&shop, "A", 3);
        seller.sale_of(&shop, "A", 1).await;
        edits(world, &shop, "B", 14);
        seller.purchase("C", 5).await;
        world.a_moment().await;
        seller.checks_drift(&shop).await;
        world.a_moment().await;
        let found = seller.differences(&shop).await;
        assert_eq!(found, [differs("A", Cause::SaleNotReported, -2), differs("B", Cause::EditedInStore, 4)]);
        seller.sale_of(&shop, "A", 2).await;
        seller.checks_drift(&shop).await;
        world.a_moment().await;
        assert_eq!(seller.differences(&shop).await, [differs("B", Cause::EditedInStore, 4)], "the rest was reported");
    });
}

#[test]
fn the_daily_check_follows_the_daily_time_by_half_an_hour_and_corrects_what_its_policy_says() {
    for (policy, shown) in
        [(Policy::Off, [13, 8, 13]), (Policy::Report, [13, 8, 13]), (Policy::CorrectDown, [10, 8, 13]), (Policy::Correct, [10, 8, 20])]
    {
        story_of_days("2026-03-02T12:00:00Z", async |world| {
            let seller = world.seller(daily(policy)).await;
            let shop = full_shop(world, &seller, platform_that::only_adds()).await;
            edits(world, &shop, "A", 13);
            world.sells(&shop, "B", 2);
            // More arrives while nothing is sent, so that an overwrite would raise this listing.
            seller.switches_off().await;
            seller.event("C", EventKind::Count, 20).await;
            seller.switches_on_only().await;
            edits(world, &shop, "C", 13);
            world.sleep_until("2026-03-03T03:59:00Z").await;
            let checks = async || seller.db().read(|t| t.drift_checks(None, None, 10)).await.unwrap();
            assert_eq!(checks().await, []);
            world.sleep(minutes(15)).await;
            assert_eq!(["A", "B", "C"].map(|sku| world.shown(&shop, sku)), shown, "{policy:?}");
            let found = checks().await;
            assert_eq!(found.len(), usize::from(policy != Policy::Off), "{policy:?}");
            assert!(found.iter().all(|check| (check.counts.total(), check.policy) == (3, policy)), "{found:?}");
            world.sleep(days(4)).await;
            let corrected = if policy == Policy::Correct { 10 } else { 8 };
            assert_eq!(world.shown(&shop, "B"), corrected, "nobody has reported the sale for three days: {policy:?}");
        });
    }
}

#[test]
fn settings_saved_when_a_daily_check_is_due_do_not_put_it_off_to_the_next_day() {
    story(async |world| {
        let seller = world.seller(daily(Policy::Report)).await;
        full_shop(world, &seller, platform_that::only_adds()).await;
        world.sleep_until("2026-03-03T03:59:00Z").await;
        world.crashes().await;
        world.sleep_until("2026-03-03T04:00:05Z").await;
        seller.settings(|settings| settings.buffer = 1).await;
        world.starts();
        world.sleep(minutes(5)).await;
        let checks = seller.db().read(|t| t.drift_checks(None, None, 10)).await.unwrap();
        assert_eq!(checks.len(), 1);
    });
}

#[test]
fn a_thousand_planted_differences_are_all_named_and_take_no_more_calls_than_reading_takes() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let names: Vec<String> = (0..2_000).map(|n| format!("S{n:04}")).collect();
        let skus: Vec<&str> = names.iter().map(String::as_str).collect();
        let shop = seller.shop_on(platform_that::takes(100), "large", &[]).await;
        for part in skus.chunks(500) {
            seller.pair(&shop, part).await;
            seller.record(part.iter().map(|sku| seller.an_event(sku, EventKind::Count, 10)).collect()).await;
        }
        seller.sync(RunFilter::default()).await;
        world.sleep(minutes(5)).await;
        let mut planted = Vec::new();
        for (n, sku) in skus.iter().enumerate().filter(|(n, _)| n % 2 == 0) {
            match n % 8 {
                0 => {
                    edits(world, &shop, sku, 10 + 1 + i64::try_from(n).unwrap());
                    planted.push(differs(sku, Cause::EditedInStore, 1 + i64::try_from(n).unwrap()));
                }
                2 => {
                    world.sells(&shop, sku, 3);
                    planted.push(differs(sku, Cause::SaleNotReported, -3));
                }
                4 => planted.push(((*sku).to_owned(), Cause::NotTracked, None)),
                _ => planted.push(((*sku).to_owned(), Cause::Unreadable, None)),
            }
        }
        let of = |cause: Cause| planted.iter().filter(|(_, of, _)| *of == cause).map(|(sku, ..)| sku.clone()).collect();
        world.faults(|f| (f.untracked_items, f.reject_items) = (of(Cause::NotTracked), of(Cause::Unreadable)));
        world.platform.keep_call_instants();
        seller.checks_drift(&shop).await;
        world.sleep(minutes(5)).await;
        let calls = world.platform.call_instants(&shop.external).len();
        assert_eq!(seller.differences(&shop).await, planted);
        assert_eq!(planted.len(), 1_000);
        let check = seller.last_check(&shop).await;
        assert_eq!((check.compared, check.counts.total(), check.finished_at.is_some()), (2_000, 1_000, true));
        assert!(calls <= 22, "{calls} calls for 2,000 listings, of which a call reads 100");
        world.all_is_well();
    });
}

#[test]
fn a_check_goes_on_after_a_crash_and_after_an_outage_and_counts_every_listing_once() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = full_shop(world, &seller, platform_that::takes(1)).await;
        edits(world, &shop, "A", 13);
        edits(world, &shop, "F", 11);
        world.faults(|f| f.latency_ms = 1_000);
        seller.checks_drift(&shop).await;
        world.sleep(ms(2_500)).await;
        assert!((1..6).contains(&seller.last_check(&shop).await.compared), "it is under way");
        world.crashes().await;
        world.starts();
        world.sleep(ms(1_500)).await;
        world.faults(|f| f.down = true);
        world.sleep(minutes(3)).await;
        assert_eq!(seller.last_check(&shop).await.finished_at, None);
        world.all_is_well();
        world.sleep(minutes(15)).await;
        let check = seller.last_check(&shop).await;
        assert_eq!((check.compared, check.counts.total(), check.finished_at.is_some()), (6, 2, true));
        assert_eq!(seller.differences(&shop).await, [differs("A", Cause::EditedInStore, 3), differs("F", Cause::EditedInStore, 1)]);
    });
}

#[test]
fn a_number_that_was_read_before_an_increase_or_a_report_is_no_difference() {
    story(async |world| {
        for platform in [platform_that::knows_keys(), platform_that::compares_and_sets(), platform_that::only_sets()] {
            let seller = world.seller(incremental).await;
            let shop = full_shop(world, &seller, platform).await;
            world.faults(|f| f.latency_ms = 2_000);
            seller.checks_drift(&shop).await;
            world.sleep(ms(500)).await;
            seller.purchase("A", 5).await;
            seller.sale_of(&shop, "B", 2).await;
            world.sells(&shop, "B", 2);
            world.sleep(minutes(1)).await;
            assert_eq!((world.shown(&shop, "A"), world.shown(&shop, "B")), (15, 8));
            assert_eq!(seller.differences(&shop).await, []);
            assert!(seller.last_check(&shop).await.finished_at.is_some());
            world.all_is_well();
        }
    });
}

#[test]
fn a_store_on_hold_is_not_checked_and_only_one_check_goes_on_at_a_time() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = full_shop(world, &seller, platform_that::knows_keys()).await;
        let check = async || drift::check(&world.service(), &seller.caller(), shop.id).await.map(drop).map_err(|error| error.to_string());
        seller.pauses(&shop).await;
        assert!(check().await.unwrap_err().contains("on hold"));
        seller.resumes(&shop).await;
        check().await.unwrap();
        assert!(check().await.unwrap_err().contains("goes on already"));
        world.a_moment().await;
        check().await.unwrap();
        world.a_moment().await;
    });
}

#[test]
fn a_check_of_a_store_that_stays_away_is_given_up_after_most_of_a_day() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        let shop = full_shop(world, &seller, platform_that::knows_keys()).await;
        world.faults(|f| f.down = true);
        seller.checks_drift(&shop).await;
        world.sleep(hours(19)).await;
        assert_eq!(seller.last_check(&shop).await.finished_at, None);
        world.sleep(hours(2)).await;
        let check = seller.last_check(&shop).await;
        assert_eq!((check.compared, check.finished_at.is_some()), (0, true));
        world.all_is_well();
    });
}

#[test]
fn a_removed_store_takes_what_was_found_about_it_along() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = full_shop(world, &seller, platform_that::knows_keys()).await;
        edits(world, &shop, "A", 13);
        seller.checks_drift(&shop).await;
        world.a_moment().await;
        seller.checks_drift(&shop).await;
        seller.removes(&shop).await;
        world.sleep(minutes(1)).await;
        assert_eq!(seller.drifted(&shop).await, []);
    });
}
