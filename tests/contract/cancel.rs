//! A run under way can be canceled: nothing more of it is sent, what it has done can be undone, and no increase is lost with it.
use crate::support::*;
use stocktide::db::runs::{Run, RunFilter, RunState};
use stocktide::domain::guard::Guard;
use stocktide::domain::push::PushState::{Cancelled, Confirmed, Retrying, Sending, Superseded};
use stocktide::domain::stock::EventKind;
use stocktide::service;

async fn cancels(seller: &Seller<'_>, run: &Run) -> Result<Run, service::Error> {
    service::syncs::cancel(&seller.world.service(), &seller.caller(), run.id).await
}

fn numbers(run: &Run) -> (RunState, i64, i64, i64) {
    (run.state, run.total, run.done, run.failed)
}

#[test]
fn a_run_that_waits_for_a_paused_sku_is_canceled_and_what_it_has_done_is_undone_during_the_pause() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        for sku in ["A", "B"] {
            seller.event(sku, EventKind::Count, 10).await;
        }
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        for sku in ["A", "B"] {
            seller.event(sku, EventKind::Count, 4).await;
        }
        seller.pauses_sku("B").await;
        let wrong = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!(numbers(&seller.run(&wrong).await), (RunState::Running, 2, 1, 0));
        let canceled = cancels(&seller, &wrong).await.unwrap();
        assert_eq!(numbers(&canceled), (RunState::Cancelled, 2, 1, 1));
        assert!(canceled.reason.unwrap().starts_with("Canceled on request."));
        service::undo::start(&world.service(), &seller.caller(), wrong.id).await.unwrap();
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "A"), 10);
        seller.resumes_sku("B").await;
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "B"), 10, "{:?}", seller.lines().await);
    });
}

#[test]
fn nothing_more_of_a_large_run_is_sent_once_it_is_canceled() {
    story(async |world| {
        let seller = world.seller(off).await;
        let names: Vec<String> = (0..250).map(|n| format!("S{n:03}")).collect();
        let skus: Vec<&str> = names.iter().map(String::as_str).collect();
        let shop = seller.shop_on(platform_that::takes(10), "large", &skus).await;
        for sku in &skus {
            seller.event(sku, EventKind::Count, 7).await;
        }
        world.faults(|f| f.latency_ms = 500);
        let run = seller.sync(RunFilter::default()).await;
        while world.received(&shop).len() < 40 {
            world.sleep(ms(100)).await;
        }
        let canceled = cancels(&seller, &run).await.unwrap();
        assert_eq!((canceled.state, canceled.total), (RunState::Cancelled, 250));
        let sent = world.received(&shop).len();
        world.sleep(minutes(10)).await;
        let (ended, received) = (seller.run(&run).await, world.received(&shop).len());
        assert!(received - sent <= 10, "one call was on its way: {sent}, then {received}");
        assert_eq!((ended.done + ended.failed, usize::try_from(ended.done)), (250, Ok(received)), "every record has an end");
        assert_eq!(ended.finished_at, canceled.finished_at);
    });
}

#[test]
fn an_overwrite_on_its_way_as_its_run_is_canceled_ends_by_its_answer() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.event("A", EventKind::Count, 7).await;
        world.a_moment().await;
        world.faults(|f| f.latency_ms = 500);
        let run = seller.sync(RunFilter::default()).await;
        while seller.lines().await != [overwrite(7, Sending)] {
            world.sleep(ms(20)).await;
        }
        cancels(&seller, &run).await.unwrap();
        world.a_moment().await;
        assert_eq!((world.shown(&shop, "A"), seller.lines().await), (7, vec![overwrite(7, Confirmed)]));
        assert_eq!(numbers(&seller.run(&run).await), (RunState::Cancelled, 1, 1, 0));
    });
}

#[test]
fn increases_that_an_overwrite_has_taken_the_place_of_are_not_lost_with_its_run() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        world.a_moment().await;
        world.faults(|f| (f.throttle, f.retry_after_s) = (1.0, 10.0));
        seller.purchase("A", 5).await;
        world.a_moment().await;
        let run = seller.sync(RunFilter::default()).await;
        world.sleep(minutes(2)).await;
        assert_eq!(seller.lines().await, [increase(5, Superseded), overwrite(5, Retrying), overwrite(0, Retrying)]);
        cancels(&seller, &run).await.unwrap();
        assert_eq!(seller.lines().await, [increase(5, Superseded), overwrite(5, Retrying), overwrite(0, Cancelled)]);
        world.all_is_well();
        world.sleep(minutes(10)).await;
        assert_eq!(world.shown(&shop, "A"), 5, "{:?}", seller.lines().await);
        assert_eq!(numbers(&seller.run(&run).await), (RunState::Cancelled, 2, 1, 1));
    });
}

#[test]
fn an_increase_that_waits_for_an_overwrite_is_sent_once_its_run_is_canceled() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::only_adds(), "corner", &["A"]).await;
        seller.purchase("A", 3).await;
        world.a_moment().await;
        seller.pauses(&shop).await;
        let run = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        seller.purchase("A", 5).await;
        cancels(&seller, &run).await.unwrap();
        seller.resumes(&shop).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 3), add("A", 5)]);
    });
}

#[test]
fn a_run_that_waits_for_an_answer_is_canceled_before_its_first_push() {
    story(async |world| {
        let seller = world.seller(off).await;
        let names: Vec<String> = (0..20).map(|n| format!("S{n:02}")).collect();
        let skus: Vec<&str> = names.iter().map(String::as_str).collect();
        let shop = seller.shop("corner", &skus).await;
        for sku in &skus {
            seller.event(sku, EventKind::Count, 7).await;
        }
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        for sku in &skus {
            seller.event(sku, EventKind::Count, 0).await;
        }
        seller.settings(|settings| settings.guard = Guard { zero_percent: Some(30), units: None }).await;
        let run = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!(seller.run(&run).await.state, RunState::WaitingForAnswer);
        let sent = world.received(&shop).len();
        assert_eq!(numbers(&cancels(&seller, &run).await.unwrap()), (RunState::Cancelled, 0, 0, 0));
        assert!(service::guard::answer(&world.service(), &seller.caller(), run.id, true).await.is_err(), "it is too late for yes");
        world.a_moment().await;
        assert_eq!((world.received(&shop).len(), world.shown(&shop, "S00")), (sent, 7));
    });
}

#[test]
fn a_run_is_canceled_once_and_only_by_its_seller_and_not_after_its_end() {
    story(async |world| {
        let (ada, ben) = (world.seller(off).await, world.seller(off).await);
        let shop = ada.shop("corner", &["A"]).await;
        ada.pauses(&shop).await;
        let run = ada.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!(cancels(&ben, &run).await.unwrap_err().to_string(), "not found");
        let first = cancels(&ada, &run).await.unwrap();
        world.a_moment().await;
        assert_eq!(cancels(&ada, &run).await.unwrap(), first);
        ada.resumes(&shop).await;
        let other = ada.sync(RunFilter::default()).await;
        world.a_moment().await;
        let refused = cancels(&ada, &other).await.unwrap_err().to_string();
        assert!(refused.contains("has ended"), "{refused}");
        assert_eq!(world.received(&shop), [set("A", 0)]);
    });
}
