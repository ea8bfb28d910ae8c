//! Guard rails: an overwrite that would empty a large part of a store asks before its first push.
use crate::support::*;
use serde_json::Value;
use stocktide::db::overview;
use stocktide::db::runs::{Run, RunFilter, RunState};
use stocktide::domain::guard::{Answered, Guard};
use stocktide::domain::push::PushState::Confirmed;
use stocktide::domain::settings::{Rule, SyncSettings};
use stocktide::domain::stock::EventKind;
use stocktide::domain::{RunId, Sku};
use stocktide::service;

/// Listings of a full shop.
const MANY: usize = 20;

fn names() -> Vec<String> {
    (0..MANY).map(|n| format!("S{n:02}")).collect()
}

/// A shop that shows 7 of each of its listings, which the service knows.
async fn full_shop(world: &World, seller: &Seller<'_>) -> Shop {
    full_shop_on(world, seller, platform_that::knows_keys()).await
}

async fn full_shop_on(world: &World, seller: &Seller<'_>, platform: Value) -> Shop {
    let names = names();
    let skus: Vec<&str> = names.iter().map(String::as_str).collect();
    let shop = seller.shop_on(platform, "full", &skus).await;
    for sku in &skus {
        seller.event(sku, EventKind::Count, 7).await;
    }
    seller.sync(RunFilter { store_ids: Some(vec![shop.id]), skus: None }).await;
    world.a_moment().await;
    assert!(skus.iter().all(|sku| world.shown(&shop, sku) == 7));
    shop
}

/// A feed that stops: a count of 0 for the first of the shop's SKUs.
async fn counts_to_zero(seller: &Seller<'_>, how_many: usize) {
    for sku in names().iter().take(how_many) {
        seller.event(sku, EventKind::Count, 0).await;
    }
}

fn sold_out(world: &World, shop: &Shop) -> usize {
    names().iter().filter(|sku| world.shown(shop, sku) == 0).count()
}

async fn answers(world: &World, seller: &Seller<'_>, run: RunId, go: bool) -> Result<Run, service::Error> {
    service::guard::answer(&world.service(), &seller.caller(), run, go).await
}

fn guarded_by(zero_percent: Option<i64>, units: Option<i64>) -> impl Fn(&mut SyncSettings) {
    move |settings| settings.guard = Guard { zero_percent, units }
}

#[test]
fn a_manual_sync_that_would_empty_most_of_a_shop_sends_nothing_until_it_is_confirmed() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = full_shop(world, &seller).await;
        counts_to_zero(&seller, 12).await;
        let before = world.received(&shop).len();
        let run = seller.sync(RunFilter::default()).await;
        world.sleep(hours(3)).await;
        assert_eq!((world.received(&shop).len(), sold_out(world, &shop)), (before, 0), "not one push");
        let waiting = seller.run(&run).await;
        assert_eq!((waiting.state, waiting.total, waiting.done), (RunState::WaitingForAnswer, 0, 0));
        let asked = &waiting.question.as_ref().unwrap().stores[0];
        assert_eq!((asked.store_id, asked.weight.showing, asked.weight.to_zero, asked.weight.units), (shop.id, 20, 12, 84));
        assert_eq!(waiting.reason.as_deref(), Some("Nothing has been sent yet: 12 of 20 listings that show stock now would be set to 0."));

        let now = world.now();
        let concerns = world.db().read(move |conn| overview::concerns(conn, now)).await.unwrap();
        assert_eq!(concerns.open_since, None, "the operator is not alarmed by a run that waits for its seller");

        answers(world, &seller, run.id, true).await.unwrap();
        world.a_moment().await;
        let done = seller.run(&run).await;
        assert_eq!((done.state, done.total, done.done, done.reason), (RunState::Finished, 20, 20, None));
        assert_eq!(sold_out(world, &shop), 12);
        answers(world, &seller, run.id, true).await.expect("the same answer again is no error");
        assert!(answers(world, &seller, run.id, false).await.is_err(), "it was confirmed");
        let audit = seller.db().read(|t| t.audit(None, 100)).await.unwrap();
        assert_eq!(audit.iter().filter(|entry| entry.action == "sync.answered").count(), 1);
    });
}

#[test]
fn a_sync_that_is_told_to_stop_ends_without_a_push() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = full_shop(world, &seller).await;
        counts_to_zero(&seller, 20).await;
        let run = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        answers(world, &seller, run.id, false).await.unwrap();
        world.sleep(hours(1)).await;
        let ended = seller.run(&run).await;
        assert_eq!((ended.state, ended.total, sold_out(world, &shop)), (RunState::Cancelled, 0, 0));
        assert!(answers(world, &seller, run.id, true).await.is_err());
    });
}

#[test]
fn an_ordinary_sync_and_one_of_a_few_listings_ask_nothing() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = full_shop(world, &seller).await;
        counts_to_zero(&seller, 6).await;
        let run = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!((seller.run(&run).await.state, sold_out(world, &shop)), (RunState::Finished, 6), "30%, and few");
        counts_to_zero(&seller, 15).await;
        let nine: Vec<Sku> = names()[6..15].iter().map(|sku| Sku::parse(sku).unwrap()).collect();
        let run = seller.sync(RunFilter { skus: Some(nine), store_ids: None }).await;
        world.a_moment().await;
        assert_eq!((seller.run(&run).await.state, sold_out(world, &shop)), (RunState::Finished, 15), "nine listings");
        let small = seller.shop("small", &["A", "B"]).await;
        seller.purchase("A", 1).await;
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        seller.sale("A", 1).await;
        let run = seller.sync(RunFilter { store_ids: Some(vec![small.id]), skus: None }).await;
        world.a_moment().await;
        assert_eq!((seller.run(&run).await.state, world.shown(&small, "A")), (RunState::Finished, 0));
    });
}

#[test]
fn the_limit_is_the_sellers_and_can_be_switched_off() {
    story(async |world| {
        for (limit, expected) in [
            (guarded_by(None, None), RunState::Finished),
            (guarded_by(Some(60), None), RunState::Finished),
            (guarded_by(Some(59), None), RunState::WaitingForAnswer),
        ] {
            let seller = world.seller(off).await;
            full_shop(world, &seller).await;
            seller.settings(limit).await;
            counts_to_zero(&seller, 12).await;
            let run = seller.sync(RunFilter::default()).await;
            world.a_moment().await;
            assert_eq!(seller.run(&run).await.state, expected);
        }
    });
}

#[test]
fn a_sync_that_moves_more_units_than_the_limit_asks_too() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = full_shop(world, &seller).await;
        seller.settings(guarded_by(None, Some(100))).await;
        seller.event("S00", EventKind::Count, 108).await;
        let run = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        let waiting = seller.run(&run).await;
        assert_eq!((waiting.state, world.shown(&shop, "S00")), (RunState::WaitingForAnswer, 7));
        assert_eq!(waiting.reason.as_deref(), Some("Nothing has been sent yet: quantities would change by 101 units."));
        answers(world, &seller, run.id, false).await.unwrap();
        seller.event("S00", EventKind::Count, 107).await;
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "S00"), 107);
    });
}

#[test]
fn a_waiting_daily_run_ends_by_itself_and_blocks_neither_the_next_days_nor_increases_nor_other_stores() {
    story_of_days("2026-03-02T03:00:00Z", async |world| {
        let seller = world.seller(daily_at("03:30", chrono_tz::UTC)).await;
        let shop = full_shop(world, &seller).await;
        let other = seller.shop("other", &["A"]).await;
        counts_to_zero(&seller, 20).await;
        seller.purchase("A", 4).await;
        world.sleep_until("2026-03-02T04:00:00Z").await;
        assert_eq!(seller.dates(&shop).await, [("2026-03-02".to_owned(), RunState::WaitingForAnswer)]);
        assert_eq!(seller.dates(&other).await, [("2026-03-02".to_owned(), RunState::Finished)]);
        assert_eq!((sold_out(world, &shop), world.shown(&other, "A")), (0, 4));
        seller.settings(incremental).await;
        seller.purchase("S03", 5).await;
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "S03"), 12, "increases flow");
        seller.settings(daily_at("03:30", chrono_tz::UTC)).await;
        world.sleep_until("2026-03-03T03:00:00Z").await;
        assert_eq!(seller.dates(&shop).await, [("2026-03-02".to_owned(), RunState::Cancelled)], "nobody has answered");
        for sku in names() {
            seller.event(&sku, EventKind::Count, 3).await;
        }
        world.sleep_until("2026-03-03T04:00:00Z").await;
        let dates = [("2026-03-02".to_owned(), RunState::Cancelled), ("2026-03-03".to_owned(), RunState::Finished)];
        assert_eq!(seller.dates(&shop).await, dates);
        assert!(names().iter().all(|sku| world.shown(&shop, sku) == 3));
    });
}

#[test]
fn a_question_survives_a_crash_and_is_answered_to_the_next_process() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = full_shop(world, &seller).await;
        counts_to_zero(&seller, 12).await;
        let run = seller.sync(RunFilter::default()).await;
        // Some of these end while the run is being weighed.
        for pause in [0, 1, 2, 500] {
            world.sleep(ms(pause)).await;
            world.crashes().await;
            world.starts();
        }
        world.a_moment().await;
        assert_eq!((seller.run(&run).await.state, sold_out(world, &shop)), (RunState::WaitingForAnswer, 0));
        answers(world, &seller, run.id, true).await.unwrap();
        world.crashes().await;
        world.starts();
        world.a_moment().await;
        assert_eq!((seller.run(&run).await.state, sold_out(world, &shop)), (RunState::Finished, 12));
    });
}

#[test]
fn an_initial_overwrite_asks_too_and_switching_off_ends_its_question() {
    story_of_days(START, async |world| {
        let seller = world.seller(off).await;
        let shop = full_shop(world, &seller).await;
        counts_to_zero(&seller, 20).await;
        let run = seller.switches_on(incremental).await;
        world.a_moment().await;
        assert_eq!((seller.run(&run).await.state, sold_out(world, &shop)), (RunState::WaitingForAnswer, 0));
        seller.switches_off().await;
        assert_eq!(seller.run(&run).await.state, RunState::Cancelled);
        assert!(answers(world, &seller, run.id, true).await.is_err());
        world.sleep(hours(30)).await;
        assert_eq!((seller.run(&run).await.state, sold_out(world, &shop)), (RunState::Cancelled, 0));
    });
}

#[test]
fn a_rule_that_hides_everything_is_stopped_where_the_overwrite_that_applies_it_begins() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = full_shop(world, &seller).await;
        seller.rule(Rule { threshold: Some(8), ..Rule::default() }).await;
        let run = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!((seller.run(&run).await.state, sold_out(world, &shop)), (RunState::WaitingForAnswer, 0));
        seller.rule(Rule { threshold: Some(7), ..Rule::default() }).await;
        answers(world, &seller, run.id, true).await.unwrap();
        world.a_moment().await;
        assert_eq!(sold_out(world, &shop), 0, "the targets are read as they are sent");
        assert!(seller.lines().await.iter().all(|(_, _, state)| *state == Confirmed));
    });
}

#[test]
fn a_store_that_is_resumed_asks_before_overwrites_that_would_empty_it_by_now() {
    story(async |world| {
        let seller = world.seller(off).await;
        let (shop, other) = (full_shop(world, &seller).await, seller.shop("other", &["A"]).await);
        seller.pauses(&shop).await;
        let held = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!(seller.run(&held).await.state, RunState::Running, "nothing would change");
        counts_to_zero(&seller, 12).await;
        seller.resumes(&shop).await;
        world.sleep(hours(1)).await;
        assert_eq!(sold_out(world, &shop), 0, "not one push");
        let ended = seller.run(&held).await;
        assert_eq!((ended.state, ended.done, ended.failed), (RunState::Finished, 1, 20));
        let asking = seller.runs().await.pop().unwrap();
        assert_eq!((asking.state, asking.question.as_ref().unwrap().stores[0].weight.to_zero), (RunState::WaitingForAnswer, 12));
        answers(world, &seller, asking.id, true).await.unwrap();
        world.a_moment().await;
        let done = seller.run(&asking).await;
        assert_eq!((done.state, done.total, done.done, sold_out(world, &shop)), (RunState::Finished, 20, 20, 12));
        assert_eq!(world.received(&other).len(), 1, "the new run is of this store alone");
    });
}

#[test]
fn a_store_that_is_resumed_with_nothing_to_ask_goes_on_with_its_run() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = full_shop(world, &seller).await;
        seller.pauses(&shop).await;
        let held = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        counts_to_zero(&seller, 6).await;
        seller.resumes(&shop).await;
        world.a_moment().await;
        let done = seller.run(&held).await;
        assert_eq!((done.state, done.done, done.failed, sold_out(world, &shop)), (RunState::Finished, 20, 0, 6));
        assert_eq!(seller.runs().await.len(), 2);
    });
}

#[test]
fn packs_that_were_held_in_the_middle_of_a_run_ask_too() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = full_shop(world, &seller).await;
        world.faults(|f| f.down = true);
        world.sleep(seconds(1)).await;
        let held = seller.sync(RunFilter::default()).await;
        world.sleep(minutes(2)).await;
        seller.pauses(&shop).await;
        world.all_is_well();
        world.sleep(minutes(30)).await;
        counts_to_zero(&seller, 20).await;
        seller.resumes(&shop).await;
        world.sleep(hours(1)).await;
        assert_eq!((sold_out(world, &shop), seller.run(&held).await.failed), (0, 20));
        let asking = seller.runs().await.pop().unwrap();
        answers(world, &seller, asking.id, false).await.unwrap();
        world.a_moment().await;
        assert_eq!((sold_out(world, &shop), seller.run(&asking).await.state), (0, RunState::Cancelled));
    });
}

#[test]
fn another_sellers_question_is_not_found() {
    story(async |world| {
        let (ada, eve) = (world.seller(off).await, world.seller(off).await);
        full_shop(world, &ada).await;
        counts_to_zero(&ada, 20).await;
        let run = ada.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!(answers(world, &eve, run.id, true).await.unwrap_err(), service::Error::Rows(stocktide::db::Error::NotFound));
        let id = run.id;
        let now = world.now();
        let (answered, _) = ada.db().write(move |t| t.answer_run(id, false, now)).await.unwrap();
        assert_eq!(answered, Answered::Taken);
    });
}
