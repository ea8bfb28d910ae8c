//! A run can be undone: its listings show what they showed before, less what was sold since.
use crate::support::*;
use serde_json::Value;
use stocktide::db::runs::{Run, RunFilter, RunKind, RunState};
use stocktide::domain::Sku;
use stocktide::domain::push::{PushState, Record};
use stocktide::domain::settings::SyncSettings;
use stocktide::domain::stock::EventKind;
use stocktide::service;

fn every_platform() -> [Value; 4] {
    [platform_that::knows_keys(), platform_that::compares_and_sets(), platform_that::only_adds(), platform_that::only_sets()]
}

/// A shop that shows 10 of each of these by an overwrite.
async fn shop_of_ten(seller: &Seller<'_>, world: &World, platform: Value, skus: &[&str]) -> Shop {
    let shop = seller.shop_on(platform, "corner", skus).await;
    for sku in skus {
        seller.event(sku, EventKind::Count, 10).await;
    }
    overwritten(seller, world).await;
    assert!(skus.iter().all(|sku| world.shown(&shop, sku) == 10));
    shop
}

async fn overwritten(seller: &Seller<'_>, world: &World) -> Run {
    let run = seller.sync(RunFilter::default()).await;
    world.a_moment().await;
    seller.run(&run).await
}

/// Asks for an undo of a run.
async fn undoes(seller: &Seller<'_>, run: &Run) -> Result<Run, service::Error> {
    Ok(service::undo::start(&seller.world.service(), &seller.caller(), run.id).await?.run)
}

async fn undone(seller: &Seller<'_>, world: &World, run: &Run) -> Run {
    let undo = undoes(seller, run).await.unwrap();
    world.a_moment().await;
    seller.run(&undo).await
}

/// The pushes of a run, by their SKUs.
async fn records(seller: &Seller<'_>, run: &Run) -> Vec<Record> {
    let mut records = seller.pushes().await;
    records.retain(|push| push.run_id == Some(run.id));
    records.sort_by(|a, b| a.sku.cmp(&b.sku));
    records
}

fn of_sku(sku: &str) -> RunFilter {
    RunFilter { skus: Some(vec![Sku::parse(sku).unwrap()]), store_ids: None }
}

async fn refusal(seller: &Seller<'_>, run: &Run) -> String {
    undoes(seller, run).await.unwrap_err().to_string()
}

#[test]
fn only_a_window_of_a_store_that_a_run_has_overwritten_keeps_it_from_being_undone() {
    story(async |world| {
        let seller = world.seller(off).await;
        let (corner, other) = (seller.shop("corner", &["A"]).await, seller.shop("other", &[]).await);
        seller.event("A", EventKind::Count, 10).await;
        overwritten(&seller, world).await;
        seller.event("A", EventKind::Count, 4).await;
        let run = overwritten(&seller, world).await;
        let window = seller.freezes("sale", "2026-03-02T12:00", "2026-03-02T14:00", &[&corner]).await;
        let why = refusal(&seller, &run).await;
        assert!(why.contains("corner is in the frozen window") && why.contains("Undo it after that, or delete the window."), "{why}");
        seller.thaws(window.id).await;
        seller.freezes("sale", "2026-03-02T12:00", "2026-03-02T14:00", &[&other]).await;
        undone(&seller, world, &run).await;
        assert_eq!(world.shown(&corner, "A"), 10);
    });
}

#[test]
fn a_run_whose_store_was_switched_off_while_it_was_on_its_way_counts_for_undos() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = shop_of_ten(&seller, world, platform_that::knows_keys(), &["A"]).await;
        world.faults(|f| f.latency_ms = 500);
        seller.event("A", EventKind::Count, 4).await;
        let wrong = seller.sync(RunFilter::default()).await;
        while !seller.pushes().await.iter().any(|push| push.state == PushState::Sending) {
            world.sleep(ms(20)).await;
        }
        seller.change_shop(&shop, StoreChange { sync_enabled: Some(false), ..StoreChange::default() }).await;
        world.a_moment().await;
        assert_eq!((world.shown(&shop, "A"), seller.run(&wrong).await.done), (4, 1));
        seller.change_shop(&shop, StoreChange { sync_enabled: Some(true), ..StoreChange::default() }).await;
        undone(&seller, world, &wrong).await;
        assert_eq!(world.shown(&shop, "A"), 10, "{:?}", records(&seller, &wrong).await);
    });
}

#[test]
fn an_undone_sync_leaves_what_was_shown_before_less_what_was_sold_since() {
    story(async |world| {
        for platform in every_platform() {
            let seller = world.seller(off).await;
            let shop = shop_of_ten(&seller, world, platform, &["A", "B", "C"]).await;
            seller.event("A", EventKind::Count, 4).await;
            seller.event("B", EventKind::Count, 0).await;
            let wrong = overwritten(&seller, world).await;
            assert_eq!(["A", "B", "C"].map(|sku| world.shown(&shop, sku)), [4, 0, 10]);
            world.sells(&shop, "A", 3);
            seller.sale_of(&shop, "A", 3).await;
            let undo = undone(&seller, world, &wrong).await;
            assert_eq!(["A", "B", "C"].map(|sku| world.shown(&shop, sku)), [7, 10, 10]);
            assert_eq!((undo.kind, undo.state, undo.total, undo.done), (RunKind::Undo, RunState::Finished, 3, 3));
            assert_eq!((undo.undoes, seller.run(&wrong).await.undone_by), (Some(wrong.id), Some(undo.id)));
            let arithmetic = records(&seller, &undo).await.iter().map(|push| push.arithmetic().unwrap()).collect::<Vec<_>>();
            assert_eq!(arithmetic[..2], ["10 shown before the run, less 3 units sold since", "10 shown before the run"]);
        }
    });
}

#[test]
fn an_undone_daily_run_is_undone_for_its_store_and_the_next_one_overwrites_it_again() {
    story_from("2026-03-02T12:00:00Z", async |world| {
        let seller = world.seller(daily_at("03:30", chrono_tz::UTC)).await;
        let shop = shop_of_ten(&seller, world, platform_that::knows_keys(), &["A"]).await;
        seller.event("A", EventKind::Count, 2).await;
        world.sleep_until("2026-03-03T04:00:00Z").await;
        assert_eq!(world.shown(&shop, "A"), 2);
        let daily = seller.runs().await.into_iter().rfind(|run| run.kind == RunKind::Daily).unwrap();
        let started = service::undo::start(&world.service(), &seller.caller(), daily.id).await.unwrap();
        assert_eq!(started.overwritten_again_at, Some("2026-03-04T03:30:00Z".parse().unwrap()));
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "A"), 10);
        world.sleep_until("2026-03-04T04:00:00Z").await;
        assert_eq!(world.shown(&shop, "A"), 2);
    });
}

#[test]
fn sales_that_nobody_has_reported_stay_sold_and_those_from_before_the_run_are_not_taken_off_twice() {
    story(async |world| {
        for platform in every_platform() {
            let seller = world.seller(off).await;
            let shop = shop_of_ten(&seller, world, platform, &["A"]).await;
            world.sells(&shop, "A", 1);
            seller.sale_of(&shop, "A", 1).await;
            overwritten(&seller, world).await;
            assert_eq!(world.shown(&shop, "A"), 9);
            world.sells(&shop, "A", 2);
            seller.event("A", EventKind::Count, 5).await;
            let wrong = overwritten(&seller, world).await;
            assert_eq!(world.shown(&shop, "A"), 3, "5, less 2 that nobody has reported");
            seller.sale_of(&shop, "A", 2).await;
            world.sells(&shop, "A", 1);
            let undo = undone(&seller, world, &wrong).await;
            assert_eq!(world.shown(&shop, "A"), 6, "7 before, and one was sold since");
            let record = records(&seller, &undo).await.remove(0);
            assert_eq!(record.arithmetic().unwrap(), "7 shown before the run, less 1 unit sold since");
        }
    });
}

#[test]
fn a_sale_between_the_last_answer_of_the_shop_and_the_run_stays_sold() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = shop_of_ten(&seller, world, platform_that::knows_keys(), &["A"]).await;
        seller.change_shop(&shop, StoreChange { protect_unseen_sales: Some(false), ..StoreChange::default() }).await;
        world.sells(&shop, "A", 3);
        seller.sale_of(&shop, "A", 3).await;
        seller.event("A", EventKind::Count, 0).await;
        let wrong = overwritten(&seller, world).await;
        undone(&seller, world, &wrong).await;
        assert_eq!(world.shown(&shop, "A"), 7, "the service has heard 10 from the shop, and of the sale");
    });
}

#[test]
fn increases_since_the_run_stay_added_whether_they_were_sent_or_wait_or_were_part_of_it() {
    story(async |world| {
        for platform in every_platform() {
            let seller = world.seller(incremental).await;
            let shop = shop_of_ten(&seller, world, platform, &["A"]).await;
            seller.event("A", EventKind::Count, 4).await;
            seller.pauses(&shop).await;
            seller.purchase("A", 1).await;
            let wrong = seller.sync(RunFilter::default()).await;
            world.a_moment().await;
            seller.resumes(&shop).await;
            world.a_moment().await;
            assert_eq!(world.shown(&shop, "A"), 5, "with the one that waited");
            seller.purchase("A", 2).await;
            world.a_moment().await;
            assert_eq!(world.shown(&shop, "A"), 7);
            seller.pauses(&shop).await;
            seller.purchase("A", 3).await;
            undoes(&seller, &wrong).await.unwrap();
            world.a_moment().await;
            seller.resumes(&shop).await;
            world.a_moment().await;
            assert_eq!(world.shown(&shop, "A"), 16);
        }
    });
}

#[test]
fn a_listing_that_was_set_later_is_left_alone_and_named() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = shop_of_ten(&seller, world, platform_that::knows_keys(), &["A", "B", "C"]).await;
        for sku in ["A", "B", "C"] {
            seller.event(sku, EventKind::Count, 1).await;
        }
        let wrong = overwritten(&seller, world).await;
        seller.event("A", EventKind::Count, 8).await;
        seller.sync(of_sku("A")).await;
        world.a_moment().await;
        seller.unpairs(&shop, "B").await;
        let undo = undone(&seller, world, &wrong).await;
        assert_eq!(["A", "B", "C"].map(|sku| world.shown(&shop, sku)), [8, 1, 10]);
        assert_eq!((undo.state, undo.total, undo.done, undo.failed), (RunState::Finished, 2, 1, 1));
        let left = records(&seller, &undo).await.remove(0);
        assert_eq!((left.sku.as_str(), left.state, left.quantity), ("A", PushState::Cancelled, None));
        assert!(left.reason.unwrap().contains("overwritten since the run"));
    });
}

#[test]
fn a_listing_of_which_it_is_not_known_what_it_showed_is_left_alone_and_named() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.platform.set_quantity(&shop.external, "A", 6);
        seller.event("A", EventKind::Count, 10).await;
        let first = overwritten(&seller, world).await;
        let undo = undone(&seller, world, &first).await;
        assert_eq!((world.shown(&shop, "A"), undo.state, undo.done, undo.failed), (10, RunState::Finished, 0, 1));
        assert!(records(&seller, &undo).await.remove(0).reason.unwrap().contains("cannot be restored"));
    });
}

#[test]
fn packs_that_a_former_version_has_confirmed_cannot_be_restored() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = shop_of_ten(&seller, world, platform_that::knows_keys(), &["A", "B"]).await;
        seller.event("A", EventKind::Count, 1).await;
        let wrong = overwritten(&seller, world).await;
        world.execute("UPDATE push_packs SET replaced = NULL");
        let undo = undone(&seller, world, &wrong).await;
        assert_eq!((world.shown(&shop, "A"), undo.total, undo.failed), (1, 2, 2));
    });
}

#[test]
fn a_run_of_hundreds_of_listings_is_undone_in_all_of_them() {
    story(async |world| {
        let names: Vec<String> = (0..620).map(|n| format!("S{n:03}")).collect();
        let skus: Vec<&str> = names.iter().map(String::as_str).collect();
        let seller = world.seller(|settings: &mut SyncSettings| settings.guard.zero_percent = None).await;
        let shop = shop_of_ten(&seller, world, platform_that::knows_keys(), &skus).await;
        for sku in &skus {
            seller.event(sku, EventKind::Count, 0).await;
        }
        let wrong = seller.sync(RunFilter::default()).await;
        world.sleep(minutes(2)).await;
        let wrong = seller.run(&wrong).await;
        assert_eq!(skus.iter().map(|sku| world.shown(&shop, sku)).sum::<i64>(), 0);
        let preview = service::undo::preview(&world.service(), &seller.caller(), wrong.id).await.unwrap().extent;
        assert_eq!((preview.changed, preview.unchanged, preview.unknown, preview.newer), (620, 0, 0, 0));
        let undo = undoes(&seller, &wrong).await.unwrap();
        world.sleep(minutes(2)).await;
        let undo = seller.run(&undo).await;
        assert_eq!((undo.state, undo.total, undo.done), (RunState::Finished, 620, 620));
        assert!(skus.iter().all(|sku| world.shown(&shop, sku) == 10));
    });
}

#[test]
fn an_undo_that_would_empty_a_shop_asks_first_and_after_a_no_it_may_be_asked_for_again() {
    story(async |world| {
        let names: Vec<String> = (0..12).map(|n| format!("S{n:02}")).collect();
        let skus: Vec<&str> = names.iter().map(String::as_str).collect();
        let seller = world.seller(off).await;
        let shop = seller.shop("full", &skus).await;
        overwritten(&seller, world).await;
        for sku in &skus {
            seller.event(sku, EventKind::Count, 7).await;
        }
        let filled = overwritten(&seller, world).await;
        let on_sale = || skus.iter().filter(|sku| world.shown(&shop, sku) == 7).count();
        let undo = undone(&seller, world, &filled).await;
        assert_eq!((undo.state, undo.kind, on_sale()), (RunState::WaitingForAnswer, RunKind::Undo, 12));
        assert_eq!(undoes(&seller, &filled).await.unwrap().id, undo.id, "it is under way");
        service::guard::answer(&world.service(), &seller.caller(), undo.id, false).await.unwrap();
        let again = undone(&seller, world, &filled).await;
        assert!(again.id != undo.id && again.state == RunState::WaitingForAnswer);
        service::guard::answer(&world.service(), &seller.caller(), again.id, true).await.unwrap();
        world.a_moment().await;
        assert_eq!((seller.run(&again).await.state, on_sale()), (RunState::Finished, 0));
    });
}

#[test]
fn a_run_is_undone_once_and_only_after_it_has_ended_and_has_overwritten_something() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = shop_of_ten(&seller, world, platform_that::knows_keys(), &["A"]).await;
        seller.event("A", EventKind::Count, 3).await;
        seller.pauses(&shop).await;
        let run = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert!(refusal(&seller, &run).await.contains("still under way"));
        seller.resumes(&shop).await;
        world.a_moment().await;
        seller.pauses(&shop).await;
        let undo = undoes(&seller, &run).await.unwrap();
        world.a_moment().await;
        assert_eq!(undoes(&seller, &run).await.unwrap().id, undo.id, "the same request again starts nothing");
        seller.resumes(&shop).await;
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "A"), 10);
        assert!(refusal(&seller, &run).await.contains("undone before"));
        assert!(refusal(&seller, &seller.run(&undo).await).await.contains("undoes another one"));
        seller.event("B", EventKind::Count, 1).await;
        let nothing = seller.sync(of_sku("B")).await;
        world.a_moment().await;
        assert!(refusal(&seller, &nothing).await.contains("nothing to undo"));
        let audit = seller.db().read(|t| t.audit(None, 100)).await.unwrap();
        assert_eq!(audit.iter().filter(|entry| entry.action == "sync.undone").count(), 1);
    });
}

#[test]
fn an_undo_survives_lost_answers_and_a_crash() {
    story(async |world| {
        for platform in every_platform() {
            let seller = world.seller(off).await;
            let shop = shop_of_ten(&seller, world, platform, &["A", "B"]).await;
            seller.event("A", EventKind::Count, 4).await;
            world.loses_answers();
            let wrong = seller.sync(RunFilter::default()).await;
            world.sleep(minutes(1)).await;
            world.all_is_well();
            world.sleep(minutes(10)).await;
            assert_eq!((seller.run(&wrong).await.done, world.shown(&shop, "A")), (2, 4));
            world.loses_answers();
            let undo = undoes(&seller, &wrong).await.unwrap();
            world.sleep(seconds(5)).await;
            world.crashes().await;
            world.all_is_well();
            world.starts();
            world.sleep(minutes(10)).await;
            assert_eq!((seller.run(&undo).await.state, world.shown(&shop, "A"), world.shown(&shop, "B")), (RunState::Finished, 10, 10));
        }
    });
}

#[test]
fn an_undo_of_packs_of_six_takes_off_whole_packs() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = seller.shop("corner", &[]).await;
        seller.event("A", EventKind::Count, 60).await;
        seller.pair_units(&shop, &[("six", "A", 6)]).await;
        overwritten(&seller, world).await;
        seller.event("A", EventKind::Count, 18).await;
        let wrong = overwritten(&seller, world).await;
        world.sells(&shop, "six", 2);
        seller.sale_of(&shop, "A", 12).await;
        undone(&seller, world, &wrong).await;
        assert_eq!(world.shown(&shop, "six"), 8);
    });
}
