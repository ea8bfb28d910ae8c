//! The calls that an app may make in a day, over restarts of the service.
use super::all::ebay;
use super::{Stage, play};
use crate::World;
use chrono_tz::Tz;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A shop whose app has so many calls a day.
fn with_calls_per_day(calls: u32, count: u64, story: impl AsyncFn(&Stage<'_>)) {
    let mut face = ebay();
    face.config = json!({"app_calls_per_day": calls});
    play(face, count, story);
}

async fn restarted(stage: &Stage<'_>, on: &World) -> World {
    on.restart(Arc::new(stage.shop.clone())).await
}

/// The stage with another world: the service after a restart.
fn on<'w>(stage: &Stage<'_>, world: &'w World) -> Stage<'w> {
    Stage { world, shop: stage.shop.clone(), face: stage.face.clone(), count: stage.count }
}

#[test]
fn the_first_calls_after_a_start_do_not_wait_for_a_day_to_fill_a_bucket() {
    with_calls_per_day(1_000, 3, async |stage| {
        let mut world = restarted(stage, stage.world).await;
        for units in [15, 20, 25] {
            let after = on(stage, &world);
            after.arrive(5).await;
            after.sleep(3).await;
            after.all_show(units).await;
            let next = restarted(stage, &world).await;
            world = next;
        }
        world.handle.shut_down().await;
    });
}

/// At 06:00 Pacific time, with 40 calls a day, each increase is a read and a set.
#[test]
fn restarts_do_not_double_the_calls_of_a_day_and_midnight_refills_them() {
    with_calls_per_day(40, 1, async |stage| {
        let mut world = restarted(stage, stage.world).await;
        for n in 0..30 {
            let after = on(stage, &world);
            after.arrive(1).await;
            after.sleep(30).await;
            if n % 3 == 0 {
                let next = restarted(stage, &world).await;
                world = next;
            }
        }
        let after = on(stage, &world);
        after.sleep(40 * 3600).await;
        after.all_show(40).await;
        let (now, log) = (stage.world.clock.now(), stage.shop.state().log.clone());
        let mut by_day = BTreeMap::new();
        for (at, _) in &log {
            let day = (now - at.elapsed()).in_zone(Tz::America__Los_Angeles).date_naive();
            *by_day.entry(day).or_insert(0) += 1;
        }
        assert!(by_day.values().all(|calls| *calls <= 40), "{by_day:?}");
        world.handle.shut_down().await;
    });
}
