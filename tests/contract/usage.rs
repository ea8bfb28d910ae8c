//! What a seller has used is counted once, by the day in UTC, from rows that it outlives.
use crate::support::*;
use stocktide::db::fleet::{Retention, prune};
use stocktide::db::overview::overview;
use stocktide::db::runs::RunFilter;
use stocktide::domain::stock::EventKind::{Count, Purchase, Sale};
use stocktide::domain::usage::{KEPT_FOR, Range, SETTLED_AFTER, Usage};
use stocktide::service::usage::count;

const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

/// A story in which nothing is counted or deleted but by itself.
fn undisturbed(start: &str, tell: impl AsyncFn(&World)) {
    story_with(start, |settings| settings.prune_every = DAY * 1000, tell);
}

fn used(events: i64, pushes: i64, calls: i64) -> Usage {
    Usage { events, pushes, calls }
}

/// What is counted by now of each day of this month and the next.
async fn by_day(seller: &Seller<'_>) -> Vec<(String, Usage)> {
    let range = Range { from: "2026-03-01".parse().unwrap(), to: "2026-04-30".parse().unwrap() };
    let (days, _) = seller.db().read(move |t| t.usage(range)).await.unwrap();
    days.into_iter().map(|of| (of.day.to_string(), of.usage)).collect()
}

async fn counts(world: &World) {
    let now = world.now();
    assert_eq!(count(&world.db(), now).await.unwrap(), now - SETTLED_AFTER);
}

/// Once everything so far has settled.
async fn counted(world: &World, seller: &Seller<'_>) -> Vec<Usage> {
    world.sleep(minutes(6)).await;
    counts(world).await;
    by_day(seller).await.into_iter().map(|(_, usage)| usage).collect()
}

#[test]
fn accepted_events_confirmed_pushes_and_calls_count_once_however_often_they_are_repeated_or_counted() {
    undisturbed(START, async |world| {
        let (ada, bob) = (world.seller(incremental).await, world.seller(incremental).await);
        for name in ["corner", "market"] {
            ada.shop(name, &["A"]).await;
        }
        let event = ada.an_event("A", Purchase, 5);
        for _ in 0..3 {
            ada.record(vec![event.clone()]).await;
        }
        let other = stocktide::domain::stock::StockEvent { quantity: 6, ..event };
        ada.record(vec![other]).await;
        ada.sale("A", 2).await;
        bob.purchase("B", 1).await;
        world.a_moment().await;
        counts(world).await;
        assert_eq!(by_day(&ada).await, [], "an event with an earlier time may still be on its way");
        assert_eq!(counted(world, &ada).await, [used(2, 2, 2)]);
        assert_eq!(counted(world, &ada).await, [used(2, 2, 2)], "and is not counted again");
        assert_eq!(by_day(&bob).await, [("2026-03-02".to_owned(), used(1, 0, 0))]);
        ada.purchase("A", 1).await;
        world.a_moment().await;
        assert_eq!(counted(world, &ada).await, [used(3, 4, 4)], "what comes later is added");
    });
}

#[test]
fn overwrites_in_packs_count_one_by_one_and_their_calls_once() {
    undisturbed(START, async |world| {
        let seller = world.seller(off).await;
        let names: Vec<String> = (0..250).map(|n| format!("S{n:03}")).collect();
        let skus: Vec<&str> = names.iter().map(String::as_str).collect();
        seller.shop("large", &skus).await;
        seller.record(skus.iter().map(|sku| seller.an_event(sku, Count, 7)).collect()).await;
        seller.sync(RunFilter::default()).await;
        world.sleep(minutes(1)).await;
        assert_eq!(counted(world, &seller).await, [used(250, 250, 3)], "a call takes a hundred");
        world.faults(|f| f.reject_items = vec!["S042".to_owned()]);
        seller.sync(RunFilter::default()).await;
        world.sleep(minutes(1)).await;
        assert_eq!(counted(world, &seller).await, [used(250, 499, 6)], "one was refused, and its call confirmed others");
        world.leaves_work();
    });
}

#[test]
fn calls_that_confirm_nothing_do_not_count() {
    undisturbed(START, async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.lose_answer = 1.0);
        seller.purchase("A", 5).await;
        world.sleep(seconds(5)).await;
        world.all_is_well();
        world.sleep(minutes(5)).await;
        assert_eq!(world.shown(&shop, "A"), 5);
        assert_eq!(counted(world, &seller).await, [used(1, 1, 1)], "the answer was lost, and the call was made again");
    });
}

#[test]
fn an_event_of_a_bundle_is_one_event_whatever_it_moves() {
    undisturbed(START, async |world| {
        let seller = world.seller(off).await;
        for sku in ["lamp", "bulb"] {
            seller.event(sku, Count, 10).await;
        }
        seller.bundles("KIT", &[("lamp", 1), ("bulb", 2)]).await;
        seller.event("KIT", Sale, 2).await;
        assert_eq!((seller.available("lamp").await, seller.available("bulb").await), (8, 6));
        let since = world.now() - std::time::Duration::from_secs(60);
        assert_eq!(world.db().read(move |conn| overview(conn, since)).await.unwrap().events, 3);
        assert_eq!(counted(world, &seller).await, [used(3, 0, 0)]);
    });
}

#[test]
fn a_day_ends_at_midnight_in_utc_and_outlives_its_rows_for_400_days() {
    undisturbed("2026-03-02T23:59:58Z", async |world| {
        let seller = world.seller(|settings| settings.timezone = chrono_tz::Asia::Taipei).await;
        seller.purchase("A", 1).await;
        world.sleep(seconds(5)).await;
        for _ in 0..2 {
            seller.purchase("A", 1).await;
        }
        counted(world, &seller).await;
        let both = [("2026-03-02".to_owned(), used(1, 0, 0)), ("2026-03-03".to_owned(), used(2, 0, 0))];
        assert_eq!(by_day(&seller).await, both);
        let keep = Retention { events: std::time::Duration::from_millis(1), pushes: std::time::Duration::from_millis(1) };
        let prunes = async |at: stocktide::domain::Timestamp| {
            world.db().write(move |conn| prune(conn, keep, at, at)).await.unwrap();
        };
        prunes(world.now()).await;
        counted(world, &seller).await;
        assert_eq!(by_day(&seller).await, both, "the events are gone");
        prunes(world.now() + KEPT_FOR - DAY * 2).await;
        assert_eq!(by_day(&seller).await.len(), 2);
        prunes(world.now() + KEPT_FOR - DAY).await;
        assert_eq!(by_day(&seller).await, both[1..]);
    });
}

#[test]
fn rows_are_kept_until_they_are_counted() {
    undisturbed(START, async |world| {
        let seller = world.seller(off).await;
        seller.purchase("A", 1).await;
        let counted_to = world.now();
        world.sleep(ms(1)).await;
        seller.purchase("A", 1).await;
        let (keep, now) = (Retention { events: std::time::Duration::from_millis(1), pushes: DAY * 2 }, world.now() + DAY);
        let pruned = world.db().write(move |conn| prune(conn, keep, counted_to, now)).await.unwrap();
        assert_eq!(pruned, 0, "the first is as old as the count, the second younger");
        assert_eq!(counted(world, &seller).await, [used(2, 0, 0)]);
    });
}

#[test]
fn many_rows_are_counted_in_steps_once_whoever_else_counts() {
    undisturbed(START, async |world| {
        let seller = world.seller(off).await;
        for _ in 0..13 {
            seller.record((0..500).map(|_| seller.an_event("A", Purchase, 1)).collect()).await;
            world.sleep(ms(1)).await;
        }
        world.sleep(minutes(6)).await;
        let (db, now) = (world.db(), world.now());
        let (one, two, three) = tokio::join!(count(&db, now), count(&db, now), count(&db, now));
        for counted_to in [one, two, three] {
            assert_eq!(counted_to.unwrap(), now - SETTLED_AFTER);
        }
        assert_eq!(counted(world, &seller).await, [used(6500, 0, 0)]);
    });
}

#[test]
fn the_housekeeping_counts() {
    story_with(
        START,
        |settings| settings.prune_every = minutes(1).to_std().unwrap(),
        async |world| {
            let seller = world.seller(incremental).await;
            seller.shop("corner", &["A"]).await;
            seller.purchase("A", 5).await;
            world.sleep(minutes(8)).await;
            assert_eq!(by_day(&seller).await, [("2026-03-02".to_owned(), used(1, 1, 1))]);
        },
    );
}
