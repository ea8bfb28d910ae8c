//! Overwrites that are kept together while all goes well behave like single ones: seen from outside, and as soon as anything
//! else than plain success happens to one of them.
use crate::support::*;
use std::collections::BTreeSet;
use stocktide::db::pushes::PushFilter;
use stocktide::db::runs::{RunFilter, RunState};
use stocktide::domain::push::PushState::{self, Cancelled, Confirmed, Held, Queued, Rejected, Sending};
use stocktide::domain::push::{PushKind, Record};
use stocktide::domain::{PushId, Sku};
use stocktide::service::{self, pushes::Retry};

/// More listings than fit into two packs.
const MANY: usize = 250;

fn names(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("S{n:03}")).collect()
}

async fn large_shop<'w>(seller: &Seller<'w>, platform: serde_json::Value, count: usize) -> Shop {
    let names = names(count);
    let skus: Vec<&str> = names.iter().map(String::as_str).collect();
    let shop = seller.shop_on(platform, "large", &skus).await;
    for sku in skus {
        seller.purchase(sku, 7).await;
    }
    shop
}

/// How many pushes are in each of these states.
async fn states<const N: usize>(seller: &Seller<'_>, of: [PushState; N]) -> [usize; N] {
    let pushes = seller.pushes().await;
    of.map(|state| pushes.iter().filter(|push| push.state == state).count())
}

async fn listed(seller: &Seller<'_>, filter: PushFilter, page: i64) -> Vec<Record> {
    let (mut found, mut after): (Vec<Record>, Option<PushId>) = (Vec::new(), None);
    loop {
        let wanted = filter.clone();
        let next = seller.db().read(move |t| t.list_pushes(&wanted, after, page)).await.unwrap();
        let Some(last) = next.last() else { return found };
        after = Some(last.id());
        found.extend(next.into_iter().map(|push| push.into_record()));
    }
}

#[test]
fn every_listing_of_a_large_run_has_a_record_of_its_own_in_every_list() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = large_shop(&seller, platform_that::knows_keys(), MANY).await;
        let other = seller.shop("small", &["S000"]).await;
        world.faults(|f| f.latency_ms = 1_000);
        let run = seller.sync(RunFilter::default()).await;
        world.sleep(ms(500)).await;
        let [queued, sending] = states(&seller, [Queued, Sending]).await;
        assert_eq!(queued + sending, MANY + 1);
        assert!(sending >= 101, "a call for each store is under way: {sending}");
        world.a_moment().await;
        world.sleep(seconds(3)).await;
        let run = seller.run(&run).await;
        assert_eq!((run.state, run.total, run.done, run.failed), (RunState::Finished, 251, 251, 0));
        assert!(world.received(&shop).iter().all(|(_, change)| *change == set("", 7).1), "each shows its target");
        assert_eq!(world.received(&shop).len(), MANY);

        let all = listed(&seller, PushFilter::default(), 40).await;
        assert_eq!(all.len(), MANY + 1);
        assert!(all.is_sorted_by(|a, b| a.id > b.id), "newest first, each once");
        assert_eq!(all.iter().map(|push| push.listing_id).collect::<BTreeSet<_>>().len(), MANY + 1);
        let fits = |push: &Record| {
            (push.kind, push.state, push.quantity, push.run_id, push.attempts) == (PushKind::Overwrite, Confirmed, Some(7), Some(run.id), 1)
        };
        assert!(all.iter().all(fits), "{:?}", all[0]);
        let of_store = PushFilter { store_id: Some(other.id), ..PushFilter::default() };
        assert_eq!(listed(&seller, of_store, 40).await.len(), 1);
        let of_sku = PushFilter { sku: Some(Sku::parse("S000").unwrap()), ..PushFilter::default() };
        assert_eq!(listed(&seller, of_sku.clone(), 1).await.len(), 2);
        let both = PushFilter { state: Some(Confirmed), store_id: Some(shop.id), ..of_sku };
        let one = listed(&seller, both, 40).await;
        assert_eq!((one.len(), &one[0].sku[..]), (1, "S000"));
        let none = PushFilter { state: Some(Queued), ..PushFilter::default() };
        assert_eq!(listed(&seller, none, 40).await, []);
        for wanted in all {
            let id = wanted.id;
            assert_eq!(seller.db().read(move |t| t.push(id)).await.unwrap().into_record(), wanted);
        }
        let sku = Sku::parse("S123").unwrap();
        let stock = seller.db().read(move |t| t.stock(&sku)).await.unwrap();
        let last = stock.listings[0].last_confirmed.clone().map(|push| push.record().sku);
        assert_eq!((last.as_deref(), stock.listings[0].listing.shown), (Some("S123"), Some(7)));
        let counted = seller.db().read(|t| t.count_pushes(&PushFilter { state: Some(Confirmed), ..PushFilter::default() }, 1_000)).await;
        assert_eq!(counted.unwrap(), 251);
    });
}

#[test]
fn records_are_found_by_their_sku_after_their_listing_was_unpaired_or_paired_with_another() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = large_shop(&seller, platform_that::knows_keys(), 5).await;
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        seller.unpairs(&shop, "S001").await;
        seller.pair_as(&shop, &[("S002", "NEW")]).await;
        for (sku, expected) in [("S000", 1), ("S001", 1), ("S002", 1), ("NEW", 0)] {
            let filter = PushFilter { sku: Some(Sku::parse(sku).unwrap()), ..PushFilter::default() };
            assert_eq!(listed(&seller, filter, 10).await.len(), expected, "{sku}");
        }
        seller.removes(&shop).await;
        world.a_moment().await;
        let filter = PushFilter { sku: Some(Sku::parse("S004").unwrap()), ..PushFilter::default() };
        assert_eq!(listed(&seller, filter, 10).await.len(), 1);
    });
}

#[test]
fn calls_have_the_size_that_their_platform_takes_whatever_the_size_of_a_pack() {
    story(async |world| {
        for (takes, calls) in [(100, 2), (60, 2), (30, 4), (1, 110)] {
            let seller = world.seller(off).await;
            let shop = large_shop(&seller, platform_that::takes(takes), 110).await;
            world.platform.keep_call_instants();
            let before = world.platform.call_instants(&shop.external).len();
            let run = seller.sync(RunFilter::default()).await;
            world.sleep(minutes(1)).await;
            assert_eq!(world.received(&shop).len(), 110, "{takes}");
            assert_eq!(world.platform.call_instants(&shop.external).len() - before, calls, "{takes}");
            let run = seller.run(&run).await;
            assert_eq!((run.state, run.done), (RunState::Finished, 110));
        }
    });
}

#[test]
fn of_a_call_that_is_answered_in_part_the_rest_is_confirmed_and_only_what_failed_is_not() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = large_shop(&seller, platform_that::knows_keys(), 150).await;
        world.faults(|f| f.reject_items = vec!["S003".to_owned()]);
        let run = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!(states(&seller, [Confirmed, Rejected]).await, [149, 1]);
        let run = seller.run(&run).await;
        assert_eq!((run.state, run.done, run.failed), (RunState::Finished, 149, 1));
        assert_eq!((world.shown(&shop, "S003"), world.shown(&shop, "S004")), (0, 7));
        world.all_is_well();
        world.leaves_work();
    });
}

#[test]
fn an_overwrite_that_a_crash_cut_off_is_found_and_every_listing_shows_its_target_afterwards() {
    for platform in [platform_that::knows_keys, platform_that::only_sets, platform_that::adds_but_cannot_be_read] {
        story(async |world| {
            let seller = world.seller(off).await;
            let shop = large_shop(&seller, platform(), 150).await;
            world.faults(|f| f.latency_ms = 1_000);
            let run = seller.sync(RunFilter::default()).await;
            world.sleep(ms(500)).await;
            let [sending] = states(&seller, [Sending]).await;
            assert!(sending >= 100);
            world.crashes().await;
            world.faults(|f| f.latency_ms = 0);
            world.starts();
            world.sleep(minutes(5)).await;
            let run = seller.run(&run).await;
            assert_eq!((run.state, run.total, run.done, run.failed), (RunState::Finished, 150, 150, 0));
            assert!((0..150).all(|n| world.shown(&shop, &format!("S{n:03}")) == 7));
        });
    }
}

#[test]
fn an_increase_waits_for_the_overwrite_of_its_listing_and_is_part_of_one_that_comes_later() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = large_shop(&seller, platform_that::allows(1.0, 1), 250).await;
        world.sleep(minutes(20)).await;
        world.faults(|f| f.latency_ms = 900);
        seller.sync(RunFilter::default()).await;
        world.sleep(ms(500)).await;
        // The first is in flight, the last is still queued.
        for sku in ["S000", "S249"] {
            seller.purchase(sku, 5).await;
        }
        world.sleep(minutes(5)).await;
        assert_eq!((world.shown(&shop, "S000"), world.shown(&shop, "S249")), (12, 12));
        let received = world.received(&shop);
        let of = |sku: &str| received.iter().filter(|(id, _)| id == sku).cloned().collect::<Vec<_>>();
        assert_eq!(of("S000")[1..], [set("S000", 7), add("S000", 5)], "one after the other");
        assert_eq!(of("S001")[1..], [set("S001", 7)]);
    });
}

#[test]
fn a_paused_store_holds_what_is_queued_and_sends_it_once_it_is_resumed() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = large_shop(&seller, platform_that::allows(0.1, 1), MANY).await;
        let run = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        seller.pauses(&shop).await;
        world.sleep(minutes(5)).await;
        let [confirmed, held] = states(&seller, [Confirmed, Held]).await;
        assert_eq!((confirmed + held, held > 0), (MANY, true), "{confirmed} {held}");
        let loads = seller.db().read(|t| t.store_loads()).await.unwrap();
        assert_eq!((loads[&shop.id].held, loads[&shop.id].waiting), (i64::try_from(held).unwrap(), 0));
        let runs = vec![seller.run(&run).await];
        assert_eq!(seller.db().read(move |t| t.with_held(runs.clone())).await.unwrap()[0].1, i64::try_from(held).unwrap());
        // Another run takes the place of what is held.
        let second = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!(seller.run(&run).await.failed, i64::try_from(held).unwrap());
        seller.resumes(&shop).await;
        world.sleep(minutes(5)).await;
        assert_eq!(seller.run(&second).await.done, 250);
        assert!((0..MANY).all(|n| world.shown(&shop, &format!("S{n:03}")) == 7));
    });
}

#[test]
fn every_overwrite_that_a_paused_store_holds_is_queued_again_by_hand_and_sent_once_the_store_is_resumed() {
    const MORE: usize = 650;
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = large_shop(&seller, platform_that::knows_keys(), MORE).await;
        seller.pauses(&shop).await;
        seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        assert_eq!(states(&seller, [Held]).await, [MORE]);
        let all = Retry { state: Some(Held), ..Retry::default() };
        assert_eq!(service::pushes::retry(&world.service(), &seller.caller(), all).await.unwrap(), MORE);
        assert_eq!(states(&seller, [Held]).await, [MORE], "the store is still paused");
        let some: Vec<PushId> = seller.pushes().await.into_iter().step_by(3).map(|push| push.id).collect();
        assert_eq!(seller.retries(&some).await, some.len());
        seller.resumes(&shop).await;
        world.sleep(minutes(1)).await;
        assert!((0..MORE).all(|n| world.shown(&shop, &format!("S{n:03}")) == 7));
    });
}

#[test]
fn switching_a_store_off_cancels_what_is_queued_and_what_is_in_flight_ends_by_its_answer() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = large_shop(&seller, platform_that::takes(20), MANY).await;
        world.faults(|f| f.latency_ms = 1_500);
        let run = seller.sync(RunFilter::default()).await;
        world.sleep(ms(500)).await;
        let change = StoreChange { sync_enabled: Some(false), ..StoreChange::default() };
        seller.change_shop(&shop, change).await;
        let [sending, cancelled] = states(&seller, [Sending, Cancelled]).await;
        assert_eq!((sending + cancelled, sending > 0, cancelled > 0), (MANY, true, true), "{sending} {cancelled}");
        world.sleep(minutes(1)).await;
        assert_eq!(states(&seller, [Confirmed, Cancelled]).await, [sending, cancelled]);
        let ended = seller.run(&run).await;
        let count = |n: usize| i64::try_from(n).unwrap();
        assert_eq!((ended.state, ended.done, ended.failed), (RunState::Finished, count(sending), count(cancelled)));
        let failed = seller.db().read(move |t| t.failed_of_run(ended.id, 1_000)).await.unwrap();
        assert_eq!(failed.len(), cancelled);
        assert!(failed.iter().all(|push| push.record().reason.as_deref() == Some("The store was switched off.")));
    });
}

#[test]
fn an_overwrite_whose_listing_is_unpaired_is_cancelled_and_the_others_are_sent() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = large_shop(&seller, platform_that::allows(0.5, 1), MANY).await;
        let run = seller.sync(RunFilter::default()).await;
        world.a_moment().await;
        seller.unpairs(&shop, "S249").await;
        world.sleep(minutes(1)).await;
        let ended = seller.run(&run).await;
        assert_eq!((ended.state, ended.done, ended.failed), (RunState::Finished, 249, 1));
        assert_eq!(states(&seller, [Confirmed, Cancelled]).await, [249, 1]);
        assert_eq!(world.received(&shop).len(), 249);
    });
}

#[test]
fn two_runs_of_the_same_listings_follow_each_other() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = large_shop(&seller, platform_that::knows_keys(), 150).await;
        world.faults(|f| f.latency_ms = 700);
        let first = seller.sync(RunFilter::default()).await;
        let second = seller.sync(RunFilter::default()).await;
        world.sleep(minutes(1)).await;
        for run in [first, second] {
            let run = seller.run(&run).await;
            assert_eq!((run.state, run.done), (RunState::Finished, 150));
        }
        assert_eq!(world.received(&shop).len(), 300);
    });
}

#[test]
fn what_is_refused_as_a_whole_or_lost_is_sent_again_until_every_listing_shows_its_target() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = large_shop(&seller, platform_that::only_sets(), 150).await;
        world.loses_answers();
        let run = seller.sync(RunFilter::default()).await;
        world.sleep(seconds(20)).await;
        world.all_is_well();
        world.sleep(minutes(30)).await;
        let ended = seller.run(&run).await;
        assert_eq!((ended.state, ended.done), (RunState::Finished, 150));
        assert!((0..150).all(|n| world.shown(&shop, &format!("S{n:03}")) == 7));
    });
}
