//! Bundles: SKUs without stock of their own, of which as many are available as their scarcest component allows.
use crate::support::*;
use serde_json::Value;
use stocktide::db::explain::Place;
use stocktide::db::ledger::EventResult;
use stocktide::db::runs::{RunFilter, RunState};
use stocktide::domain::settings::Rule;
use stocktide::domain::stock::EventKind::{self, *};
use stocktide::domain::stock::StockEvent;
use stocktide::domain::{Sku, WarehouseCode};
use stocktide::service::explain::{Happened, explain};
use stocktide::service::preview::preview;

/// A shop that sells 5 lamps, 3 bulbs, and the KIT of a lamp and two bulbs, of which there is one. It shows nothing yet.
async fn kits<'w>(world: &'w World, change: impl FnOnce(&mut stocktide::domain::settings::SyncSettings)) -> (Seller<'w>, Shop) {
    kits_on(world, platform_that::knows_keys(), change).await
}

async fn kits_on<'w>(
    world: &'w World,
    platform: Value,
    change: impl FnOnce(&mut stocktide::domain::settings::SyncSettings),
) -> (Seller<'w>, Shop) {
    let seller = world.seller(off).await;
    seller.event("lamp", Count, 5).await;
    seller.event("bulb", Count, 3).await;
    seller.bundles("KIT", &[("lamp", 1), ("bulb", 2)]).await;
    let shop = seller.shop_on(platform, "corner", &["lamp", "bulb", "KIT"]).await;
    seller.settings(change).await;
    (seller, shop)
}

async fn overwritten(world: &World, seller: &Seller<'_>) {
    seller.sync(RunFilter::default()).await;
    world.a_moment().await;
}

fn of_sku(sku: &str) -> RunFilter {
    RunFilter { store_ids: None, skus: Some(vec![Sku::parse(sku).unwrap()]) }
}

fn to(shown: Vec<Change>, sku: &str) -> Vec<Applied> {
    shown.into_iter().filter(|(item, _)| item == sku).map(|(_, applied)| applied).collect()
}

/// What was sent to the listing of the kit.
fn kit(world: &World, shop: &Shop) -> Vec<Applied> {
    to(world.received(shop), "KIT")
}

fn is_accepted(results: &[EventResult]) -> bool {
    results.iter().all(|result| matches!(result, EventResult::Accepted { .. }))
}

#[test]
fn a_purchase_of_a_component_raises_the_bundle_by_what_can_be_made_more_and_only_by_that() {
    story(async |world| {
        let (seller, shop) = kits(world, incremental).await;
        for (sku, quantity, sent) in [
            ("bulb", 1, vec![Applied::Add(1)]),
            ("bulb", 1, vec![]),
            ("lamp", 10, vec![]),
            ("bulb", 9, vec![Applied::Add(5)]),
            ("bulb", 100, vec![Applied::Add(8)]),
        ] {
            let before = kit(world, &shop).len();
            seller.purchase(sku, quantity).await;
            world.a_moment().await;
            assert_eq!(kit(world, &shop)[before..], sent, "{quantity} × {sku}");
        }
        assert_eq!(seller.target(&shop, "KIT").await, Some(15), "of 15 lamps and 114 bulbs");
        assert_eq!(to(world.received(&shop), "lamp"), [Applied::Add(10)], "the component's own listing got its own increase");
    });
}

#[test]
fn less_of_a_component_sends_nothing_and_what_comes_back_counts_from_there() {
    story(async |world| {
        let (seller, shop) = kits(world, incremental).await;
        for (kind, quantity) in [(Sale, 3), (Adjustment, -2), (Count, 0)] {
            seller.event("bulb", kind, quantity).await;
        }
        world.a_moment().await;
        assert_eq!(kit(world, &shop), []);
        seller.event("bulb", Return, 1).await;
        seller.event("bulb", Count, 6).await;
        world.a_moment().await;
        assert_eq!(kit(world, &shop), [Applied::Add(3)], "from none to three");
    });
}

#[test]
fn a_component_that_several_bundles_share_moves_each_of_them_once() {
    story(async |world| {
        let (seller, shop) = kits(world, incremental).await;
        let saved = seller.bundles("BOX", &[("bulb", 10)]).await;
        assert_eq!(saved.components[0].shared_with, ["KIT"]);
        seller.pair(&shop, &["BOX"]).await;
        seller.purchase("bulb", 20).await;
        world.a_moment().await;
        assert_eq!((kit(world, &shop), to(world.received(&shop), "BOX")), (vec![Applied::Add(4)], vec![Applied::Add(2)]));
        assert_eq!(to(world.received(&shop), "bulb"), [Applied::Add(20)]);
    });
}

#[test]
fn increases_of_a_bundle_follow_shares_buffers_and_packs_as_any_others_do() {
    story(async |world| {
        let (seller, corner) = kits(world, incremental).await;
        let packs = seller.shop("packs", &[]).await;
        seller.pair_units(&packs, &[("pair of kits", "KIT", 2)]).await;
        seller.share(&packs, 50.0).await;
        let rule = Rule { sku: Sku::parse("KIT").ok(), buffer: Some(1), ..Rule::default() };
        seller.rule(rule).await;
        world.a_moment().await;
        let before = [kit(world, &corner).len(), world.received(&packs).len()];
        seller.purchase("lamp", 20).await;
        seller.purchase("bulb", 37).await;
        world.a_moment().await;
        assert_eq!(kit(world, &corner)[before[0]..], [Applied::Add(19)], "of 20 kits, less the buffer");
        assert_eq!(world.received(&packs)[before[1]..], [add("pair of kits", 4)], "half of 19 are 9, which are 4 pairs");
    });
}

#[test]
fn each_store_counts_the_components_in_its_own_warehouses() {
    story(async |world| {
        let (seller, all) = kits(world, incremental).await;
        seller.warehouse("south").await;
        let south = seller.shop("south", &["KIT"]).await;
        seller.fed_by(&south, "south").await;
        world.a_moment().await;
        let arrives = async |sku: &str, quantity| {
            let warehouse = WarehouseCode::parse("south").unwrap();
            assert!(is_accepted(&seller.record(vec![StockEvent { warehouse, ..seller.an_event(sku, Purchase, quantity) }]).await));
            world.a_moment().await;
        };
        arrives("bulb", 5).await;
        assert_eq!((kit(world, &all), kit(world, &south)), (vec![Applied::Add(3)], vec![]), "4 of 5 lamps and 8 bulbs");
        arrives("lamp", 7).await;
        assert_eq!((kit(world, &all), kit(world, &south)), (vec![Applied::Add(3)], vec![Applied::Add(2)]), "there are no more bulbs");
        let mut moved = seller.an_event("bulb", Transfer, 3);
        moved.to_warehouse = WarehouseCode::parse("south").ok();
        assert!(is_accepted(&seller.record(vec![moved]).await));
        world.a_moment().await;
        assert_eq!((kit(world, &all), kit(world, &south)), (vec![Applied::Add(3)], vec![Applied::Add(2), Applied::Add(2)]));
    });
}

#[test]
fn in_exclusive_mode_the_bundles_are_split_among_the_stores() {
    story(async |world| {
        let (seller, corner) = kits(world, exclusive).await;
        seller.share(&corner, 50.0).await;
        let other = seller.shop("other", &["KIT"]).await;
        overwritten(world, &seller).await;
        seller.purchase("bulb", 7).await;
        world.a_moment().await;
        assert_eq!((world.shown(&corner, "KIT"), world.shown(&other, "KIT")), (3, 2), "of 5 kits");
    });
}

#[test]
fn a_sale_of_a_bundle_takes_its_components_once_however_often_it_is_reported() {
    story(async |world| {
        let (seller, shop) = kits(world, incremental).await;
        let sale = seller.an_event("KIT", Sale, 1);
        let stock = async || (seller.available("lamp").await, seller.available("bulb").await, seller.target(&shop, "KIT").await);
        for _ in 0..3 {
            seller.record(vec![sale.clone(), sale.clone()]).await;
            assert_eq!(stock().await, (4, 1, Some(0)));
        }
        let other = StockEvent { quantity: 2, ..sale.clone() };
        assert!(matches!(&seller.record(vec![other]).await[..], [EventResult::Rejected { conflict: true, .. }]));
        world.a_moment().await;
        assert_eq!(world.received(&shop), [], "a sale sends nothing");
        let back = seller.an_event("KIT", Return, 1);
        for _ in 0..2 {
            seller.record(vec![back.clone()]).await;
            assert_eq!(stock().await, (5, 3, Some(1)));
        }
        world.a_moment().await;
        let mut received = world.received(&shop);
        received.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(received, [add("KIT", 1), add("bulb", 2), add("lamp", 1)], "the return sends what it brings back");
        seller.event("KIT", Sale, 3).await;
        assert_eq!(stock().await, (2, -3, Some(0)), "more than there was");
    });
}

#[test]
fn a_cancelled_sale_of_a_bundle_brings_back_its_components_and_sends_nothing_unless_the_seller_wants_that() {
    story(async |world| {
        let (seller, shop) = kits(world, incremental).await;
        seller.event("KIT", Sale, 1).await;
        seller.event("KIT", Cancellation, 1).await;
        world.a_moment().await;
        assert_eq!((seller.available("lamp").await, seller.available("bulb").await, world.received(&shop)), (5, 3, vec![]));
        seller.settings(|settings| settings.trigger_on_cancellation = true).await;
        seller.event("KIT", Sale, 1).await;
        seller.event("KIT", Cancellation, 1).await;
        world.a_moment().await;
        assert_eq!(kit(world, &shop), [Applied::Add(1)]);
    });
}

#[test]
fn what_cannot_happen_to_a_bundle_is_refused_and_the_other_events_of_the_request_count() {
    story(async |world| {
        let (seller, shop) = kits(world, incremental).await;
        let mut events: Vec<StockEvent> = [Purchase, Adjustment, Count].map(|kind| seller.an_event("KIT", kind, 1)).into();
        events.push(seller.an_event("bulb", Purchase, 1));
        let results = seller.record(events).await;
        for result in &results[..3] {
            let EventResult::Rejected { errors, conflict: false, .. } = result else { panic!("{result:?}") };
            assert_eq!(errors[0].pointer, "/kind");
            assert!(errors[0].detail.contains("KIT, which is a bundle and has no stock of its own"), "{}", errors[0].detail);
        }
        assert!(is_accepted(&results[3..]));
        world.a_moment().await;
        assert_eq!((seller.available("KIT").await, kit(world, &shop)), (0, vec![Applied::Add(1)]));
    });
}

/// The events of a busy day: of components, of the bundle, up and down.
fn a_day(seller: &Seller<'_>) -> Vec<StockEvent> {
    let events: [(&str, EventKind, i64); 10] = [
        ("bulb", Purchase, 5),
        ("lamp", Sale, 4),
        ("bulb", Purchase, 2),
        ("lamp", Purchase, 6),
        ("KIT", Sale, 2),
        ("lamp", Count, 2),
        ("bulb", Sale, 5),
        ("bulb", Return, 3),
        ("KIT", Return, 1),
        ("lamp", Purchase, 9),
    ];
    events.iter().map(|(sku, kind, quantity)| seller.an_event(sku, *kind, *quantity)).collect()
}

#[test]
fn a_request_with_many_events_sends_the_same_as_its_events_one_by_one() {
    story(async |world| {
        let mut found = Vec::new();
        for at_once in [true, false] {
            let (seller, shop) = kits(world, incremental).await;
            let events = a_day(&seller);
            if at_once {
                assert!(is_accepted(&seller.record(events).await));
            } else {
                for event in events {
                    assert!(is_accepted(&seller.record(vec![event]).await));
                    world.a_moment().await;
                }
            }
            world.a_moment().await;
            found.push(["lamp", "bulb", "KIT"].map(|sku| world.shown(&shop, sku)));
        }
        // Kits: 1, 4, 1, 1, 5, 3, 2, 1, 2, 3, 4. The rises are those of a purchase of bulbs, of lamps, and of three more.
        assert_eq!(found, [[16, 12, 10], [16, 12, 10]]);
    });
}

#[test]
fn whatever_is_lost_or_crashes_a_bundle_gets_each_unit_once() {
    story(async |world| {
        for platform in
            [platform_that::knows_keys(), platform_that::compares_and_sets(), platform_that::only_adds(), platform_that::only_sets()]
        {
            for lose in [World::loses_answers, World::loses_requests] {
                let (seller, shop) = kits_on(world, platform.clone(), incremental).await;
                overwritten(world, &seller).await;
                lose(world);
                for _ in 0..3 {
                    seller.purchase("bulb", 3).await;
                    seller.purchase("lamp", 1).await;
                    world.sleep(seconds(20)).await;
                }
                world.crashes().await;
                world.starts();
                seller.purchase("bulb", 2).await;
                world.all_is_well();
                world.sleep(minutes(30)).await;
                assert_eq!((world.shown(&shop, "KIT"), seller.target(&shop, "KIT").await), (7, Some(7)), "{platform}");
            }
        }
    });
}

#[test]
fn every_overwrite_sets_a_bundle_to_what_its_components_allow_then() {
    story(async |world| {
        for mode in [off, exclusive] {
            let (seller, shop) = kits_on(world, platform_that::takes(100), mode).await;
            overwritten(world, &seller).await;
            assert_eq!(["lamp", "bulb", "KIT"].map(|sku| world.shown(&shop, sku)), [5, 3, 1]);
            seller.sale("lamp", 5).await;
            let found = preview(&world.service(), &seller.caller(), of_sku("KIT")).await.unwrap();
            assert_eq!(serde_json::to_value(&found).unwrap()["items"][0]["target"], 0, "{}", serde_json::to_string(&found).unwrap());
            overwritten(world, &seller).await;
            assert_eq!(world.shown(&shop, "KIT"), 0);
            seller.event("lamp", Count, 9).await;
            seller.event("bulb", Count, 9).await;
            seller.sync(of_sku("KIT")).await;
            world.a_moment().await;
            assert_eq!(world.shown(&shop, "KIT"), 4, "alone");
        }
    });
}

#[test]
fn the_daily_overwrite_covers_bundles() {
    story_from("2026-03-02T12:00:00Z", async |world| {
        let (seller, shop) = kits(world, daily_at("03:30", chrono_tz::UTC)).await;
        seller.event("bulb", Count, 8).await;
        world.sleep_until("2026-03-03T03:31:00Z").await;
        assert_eq!(seller.dates(&shop).await.last().unwrap().1, RunState::Finished);
        assert_eq!(world.shown(&shop, "KIT"), 4);
    });
}

#[test]
fn saving_and_deleting_a_bundle_overwrites_its_listings_where_auto_sync_is_on() {
    story(async |world| {
        let (seller, shop) = kits(world, incremental).await;
        overwritten(world, &seller).await;
        let saved = seller.bundles("KIT", &[("lamp", 2)]).await;
        assert!(saved.sync_id.is_some());
        world.a_moment().await;
        assert_eq!((saved.available, world.shown(&shop, "KIT")), (2, 2));
        assert_eq!(seller.bundles("KIT", &[("lamp", 2)]).await.sync_id, None, "nothing has changed");
        seller.purchase("bulb", 10).await;
        seller.purchase("lamp", 2).await;
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "KIT"), 3, "bulbs are no part of it any more");
        assert!(seller.unbundles("KIT").await.is_some());
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "KIT"), 0, "a SKU of which there is nothing");
        seller.purchase("lamp", 4).await;
        seller.purchase("KIT", 6).await;
        world.a_moment().await;
        assert_eq!((world.shown(&shop, "KIT"), seller.available("KIT").await), (6, 6), "like any other");
        seller.switches_off().await;
        seller.event("KIT", Count, 0).await;
        assert_eq!(seller.bundles("KIT", &[("lamp", 1)]).await.sync_id, None);
        world.a_moment().await;
        assert_eq!(world.shown(&shop, "KIT"), 6);
    });
}

#[test]
fn an_increase_that_waits_while_the_bundle_changes_is_part_of_its_overwrite() {
    story(async |world| {
        let (seller, shop) = kits(world, incremental).await;
        overwritten(world, &seller).await;
        seller.pauses(&shop).await;
        seller.purchase("bulb", 4).await;
        seller.bundles("KIT", &[("bulb", 2)]).await;
        seller.purchase("bulb", 2).await;
        seller.resumes(&shop).await;
        world.sleep(minutes(1)).await;
        assert_eq!((seller.target(&shop, "KIT").await, world.shown(&shop, "KIT")), (Some(4), 4), "of 9 bulbs");
    });
}

#[test]
fn a_bundle_that_another_node_has_just_saved_counts_for_the_next_event() {
    const MADE: &str = "INSERT INTO bundle_components (seller_id, bundle, component, quantity) SELECT id, 'KIT', 'lamp', 1 FROM sellers";
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["lamp", "KIT"]).await;
        seller.purchase("lamp", 2).await;
        world.execute(MADE);
        world.execute("UPDATE sync_settings SET has_bundles = true");
        seller.purchase("lamp", 3).await;
        world.a_moment().await;
        assert_eq!(kit(world, &shop), [Applied::Add(3)]);
        world.execute("UPDATE bundle_components SET quantity = 5");
        seller.purchase("lamp", 5).await;
        world.a_moment().await;
        assert_eq!(kit(world, &shop), [Applied::Add(3), Applied::Add(1)], "from 1 to 2");
        world.execute("DELETE FROM bundle_components");
        seller.purchase("lamp", 5).await;
        world.a_moment().await;
        assert_eq!(kit(world, &shop).len(), 2);
    });
}

#[test]
fn sales_of_a_bundle_that_its_store_has_made_are_left_out_of_overwrites_until_they_are_reported_and_not_afterwards() {
    story(async |world| {
        for platform in [platform_that::knows_keys(), platform_that::only_sets()] {
            let (seller, shop) = kits_on(world, platform, off).await;
            seller.event("bulb", Count, 20).await;
            seller.event("lamp", Count, 11).await;
            seller.sale_of(&shop, "KIT", 1).await;
            overwritten(world, &seller).await;
            let shown = || ["lamp", "bulb", "KIT"].map(|sku| world.shown(&shop, sku));
            assert_eq!(shown(), [10, 18, 9]);
            world.sells(&shop, "KIT", 2);
            overwritten(world, &seller).await;
            assert_eq!(shown(), [10, 18, 7], "two kits were sold that nobody has reported");
            world.sells(&shop, "lamp", 1);
            seller.sale_of(&shop, "KIT", 2).await;
            for _ in 0..2 {
                overwritten(world, &seller).await;
                assert_eq!(shown(), [7, 14, 7], "the kits are taken off once, and are no report of the lamp that was sold alone");
            }
            seller.sale_of(&shop, "lamp", 1).await;
            world.sells(&shop, "bulb", 3);
            overwritten(world, &seller).await;
            assert_eq!(shown(), [7, 11, 7], "nobody has reported the three bulbs, so the kits are as before");
            seller.sale_of(&shop, "bulb", 3).await;
            overwritten(world, &seller).await;
            assert_eq!(shown(), [7, 11, 5]);
        }
    });
}

#[test]
fn a_late_count_of_a_component_knows_the_bundles_sold_since() {
    story(async |world| {
        let (seller, _) = kits(world, off).await;
        world.sleep(hours(2)).await;
        seller.event("KIT", Sale, 1).await;
        world.sleep(hours(1)).await;
        let occurred_at = Some(world.now() - minutes(90));
        let count = |quantity| StockEvent { occurred_at, ..seller.an_event("bulb", Count, quantity) };
        assert!(is_accepted(&seller.record(vec![count(10)]).await));
        assert_eq!(seller.available("bulb").await, 8, "two of the ten went with the kit");
        let before = StockEvent { occurred_at: occurred_at.map(|at| at - minutes(1)), ..seller.an_event("KIT", Sale, 1) };
        assert!(is_accepted(&seller.record(vec![before]).await));
        assert_eq!((seller.available("bulb").await, seller.available("lamp").await), (8, 3), "the count of bulbs had this one already");
        seller.unbundles("KIT").await;
        let late = StockEvent { occurred_at, ..seller.an_event("KIT", Count, 7) };
        assert!(is_accepted(&seller.record(vec![late]).await));
        assert_eq!(seller.available("KIT").await, 7, "what was sold as a bundle took nothing of it");
    });
}

#[test]
fn the_history_of_a_component_has_what_was_sold_in_bundles_and_that_of_a_bundle_its_own_events() {
    story(async |world| {
        let (seller, _) = kits(world, incremental).await;
        world.sleep(minutes(1)).await;
        seller.event("KIT", Sale, 1).await;
        world.a_moment().await;
        let words = async |sku: &str, before: Place, limit: i64| {
            let found = explain(&seller.caller(), Sku::parse(sku).unwrap(), None, before, limit).await.unwrap();
            let word = |happened: &Happened| match happened {
                Happened::Push(push) => format!("{:?}", push.kind()),
                Happened::Event { past, after, .. } => {
                    let (event, after) = (&past.event, after.values().next().copied().flatten());
                    format!("{} {} ({}) {after:?}", event.kind.as_str(), event.quantity, event.note.as_deref().unwrap_or_default())
                }
            };
            (found.history.iter().map(word).collect::<Vec<_>>(), found.next)
        };
        let (of_bulb, _) = words("bulb", Place::default(), 10).await;
        assert_eq!(of_bulb, ["sale 2 (1 × KIT) Some(1)", "count 3 () Some(3)"]);
        let (newest, next) = words("bulb", Place::default(), 1).await;
        let (older, _) = words("bulb", next.unwrap(), 1).await;
        assert_eq!([newest, older].concat(), of_bulb, "page by page");
        assert_eq!(words("KIT", Place::default(), 10).await.0, ["sale 1 () None"]);
        let found = explain(&seller.caller(), Sku::parse("KIT").unwrap(), None, Place::default(), 10).await.unwrap();
        assert_eq!((found.listings[0].formula.together, found.listings[0].formula.target.shown, found.components.len()), (0, 0, 2));
    });
}

#[test]
fn a_bundle_needs_components_that_exist_and_are_no_bundles_and_has_no_stock_of_its_own() {
    story(async |world| {
        let (seller, _) = kits(world, off).await;
        let refused = async |sku: &str, components: &[(&str, i64)]| seller.tries_to_bundle(sku, components).await.unwrap_err().to_string();
        let fields = async |sku: &str, components: &[(&str, i64)]| match seller.tries_to_bundle(sku, components).await.unwrap_err() {
            stocktide::service::Error::Rows(stocktide::db::Error::Invalid(errors)) => {
                errors.into_iter().map(|error| error.pointer).collect::<Vec<_>>()
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(fields("SET", &[("lamp", 1), ("KIT", 1)]).await, ["/components/1/sku"]);
        assert_eq!(fields("bulb", &[("lamp", 1)]).await, ["/sku"]);
        assert_eq!(fields("SET", &[("lamp", 1), ("shade", 1), ("lamp", 2)]).await, ["/components/2/sku"]);
        assert_eq!(fields("SET", &[("lamp", 1), ("shade", 1)]).await, ["/components/1/sku"]);
        seller.event("vase", Count, 1).await;
        assert!(refused("vase", &[("lamp", 1)]).await.contains("this SKU has stock of its own"));
        seller.event("vase", Count, 0).await;
        seller.bundles("vase", &[("lamp", 1)]).await;
    });
}

#[test]
fn what_was_counted_before_a_sku_became_a_bundle_moves_no_component_when_it_is_reported_later() {
    story(async |world| {
        let seller = world.seller(incremental).await;
        let shop = seller.shop("corner", &["LAMP", "KIT"]).await;
        seller.event("LAMP", Count, 10).await;
        seller.event("KIT", Count, 0).await;
        world.sleep(minutes(1)).await;
        seller.bundles("KIT", &[("LAMP", 1)]).await;
        overwritten(world, &seller).await;
        let before = world.received(&shop).len();
        let late = StockEvent { occurred_at: Some(world.now() - minutes(5)), ..seller.an_event("KIT", Return, 3) };
        assert!(is_accepted(&seller.record(vec![late]).await));
        world.a_moment().await;
        assert_eq!((seller.available("LAMP").await, world.received(&shop).len()), (10, before));
        let now = StockEvent { occurred_at: Some(world.now()), ..seller.an_event("KIT", Return, 3) };
        seller.record(vec![now]).await;
        world.a_moment().await;
        assert_eq!((seller.available("LAMP").await, world.shown(&shop, "KIT")), (13, 13));
    });
}
