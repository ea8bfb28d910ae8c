//! `/metrics` as a scraper reads it. The series belong to the process, which other tests share, so every test here compares
//! two scrapes.
use crate::database::Backend;
use crate::on_both_backends;
use crate::support::{Api, Expect, Platform, until};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use stocktide::clock::Clock;
use stocktide::db::overview::{Concerns, concerns};
use stocktide::db::{Conn, DatabaseUrl};
use stocktide::platforms::registry;
use stocktide::simulator::Faults;

/// Samples by name and labels, as they are written.
type Samples = BTreeMap<String, f64>;

/// Reads the text format strictly: each sample occurs once and follows the help and type of its family, the buckets of a
/// histogram never fall as their bounds rise, and the last one holds as many as `_count` says.
fn parse(text: &str) -> Samples {
    let mut samples = Samples::new();
    let (mut helped, mut family, mut kind) = (BTreeSet::new(), "", "");
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(helped.insert(name) && help.ends_with('.'), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            (family, kind) = rest.split_once(' ').unwrap();
            assert!(helped.contains(family) && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", family.ends_with("_total"), "{line}");
            assert!(kind != "histogram" || family.ends_with("_seconds"), "{line}");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            let suffix = name.split('{').next().unwrap().strip_prefix(family).unwrap_or_else(|| panic!("{line} is not of {family}"));
            match (kind, suffix) {
                ("histogram", "_bucket") => {
                    let bound = name.rsplit_once("le=\"").unwrap().1.strip_suffix("\"}").unwrap();
                    let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().unwrap() };
                    assert!(buckets.last().is_none_or(|(lower, fewer)| *lower < bound && *fewer <= value), "{line}");
                    buckets.push((bound, value));
                }
                ("histogram", "_sum") => assert!(value >= 0.0, "{line}"),
                ("histogram", "_count") => {
                    let bounds: Vec<f64> = buckets.iter().map(|(bound, _)| *bound).collect();
                    assert!(bounds.first() == Some(&0.001) && bounds.last() == Some(&f64::INFINITY), "{line}: {bounds:?}");
                    assert_eq!(std::mem::take(&mut buckets).last().unwrap().1, value, "{line}");
                }
                ("counter" | "gauge", "") => {}
                _ => panic!("{line} is not a sample of a {kind}"),
            }
            assert_eq!(samples.insert(name.to_owned(), value), None, "{line} is there twice");
        }
    }
    samples
}

fn scrape(api: &Api) -> Samples {
    let answer = api.call("GET", "/metrics", "", None);
    assert_eq!(answer.status, 200);
    parse(&answer.text())
}

fn one_increase_is_seen_at_each_stage_under_its_platform(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let ada = api.seller("Ada");
    let store = ada.store("corner", platform.address, json!({ "external_store": "corner" }));
    ada.pair(&store, &["A"]);
    ada.put("/v1/sync-settings", &json!({ "auto_sync": true, "initial_overwrite": false })).is(200);
    let before = scrape(&api);
    ada.event("e1", "A", "purchase", 3);
    until("the increase is confirmed", || {
        let pushes = ada.get("/v1/pushes?state=confirmed").is(200);
        (!pushes["items"].as_array().unwrap().is_empty()).then_some(())
    });
    let after = scrape(&api);
    let stages = [
        r#"stocktide_writer_wait_seconds_count{work="stock_events"}"#,
        r#"stocktide_writer_wait_seconds_count{work="other"}"#,
        "stocktide_transaction_seconds_count",
        "stocktide_commit_seconds_count",
        r#"stocktide_push_queue_seconds_count{platform="simulated"}"#,
        r#"stocktide_limiter_wait_seconds_count{platform="simulated"}"#,
        r#"stocktide_platform_call_seconds_count{platform="simulated"}"#,
        r#"stocktide_platform_calls_total{outcome="answered",platform="simulated"}"#,
        r#"stocktide_stock_events_total{status="accepted"}"#,
    ];
    let count = |samples: &Samples, series: &str| samples.get(series).copied().unwrap_or(0.0);
    let unseen: Vec<_> = stages.into_iter().filter(|series| count(&after, series) <= count(&before, series)).collect();
    assert!(unseen.is_empty(), "{unseen:#?} did not grow: {after:#?}");
    let known: Vec<String> = registry().iter().map(|platform| format!("platform=\"{}\"", platform.name())).collect();
    for name in after.keys().filter(|name| name.contains("platform=")) {
        assert!(known.iter().any(|known| name.contains(known)), "{name} is of no platform that there is");
    }
}

fn stores_to_authorize_again_and_runs_behind_their_hour_are_counted(backend: Backend) {
    let (api, platform) = (Api::start(backend), Platform::start());
    let mut conn = Conn::establish(&DatabaseUrl::parse(&api.database.url).unwrap()).unwrap();
    let now = Clock::system().now();
    assert_eq!(concerns(&mut conn, now).unwrap(), Concerns::default());
    let (ada, bob) = (api.seller("Ada"), api.seller("Bob"));
    platform.simulator.set_faults(Faults { token: Some("right".to_owned()), ..Faults::default() });
    for seller in [&ada, &bob] {
        let store = seller.store("corner", platform.address, json!({ "external_store": seller.id, "credentials": { "token": "wrong" } }));
        seller.pair(&store, &["A"]);
        seller
            .put(
                "/v1/sync-settings",
                &json!({ "auto_sync": true, "frequency": "timed_full", "daily_at": "03:00", "initial_overwrite": false }),
            )
            .is(200);
        seller.post("/v1/syncs", &json!({})).is(202);
        until("the store needs to be authorized again", || {
            (seller.get(&format!("/v1/stores/{store}")).is(200)["state"] == "needs_reauthorisation").then_some(())
        });
    }
    let found = concerns(&mut conn, Clock::system().now()).unwrap();
    assert_eq!(found.needing_reauthorization, 2);
    assert_eq!(found.overdue_since, None, "the run is due tomorrow at the latest, and begins by itself");
    // As a service would find it that has been down for two days.
    let later = Clock::system().now() + Duration::from_secs(2 * 86_400);
    let overdue = concerns(&mut conn, later).unwrap().overdue_since.unwrap();
    assert!(overdue > now && overdue <= now + Duration::from_secs(86_400 + 3600), "{overdue}");
    api.operator().patch(&format!("/admin/sellers/{}", bob.id), &json!({ "suspended": true })).is(200);
    assert_eq!(concerns(&mut conn, later).unwrap().needing_reauthorization, 1, "suspended sellers do not count");
    let samples = scrape(&api);
    for series in [
        "stocktide_ready",
        "stocktide_overdue_run_seconds",
        "stocktide_oldest_open_run_seconds",
        "stocktide_stores_needing_reauthorization",
    ] {
        assert!(samples.contains_key(series), "{series} is missing: {samples:#?}");
    }
}

on_both_backends![one_increase_is_seen_at_each_stage_under_its_platform, stores_to_authorize_again_and_runs_behind_their_hour_are_counted,];
