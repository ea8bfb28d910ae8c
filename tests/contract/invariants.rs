//! The invariants under random events combined with faults, restarts, crashes and clock steps. The seeds are fixed, so
//! that a failure can be repeated.
use crate::support::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;
use stocktide::actors;
use stocktide::db::Db;
use stocktide::db::apps::{append_operator_audit, operator_audit};
use stocktide::db::fleet::{PRUNE_STEP, Retention, prune};
use stocktide::db::ledger::EventResult;
use stocktide::db::own_retention::prune_shorter;
use stocktide::db::runs::{RunFilter, RunState};
use stocktide::domain::push::PushState;
use stocktide::domain::seller_limits::LimitsChange;
use stocktide::domain::stock::EventKind::{self, Adjustment, Count, Purchase, Return, Sale};
use stocktide::service::Operator;
use stocktide::service::sellers::change_limits;
use stocktide::simulator::Faults;

const SKUS: [&str; 3] = ["A", "B", "C"];

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn any_kind(rng: &mut ChaCha8Rng) -> (EventKind, i64) {
    let kind = [Purchase, Purchase, Return, Sale, Sale, Adjustment, Count][rng.random_range(0..7)];
    let quantity = rng.random_range(1..9);
    (kind, if kind == Adjustment && rng.random_bool(0.5) { -quantity } else { quantity })
}

/// Replaces the platform's faults with a random one.
fn random_fault(world: &World, rng: &mut ChaCha8Rng) {
    world.all_is_well();
    let p = rng.random_range(0.2..0.9);
    world.faults(|f: &mut Faults| match rng.random_range(0..10) {
        0 => f.down = true,
        1 => f.lose_answer = p,
        2 => f.error_before = p,
        3 => f.error_after = p,
        4 => f.cut = p,
        5 => (f.late, f.late_ms) = (p, 7_000),
        6 => (f.throttle, f.retry_after_s) = (p, 3.0),
        7 => f.never_answer = p,
        8 => f.unauthorized = true,
        _ => f.latency_ms = 700,
    });
}

/// A crash, a restart or, more often, a fault of the platform.
async fn disturb(world: &World, rng: &mut ChaCha8Rng) {
    match rng.random_range(0..6) {
        0 => {
            world.crashes().await;
            world.starts();
        }
        1 => {
            world.stops().await;
            world.starts();
        }
        _ => random_fault(world, rng),
    }
}

/// Removes the faults and waits until no push is waiting or in flight, which takes longest after refused credentials.
async fn recover(world: &World, seller: &Seller<'_>) {
    world.all_is_well();
    for _ in 0..12 {
        world.sleep(minutes(10)).await;
        if seller.pushes().await.iter().all(|push| !push.state.is_waiting() && !push.state.is_in_flight()) {
            return;
        }
    }
    panic!("pushes are still pending after two hours: {:?}", seller.lines().await);
}

#[test]
fn available_is_the_sum_of_the_deltas_of_distinct_accepted_events() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        seller.shop("corner", &SKUS).await;
        let mut rng = rng(1);
        let (mut available, mut sent) = ([0i64; 3], Vec::new());
        for round in 0..60 {
            let mut batch = Vec::new();
            for _ in 0..rng.random_range(1..6) {
                if !sent.is_empty() && rng.random_bool(0.3) {
                    let again: &stocktide::domain::stock::StockEvent = &sent[rng.random_range(0..sent.len())];
                    batch.push(again.clone());
                } else {
                    let (kind, quantity) = any_kind(&mut rng);
                    let event = seller.an_event(SKUS[rng.random_range(0..3)], kind, quantity);
                    sent.push(event.clone());
                    batch.push(event);
                }
            }
            let results = seller.record(batch.clone()).await;
            for (event, result) in batch.iter().zip(results) {
                if matches!(result, EventResult::Accepted { .. }) {
                    let units = &mut available[SKUS.iter().position(|sku| *sku == event.sku.as_str()).unwrap()];
                    match event.kind {
                        Sale => *units -= event.quantity,
                        Count => *units = event.quantity,
                        _ => *units += event.quantity,
                    }
                }
            }
            if round % 20 == 19 {
                world.crashes().await;
                world.starts();
            }
        }
        for (sku, available) in SKUS.iter().zip(available) {
            assert_eq!(seller.available(sku).await, available, "{sku}");
        }
        world.sleep(minutes(5)).await;
    });
}

#[test]
fn confirmed_increases_equal_the_computed_ones_with_no_unit_lost_or_duplicated() {
    story(async |world| {
        for seed in 0..4 {
            println!("seed {seed}");
            let seller = world.seller(incremental).await;
            let shop = seller.shop("corner", &SKUS).await;
            let mut rng = rng(seed);
            let (mut available, mut computed) = ([0i64; 3], [0i64; 3]);
            for _ in 0..40 {
                for _ in 0..rng.random_range(1..4) {
                    let (n, (kind, quantity)) = (rng.random_range(0..3), any_kind(&mut rng));
                    seller.event(SKUS[n], kind, quantity).await;
                    let before = available[n];
                    available[n] = match kind {
                        Sale => before - quantity,
                        Count => quantity,
                        _ => before + quantity,
                    };
                    if kind != Sale {
                        computed[n] += (available[n].max(0) - before.max(0)).max(0);
                    }
                }
                disturb(world, &mut rng).await;
                world.sleep(ms(rng.random_range(1..30_000))).await;
            }
            recover(world, &seller).await;
            for (sku, computed) in SKUS.iter().zip(computed) {
                assert_eq!(world.shown(&shop, sku), computed, "{sku}: {:?}", world.received(&shop));
            }
            let confirmed: i64 =
                seller.pushes().await.iter().filter(|push| push.state == PushState::Confirmed).filter_map(|push| push.quantity).sum();
            assert_eq!(confirmed, computed.iter().sum::<i64>());
        }
    });
}

#[test]
fn units_are_exact_on_every_kind_of_platform_while_stock_only_grows() {
    let platforms = [
        platform_that::compares_and_sets(),
        platform_that::only_adds(),
        platform_that::only_sets(),
        platform_that::only_sets_but_knows_keys(),
        platform_that::adds_but_cannot_be_read(),
    ];
    story(async |world| {
        for (seed, platform) in platforms.iter().enumerate() {
            println!("on {platform}");
            let seller = world.seller(incremental).await;
            let shop = seller.shop_on(platform.clone(), "corner", &SKUS).await;
            let mut rng = rng(seed as u64);
            let mut bought = [0i64; 3];
            for _ in 0..30 {
                for _ in 0..rng.random_range(1..4) {
                    let (n, quantity) = (rng.random_range(0..3), rng.random_range(1..9));
                    seller.purchase(SKUS[n], quantity).await;
                    bought[n] += quantity;
                }
                disturb(world, &mut rng).await;
                world.sleep(ms(rng.random_range(1..30_000))).await;
            }
            recover(world, &seller).await;
            for (sku, bought) in SKUS.iter().zip(bought) {
                assert_eq!(world.shown(&shop, sku), bought, "{sku}: {:?}", world.received(&shop));
            }
        }
    });
}

#[test]
fn after_a_timed_run_with_no_other_activity_every_listing_shows_its_target() {
    for seed in 0..3 {
        story(async |world| {
            println!("seed {seed}");
            let seller = world.seller(daily_at("13:00", chrono_tz::UTC)).await;
            let mut rng = rng(seed);
            let shops = [seller.shop("corner", &SKUS).await, seller.shop_on(platform_that::only_sets(), "market", &SKUS).await];
            seller.share(&shops[1], 62.5).await;
            for _ in 0..10 {
                let (kind, quantity) = any_kind(&mut rng);
                seller.event(SKUS[rng.random_range(0..3)], kind, quantity).await;
            }
            for shop in &shops {
                world.platform.set_quantity(&shop.external, "A", rng.random_range(0..50));
            }
            world.sleep_until("2026-03-02T13:00:00Z").await;
            for _ in 0..10 {
                disturb(world, &mut rng).await;
                world.sleep(ms(rng.random_range(1..5_000))).await;
            }
            recover(world, &seller).await;
            for shop in &shops {
                assert_eq!(seller.dates(shop).await, [("2026-03-02".to_owned(), RunState::Finished)]);
                for sku in SKUS {
                    assert_eq!(Some(world.shown(shop, sku)), seller.target(shop, sku).await, "{sku}");
                }
            }
        });
    }
}

#[test]
fn exclusive_targets_add_up_to_the_pool_despite_faults_and_restarts() {
    story(async |world| {
        let seller = world.seller(exclusive).await;
        let mut rng = rng(3);
        let mut shops = Vec::new();
        for (name, share) in [("corner", 50.0), ("market", 30.0), ("harbour", 20.0)] {
            shops.push(seller.shop(name, &["A"]).await);
            seller.share(&shops[shops.len() - 1], share).await;
        }
        for _ in 0..25 {
            let (kind, quantity) = any_kind(&mut rng);
            seller.event("A", kind, quantity).await;
            if rng.random_bool(0.3) {
                disturb(world, &mut rng).await;
            }
            let mut targets = 0;
            for shop in &shops {
                targets += seller.target(shop, "A").await.unwrap();
            }
            assert_eq!(targets, seller.available("A").await.max(0));
            world.sleep(seconds(5)).await;
        }
        recover(world, &seller).await;
        seller.sync(RunFilter::default()).await;
        recover(world, &seller).await;
        let shown: i64 = shops.iter().map(|shop| world.shown(shop, "A")).sum();
        assert_eq!(shown, seller.available("A").await.max(0));
    });
}

#[test]
fn there_is_at_most_one_run_per_store_and_local_date_despite_restarts_and_clock_steps() {
    story_of_days(START, async |world| {
        let seller = world.seller(daily_at("02:30", chrono_tz::Europe::Berlin)).await;
        let shops = [seller.shop("corner", &["A"]).await, seller.shop("market", &["A"]).await];
        let mut rng = rng(5);
        for _ in 0..60 {
            world.sleep(minutes(rng.random_range(1..400))).await;
            match rng.random_range(0..4) {
                0 => world.clock.step(-minutes(rng.random_range(1..300))),
                1 => world.clock.step(minutes(rng.random_range(1..200))),
                2 => {
                    world.crashes().await;
                    world.sleep(minutes(rng.random_range(0..300))).await;
                    world.starts();
                }
                _ => {}
            }
        }
        world.sleep(hours(1)).await;
        for shop in &shops {
            let dates: Vec<String> = seller.dates(shop).await.into_iter().map(|(date, _)| date).collect();
            let mut distinct = dates.clone();
            distinct.dedup();
            assert!(dates.len() > 5, "{dates:?}");
            assert_eq!(dates, distinct);
            let finished = seller.dates(shop).await.iter().filter(|(_, state)| *state == RunState::Finished).count();
            assert_eq!(world.received(shop).len(), finished, "each run overwrote its listing once");
        }
    });
}

#[test]
fn old_rows_are_pruned_in_small_steps_and_unfinished_ones_are_kept() {
    let settings = |settings: &mut actors::Settings| settings.prune_every = std::time::Duration::from_secs(1_000_000);
    story_with(START, settings, async |world| {
        let seller = world.seller(incremental).await;
        seller.shop("corner", &["A"]).await;
        let paused = seller.shop("paused", &["A"]).await;
        seller.pauses(&paused).await;
        for _ in 0..6 {
            let events = (0..200).map(|_| seller.an_event("A", Purchase, 1)).collect();
            seller.record(events).await;
        }
        world.a_moment().await;
        let (now, keep) =
            (world.now() + Duration::from_secs(1), Retention { events: Duration::from_millis(1), pushes: Duration::from_millis(1) });
        let step = async |db: Db| db.write(move |conn| prune(conn, keep, now, now)).await.unwrap();
        let mut steps = Vec::new();
        loop {
            steps.push(step(world.db()).await);
            if steps.last() == Some(&0) {
                break;
            }
        }
        assert!(steps.len() > 2 && steps.iter().all(|rows| *rows <= PRUNE_STEP), "{steps:?}");
        assert_eq!(steps.iter().sum::<usize>() / 100, 12, "1200 events and a few pushes: {steps:?}");
        assert_eq!(seller.lines().await, [increase(1200, PushState::Held)], "a held push is kept, however old it is");
        assert_eq!(seller.available("A").await, 1200);
        seller.resumes(&paused).await;
        world.a_moment().await;
        assert_eq!(world.shown(&paused, "A"), 1200);
    });
}

#[test]
fn rows_older_than_their_retention_are_pruned_automatically() {
    let settings = |settings: &mut actors::Settings| {
        settings.retention = Retention { events: Duration::from_secs(3600), pushes: Duration::from_secs(60) };
        settings.prune_every = Duration::from_secs(60);
    };
    story_with(START, settings, async |world| {
        let seller = world.seller(incremental).await;
        seller.shop("corner", &["A"]).await;
        let event = seller.an_event("A", Purchase, 5);
        seller.record(vec![event.clone()]).await;
        world.a_moment().await;
        assert_eq!(seller.pushes().await.len(), 1);
        let (db, now) = (world.service().db, world.now());
        db.write(move |conn| append_operator_audit(conn, ("app.removed", "shopify"), None, None, now)).await.unwrap();
        let entries = async || db.read(|conn| operator_audit(conn, None, 10)).await.unwrap().len();
        assert_eq!(entries().await, 2, "that one, and that the seller was created");
        world.sleep(minutes(3)).await;
        assert_eq!((seller.pushes().await.len(), entries().await), (1, 0), "a push is kept until it is counted");
        world.sleep(minutes(5)).await;
        assert_eq!(seller.pushes().await, vec![]);
        let again = seller.record(vec![event]).await;
        assert!(matches!(again[..], [EventResult::Duplicate { .. }]), "events are kept for longer");
    });
}

#[test]
fn a_seller_may_keep_its_records_for_a_shorter_time_than_all_others() {
    story(async |world| {
        let (ada, ben) = (world.seller(incremental).await, world.seller(incremental).await);
        for seller in [&ada, &ben] {
            seller.shop("corner", &["A"]).await;
            let paused = seller.shop("paused", &["A"]).await;
            seller.pauses(&paused).await;
            seller.purchase("A", 5).await;
        }
        world.sleep(minutes(5)).await;
        assert!(ada.lines().await.contains(&increase(5, PushState::Confirmed)));
        let service = world.service();
        let change = LimitsChange { records_kept_days: Some(Some(1)), ..LimitsChange::default() };
        change_limits(&service, Operator, ada.id, &service.common_limits(1), change).await.unwrap();
        let now = world.now();
        let after = async |hours: u64| {
            let at = now + Duration::from_secs(3600 * hours);
            let step = service.db.write(move |conn| prune_shorter(conn, None, at, at)).await.unwrap();
            assert_eq!(step.next, None, "all sellers were looked at");
            step.pruned
        };
        assert_eq!(after(23).await, 0);
        // Ids do not go back within a process, and another story may be months ahead.
        assert!(after(24 * 1000).await > 1, "a push and the audit log");
        assert_eq!(ada.lines().await, [increase(5, PushState::Held)], "what has not ended is kept");
        assert_eq!((ben.pushes().await.len(), ada.available("A").await), (2, 5));
    });
}
