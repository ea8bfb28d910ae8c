//! Switching auto-sync on and off, and between its two frequencies.
use crate::support::*;
use chrono_tz::UTC;
use serde_json::json;
use stocktide::db::audit::Change;
use stocktide::db::runs::{RunFilter, RunKind, RunState};
use stocktide::db::{Error, Tenant};
use stocktide::domain::frequency::Frequency;
use stocktide::domain::push::PushState::{Cancelled, Confirmed};

#[test]
fn switching_on_starts_with_one_overwrite_so_that_increases_build_on_correct_quantities() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.platform.set_quantity(&shop.external, "A", 77);
        seller.purchase("A", 5).await;
        let run = seller.switches_on(incremental).await;
        world.a_moment().await;
        seller.purchase("A", 2).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [set("A", 5), add("A", 2)]);
        let run = seller.run(&run).await;
        assert_eq!((run.kind, run.state, run.done), (RunKind::Initial, RunState::Finished, 1));
    });
}

#[test]
fn the_seller_can_decline_the_initial_overwrite() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.purchase("A", 5).await;
        seller.settings(incremental).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), []);
        seller.purchase("A", 2).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 2)]);
    });
}

#[test]
fn a_setting_takes_effect_for_events_recorded_after_it_is_saved() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 10).await;
        world.a_moment().await;
        seller.settings(|settings| settings.buffer = 4).await;
        seller.purchase("A", 1).await;
        world.all_is_well();
        world.sleep(minutes(5)).await;
        assert_eq!(world.received(&shop), [add("A", 11)], "10 without the buffer, then 1, from 10 - 4 to 11 - 4");
    });
}

#[test]
fn increases_queued_before_a_switch_to_timed_full_coverage_are_still_delivered() {
    story_of_days(START, async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 10).await;
        seller.settings(daily_at("03:30", UTC)).await;
        seller.purchase("A", 1).await;
        world.all_is_well();
        world.sleep(minutes(5)).await;
        assert_eq!(world.received(&shop), [add("A", 10)], "the later purchase waits for the daily run");
        world.sleep_until("2026-03-03T03:31:00Z").await;
        assert_eq!(world.received(&shop), [add("A", 10), set("A", 11)]);
    });
}

#[test]
fn switching_off_cancels_waiting_pushes_and_gives_the_reason() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A", "B"]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 10).await;
        seller.purchase("B", 3).await;
        world.a_moment().await;
        seller.switches_off().await;
        world.all_is_well();
        world.sleep(hours(1)).await;
        assert_eq!(world.received(&shop), []);
        assert_eq!(seller.lines().await, [increase(10, Cancelled), increase(3, Cancelled)]);
        assert!(seller.pushes().await.iter().all(|push| push.reason.as_deref() == Some("Auto-sync was switched off.")));
    });
}

#[test]
fn switching_off_cancels_the_held_pushes_of_a_paused_store() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.pauses(&shop).await;
        seller.purchase("A", 10).await;
        seller.switches_off().await;
        seller.resumes(&shop).await;
        world.sleep(minutes(5)).await;
        assert_eq!(world.received(&shop), []);
        assert_eq!(seller.lines().await, [increase(10, Cancelled)]);
    });
}

#[test]
fn switching_off_cancels_the_runs_of_auto_sync() {
    story(async |world| {
        let seller = world.seller(off).await;
        let shop = seller.shop_on(platform_that::allows(0.1, 1), "corner", &["A", "B", "C"]).await;
        world.faults(|f| f.down = true);
        let run = seller.switches_on(incremental).await;
        world.a_moment().await;
        seller.switches_off().await;
        world.all_is_well();
        world.sleep(minutes(5)).await;
        assert_eq!(seller.run(&run).await.state, RunState::Cancelled);
        assert_eq!(world.received(&shop), []);
    });
}

#[test]
fn a_push_in_flight_when_auto_sync_is_switched_off_is_not_sent_again() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| (f.latency_ms, f.throttle) = (2_000, 1.0));
        seller.purchase("A", 10).await;
        world.sleep(seconds(1)).await;
        seller.switches_off().await;
        world.sleep(seconds(5)).await;
        world.all_is_well();
        world.sleep(minutes(5)).await;
        assert_eq!(world.received(&shop), [], "a throttled push is known not to have been applied");
        assert_eq!(seller.lines().await, [increase(10, Cancelled)]);
    });
}

#[test]
fn an_unknown_outcome_is_still_resolved_after_auto_sync_is_switched_off() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        for (name, platform) in [("keys", platform_that::knows_keys()), ("adds", platform_that::only_adds())] {
            let shop = seller.shop_on(platform, name, &[name]).await;
            world.faults(|f| f.lose_answer = 1.0);
            seller.purchase(name, 10).await;
            world.sleep(ms(100)).await;
            world.faults(|f| f.lose_answer = 0.0);
            let was = seller.pushes().await.pop().unwrap();
            seller.switches_off().await;
            world.sleep(minutes(5)).await;
            let push = seller.pushes().await.into_iter().find(|push| push.id == was.id).unwrap();
            assert!(matches!(push.state, Confirmed), "{name}: {push:?}");
            assert!(world.received(&shop).len() <= 1, "{name}: {:?}", world.received(&shop));
            seller.settings(incremental).await;
        }
    });
}

#[test]
fn an_outcome_that_cannot_be_decided_causes_no_overwrite_after_auto_sync_is_switched_off() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop_on(platform_that::only_adds(), "corner", &["A"]).await;
        seller.purchase("A", 10).await;
        world.a_moment().await;
        world.loses_requests();
        seller.purchase("A", 5).await;
        world.sleep(ms(100)).await;
        world.all_is_well();
        seller.switches_off().await;
        world.sells(&shop, "A", 3);
        world.sleep(minutes(5)).await;
        assert_eq!(world.received(&shop), [add("A", 10)], "no overwrite after auto-sync was switched off");
        assert_eq!(seller.lines().await, [increase(10, Confirmed), increase(5, Cancelled)]);
        assert!(seller.pushes().await[1].next_step.is_some(), "a next step is suggested");
    });
}

#[test]
fn switching_on_again_uses_the_chosen_frequency() {
    story_of_days(START, async |world| {
        let seller = world.seller(daily_at("13:00", UTC)).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.switches_off().await;
        world.sleep(hours(2)).await;
        assert_eq!(world.received(&shop), [], "no daily run while it is off");
        seller.settings(|settings| (settings.auto_sync, settings.frequency) = (true, Frequency::TimedFull)).await;
        world.sleep(hours(1)).await;
        assert_eq!(seller.runs().await.len(), 0, "a time that passed while it was off is not caught up");
        world.sleep(hours(23)).await;
        assert_eq!(seller.runs().await.len(), 1);
    });
}

#[test]
fn a_frequency_chosen_while_auto_sync_is_off_is_kept_on_switching_on() {
    story_of_days(START, async |world| {
        let seller = world.seller(off).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.settings(|settings| settings.frequency = Frequency::TimedFull).await;
        seller.switches_on_only().await;
        seller.purchase("A", 5).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [], "timed full coverage sends no increases");
    });
}

#[test]
fn after_todays_run_a_time_moved_to_later_today_is_next_due_tomorrow_and_nothing_runs_until_then() {
    story_of_days(START, async |world| {
        let seller = world.seller(daily_at("13:00", UTC)).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.sleep(hours(2)).await;
        seller.settings(daily_at("15:00", UTC)).await;
        let now = world.now();
        let db = seller.db();
        let next = db.read(move |t| {
            let settings = t.sync_settings()?;
            stocktide::service::daily::next_run_of(t, &settings, now)
        });
        assert_eq!(next.await.unwrap().unwrap().to_string(), "2026-03-03T15:00:00Z");
        world.sleep(hours(20)).await;
        assert_eq!(seller.dates(&shop).await.len(), 1);
        let new = seller.shop("new", &["A"]).await;
        let db = seller.db();
        let next = db.read(move |t| {
            let settings = t.sync_settings()?;
            stocktide::service::daily::next_run_of(t, &settings, now)
        });
        assert_eq!(next.await.unwrap().unwrap().to_string(), "2026-03-02T15:00:00Z", "a store that has had no run yet");
        world.sleep(hours(6)).await;
        assert_eq!((seller.dates(&shop).await.len(), seller.dates(&new).await.len()), (2, 1));
    });
}

#[test]
fn a_store_of_a_former_version_that_is_the_same_shop_as_another_can_still_be_changed() {
    story(async |world| {
        let seller = world.seller(off).await;
        let (one, two) = (seller.shop("one", &[]).await, seller.shop("two", &[]).await);
        world.execute(&format!("UPDATE stores SET shop = NULL, config = replace(config, '{}', '{}')", two.external, one.external));
        for shop in [&one, &two] {
            seller.change_shop(shop, StoreChange { name: Some("renamed".to_owned()), ..StoreChange::default() }).await;
            seller.pauses(shop).await;
        }
        let config = json!({ "external_store": "elsewhere" }).as_object().cloned().unwrap();
        seller.change_shop(&two, StoreChange { config, ..StoreChange::default() }).await;
        seller.change_shop(&one, StoreChange { name: Some("first".to_owned()), ..StoreChange::default() }).await;
        assert!(seller.store(&one).await.shop.is_some() && seller.store(&two).await.shop.is_some());
    });
}

#[test]
fn a_switch_from_timed_full_coverage_to_incremental_ends_the_daily_runs() {
    story_of_days(START, async |world| {
        let seller = world.seller(daily_at("13:00", UTC)).await;
        let shop = seller.shop("corner", &["A"]).await;
        seller.settings(incremental).await;
        world.sleep(hours(26)).await;
        assert_eq!(seller.runs().await, []);
        seller.purchase("A", 1).await;
        world.a_moment().await;
        assert_eq!(world.received(&shop), [add("A", 1)]);
    });
}

#[test]
fn the_audit_log_records_changes_with_actor_time_and_values_but_omits_failed_ones() {
    story(async |world| {
        let seller = world.seller(off).await;
        let now = world.now();
        let change = || Change {
            actor: "operator",
            action: "sync_settings.changed",
            subject: "sync-settings",
            before: Some(json!({"buffer": 0})),
            after: Some(json!({"buffer": 4})),
        };
        let failing = move |t: &mut Tenant<'_>| -> Result<(), Error> {
            t.append_audit(&change(), now)?;
            Err(Error::Conflict("the change was refused".to_owned()))
        };
        seller.db().write(failing).await.unwrap_err();
        seller.db().write(move |t| t.append_audit(&change(), now)).await.unwrap();
        let log = seller.db().read(|t| t.audit(None, 10)).await.unwrap();
        let changes = log.iter().filter(|entry| entry.action == "sync_settings.changed");
        let read: Vec<_> = changes.map(|e| (e.actor.as_str(), e.at, e.before.clone(), e.after.clone())).collect();
        assert_eq!(read, [("operator", now, Some(json!({"buffer": 0})), Some(json!({"buffer": 4})))]);
    });
}

#[test]
fn a_manual_run_makes_up_for_cancelled_increases() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["A"]).await;
        world.faults(|f| f.down = true);
        seller.purchase("A", 10).await;
        world.a_moment().await;
        seller.switches_off().await;
        world.all_is_well();
        seller.sync(RunFilter::default()).await;
        world.sleep(minutes(1)).await;
        assert_eq!(world.received(&shop), [set("A", 10)]);
    });
}
