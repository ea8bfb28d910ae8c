//! The other kind of run: one overwrite of every listing, by a manual sync or a timed daily run, measured at the
//! platform against what the stores' rate limit allows. Nothing is sent meanwhile, so every listing must end at the
//! target that the model has for it.
use super::api::{Error, Lost};
use super::face::number_of;
use super::fleet::Seller;
use super::plan::Mix;
use super::platform::counted;
use super::progress::Progress;
use super::report::OverwriteReport;
use super::run::{Scene, places};
use super::workload::{Shape, Workload};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Events in one request while the stock is brought in.
const STOCK_BATCH: usize = 1000;
/// The pause between two looks at the runs.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The daily time is the first whole minute that is at least so far away, so that the setting is saved before it.
const TIMED_AHEAD: TimeDelta = TimeDelta::seconds(10);
/// A timed run has this long to begin, beyond the time that a run may take.
const BEGINS_WITHIN: Duration = Duration::from_secs(90);

#[derive(Deserialize)]
struct Runs {
    items: Vec<SyncRun>,
}

#[derive(Debug, Clone, Deserialize)]
struct SyncRun {
    kind: String,
    state: String,
    total: u64,
    done: u64,
    failed: u64,
}

pub(super) async fn run(scene: &Scene<'_>, timed: bool) -> Result<OverwriteReport, Error> {
    let plan = scene.plan;
    let workload = Workload::stock(plan, &Shape { count: 0, batch: STOCK_BATCH, zipf: 0.0, mix: Mix::default(), repeat: 0.0 });
    let sellers = scene.create().await?;
    let sent = scene.send(&sellers, &workload, None).await?;
    if sent.refused > 0 {
        return Err(Error::Internal(format!("the service refused the stock: {}", sent.refusals.join(" | "))));
    }
    let stats = scene.platform.stats().await?;
    let ordered_at = if timed { order_timed(scene, &sellers).await? } else { order_manual(scene, &sellers).await? };
    let (runs, all_ended) = wait_for_runs(scene, &sellers, timed).await?;
    let (settled, _) = scene.settle(&sellers).await?;

    let received = received(scene, &sellers, stats.items).await?;
    let shown = scene.shown(&sellers).await?;
    let (mut listings, mut listings_off) = (0, 0);
    scene.each_listing(&workload, &sent.accepted, |(seller, store, sku), trace| {
        let target = trace.last().map_or(0, |step| step.target);
        let shows = shown.get(&(seller, store)).and_then(|items| items.get(&scene.plan.face.item(sku)));
        listings += 1;
        listings_off += u64::from(shows != Some(&target));
    });
    let mut by_word: BTreeMap<String, u64> = BTreeMap::new();
    runs.iter().for_each(|run| *by_word.entry(format!("{} {}", run.kind, run.state)).or_default() += 1);
    let sum = |of: fn(&SyncRun) -> u64| runs.iter().map(of).sum::<u64>();
    let (done, failed) = (sum(|run| run.done), sum(|run| run.failed));
    let begun_us = received.values().map(|store| store.first_us).min().unwrap_or(0);
    let slowest_us = received.values().map(|store| store.last_us - store.first_us).max().unwrap_or(0);
    Ok(OverwriteReport {
        passed: all_ended && settled.quiet && settled.left == 0 && failed == 0 && done == listings && listings_off == 0,
        setting: scene.setting(),
        timed,
        began_after_seconds: seconds(begun_us - ordered_at.timestamp_micros()),
        seconds: seconds(slowest_us),
        nominal_seconds: nominal_seconds(plan.skus, plan.max_items, plan.store_rate.map(|rate| rate.per_second)),
        runs: by_word,
        done,
        failed,
        listings,
        listings_off,
        overwritten_again: received.values().map(|store| store.again).sum(),
        settled,
        platform: counted(&stats, scene.platform.stats().await?),
    })
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a few hours")]
fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

/// How long the calls for all listings of a store take at its rate.
fn nominal_seconds(listings: usize, max_items: usize, per_second: Option<f64>) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "at most a hundred thousand listings")]
    per_second.map(|rate| listings.div_ceil(max_items.max(1)) as f64 / rate)
}

async fn order_manual(scene: &Scene<'_>, sellers: &[Seller]) -> Result<DateTime<Utc>, Error> {
    let ordered_at = scene.clock.now().to_utc();
    for seller in sellers {
        loop {
            match scene.api.json::<Value>(Method::POST, "/v1/syncs", Some(&seller.key), Some(&json!({})), Lost::Tell).await {
                // Perhaps it was begun: another order would overwrite everything once more.
                Err(Error::Lost { .. }) if !runs_of(scene, seller).await?.is_empty() => break,
                Err(Error::Lost { .. }) => {}
                answered => break answered.map(drop)?,
            }
        }
    }
    Ok(ordered_at)
}

async fn order_timed(scene: &Scene<'_>, sellers: &[Seller]) -> Result<DateTime<Utc>, Error> {
    let earliest = (scene.clock.now() + TIMED_AHEAD).to_utc();
    let minute = earliest.timestamp().div_euclid(60) + 1;
    let daily_at = DateTime::from_timestamp(minute * 60, 0).unwrap_or(earliest);
    for seller in sellers {
        let settings = json!({
            "auto_sync": true, "frequency": "timed_full", "timezone": "UTC", "initial_overwrite": false,
            "daily_at": daily_at.format("%H:%M").to_string(),
        });
        scene.api.json::<Value>(Method::PUT, "/v1/sync-settings", Some(&seller.key), Some(&settings), Lost::Repeat).await?;
    }
    Ok(daily_at)
}

async fn runs_of(scene: &Scene<'_>, seller: &Seller) -> Result<Vec<SyncRun>, Error> {
    scene.api.get::<Runs>("/v1/syncs?limit=1000", Some(&seller.key)).await.map(|runs| runs.items)
}

/// Waits until every run has ended. Answers the runs, and whether just those that were ordered came to their end.
async fn wait_for_runs(scene: &Scene<'_>, sellers: &[Seller], timed: bool) -> Result<(Vec<SyncRun>, bool), Error> {
    let (began, plan) = (Instant::now(), scene.plan);
    let ordered = if timed { plan.sellers * plan.stores } else { plan.sellers };
    let nominal = nominal_seconds(plan.skus, plan.max_items, plan.store_rate.map(|rate| rate.per_second)).unwrap_or(0.0);
    let most = plan.quiet_within + Duration::from_secs_f64(nominal) + if timed { BEGINS_WITHIN } else { Duration::ZERO };
    let progress = Progress::new(plan.progress, "overwrite", plan.sellers * plan.stores * plan.skus);
    loop {
        let mut runs = Vec::new();
        for seller in sellers {
            runs.extend(runs_of(scene, seller).await?);
        }
        let ended = runs.iter().filter(|run| run.state == "finished").count();
        let covered: u64 = runs.iter().map(|run| run.done + run.failed).sum();
        let total: u64 = runs.iter().map(|run| run.total).sum();
        progress.at(usize::try_from(covered).unwrap_or(0), format!("{} runs, {total} listings in them", runs.len()));
        if runs.len() >= ordered && ended == runs.len() {
            progress.done();
            return Ok((runs, ended == ordered));
        }
        if began.elapsed() >= most {
            progress.done();
            return Ok((runs, false));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What one store received.
struct Received {
    first_us: i64,
    last_us: i64,
    /// How often each SKU's listing was set.
    sets: HashMap<usize, u64>,
    /// Listings that were set more than once.
    again: u64,
}

async fn received(scene: &Scene<'_>, sellers: &[Seller], after: u64) -> Result<HashMap<(usize, usize), Received>, Error> {
    let place_of: HashMap<&str, (usize, usize)> = places(sellers).collect();
    let mut received: HashMap<(usize, usize), Received> = HashMap::new();
    let take = |receipt: crate::simulator::Receipt| {
        let Some((place, sku)) = place_of.get(receipt.store.as_str()).zip(number_of(&receipt.external_id)) else { return };
        let blank = || Received { first_us: receipt.at_us, last_us: receipt.at_us, sets: HashMap::new(), again: 0 };
        let store = received.entry(*place).or_insert_with(blank);
        store.last_us = store.last_us.max(receipt.at_us);
        let sets = store.sets.entry(sku).or_default();
        *sets += 1;
        store.again += u64::from(*sets == 2);
    };
    scene.platform.receipts(after, take).await?;
    Ok(received)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_limit_says_how_long_it_takes() {
        assert_eq!(nominal_seconds(50_000, 100, Some(50.0)), Some(10.0));
        assert_eq!(nominal_seconds(101, 100, Some(2.0)), Some(1.0));
        assert_eq!(nominal_seconds(50_000, 100, None), None);
    }
}
