//! A run that overwrites every listing once, by a manual sync or a timed daily run, and compares the time that the
//! platform sees with what the stores' rate limit allows. No events are sent meanwhile, so every listing must end at its
//! target according to the model.
use super::api::{Error, OnLost};
use super::context::{RunContext, places};
use super::course::Recording;
use super::face::number_of;
use super::fleet::Seller;
use super::latency::Durations;
use super::plan::Mix;
use super::platform::stats_between;
use super::progress::Progress;
use super::report::OverwriteReport;
use super::workload::{Shape, Workload};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Events in one request that creates the initial stock.
const STOCK_BATCH: usize = 1000;
const POLL_EVERY: Duration = Duration::from_millis(500);
/// The daily time is the first full minute after at least this long, so that the setting is saved before it.
const MIN_LEAD: TimeDelta = TimeDelta::seconds(10);
/// How long a timed run may take to start, in addition to the time that the run itself may take.
const TIMED_START_WITHIN: Duration = Duration::from_secs(90);

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

pub(super) async fn run(context: &RunContext<'_>, timed: bool) -> Result<OverwriteReport, Error> {
    let plan = context.plan;
    let workload = Workload::stock(plan, &Shape { count: 0, batch: STOCK_BATCH, zipf: 0.0, mix: Mix::default(), repeat: 0.0 });
    let sellers = context.create().await?;
    let sent = context.send(&sellers, &workload, None).await?;
    if sent.refused > 0 {
        return Err(Error::Internal(format!("the service rejected the initial stock: {}", sent.refusals.join(" | "))));
    }
    let stats = context.platform.stats().await?;
    let requested_at = if timed { request_timed(context, &sellers).await? } else { request_manual(context, &sellers).await? };
    let (runs, all_finished) = wait_for_runs(context, &sellers, timed).await?;
    let (settled, _) = context.settle(&sellers).await?;

    let received = received(context, &sellers, stats.items).await?;
    let shown = context.shown(&sellers).await?;
    let requested_us = requested_at.timestamp_micros();
    let (mut recording, mut delivered_in) = (Recording::new(requested_us), Durations::new().map_err(Error::Internal)?);
    let (mut listings, mut listings_off) = (0, 0);
    context.each_listing(&workload, &sent.accepted, |(seller, store, sku), trace| {
        let target = trace.last().map_or(0, |step| step.target);
        let shows = shown.get(&(seller, store)).and_then(|items| items.get(&context.plan.face.item(sku)));
        listings += 1;
        listings_off += u64::from(shows != Some(&target));
        let arrived = received.get(&(seller, store)).and_then(|store| store.sets.get(&sku));
        let took_us = arrived.map(|sets| (sets.first_us - requested_us).max(0));
        recording.increase(requested_us, took_us);
        took_us.into_iter().for_each(|us| delivered_in.add_us(us));
    });
    let mut runs_by_state: BTreeMap<String, u64> = BTreeMap::new();
    runs.iter().for_each(|run| *runs_by_state.entry(format!("{} {}", run.kind, run.state)).or_default() += 1);
    let sum = |of: fn(&SyncRun) -> u64| runs.iter().map(of).sum::<u64>();
    let (done, failed) = (sum(|run| run.done), sum(|run| run.failed));
    let started_us = received.values().map(|store| store.first_us).min().unwrap_or(0);
    let slowest_us = received.values().map(|store| store.last_us - store.first_us).max().unwrap_or(0);
    Ok(OverwriteReport {
        passed: all_finished && settled.quiet && settled.left == 0 && failed == 0 && done == listings && listings_off == 0,
        setting: context.setting(),
        timed,
        began_after_seconds: seconds(started_us - requested_us),
        seconds: seconds(slowest_us),
        nominal_seconds: nominal_seconds(plan.skus, plan.max_items, plan.store_rate.map(|rate| rate.per_second)),
        runs: runs_by_state,
        done,
        failed,
        listings,
        listings_off,
        overwritten_again: received.values().map(|store| store.again).sum(),
        settled,
        platform: stats_between(&stats, context.platform.stats().await?),
        delivered_in: delivered_in.summary(),
        course: recording.finish(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a few hours")]
fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

/// How long the calls for all listings of a store take at its rate limit.
fn nominal_seconds(listings: usize, max_items: usize, per_second: Option<f64>) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "at most a hundred thousand listings")]
    per_second.map(|rate| listings.div_ceil(max_items.max(1)) as f64 / rate)
}

async fn request_manual(context: &RunContext<'_>, sellers: &[Seller]) -> Result<DateTime<Utc>, Error> {
    let requested_at = context.clock.now().to_utc();
    for seller in sellers {
        loop {
            match context.api.json::<Value>(Method::POST, "/v1/syncs", Some(&seller.key), Some(&json!({})), OnLost::Fail).await {
                // If the sync has started, another request would overwrite everything a second time.
                Err(Error::Lost { .. }) if !runs_of(context, seller).await?.is_empty() => break,
                Err(Error::Lost { .. }) => {}
                answered => break answered.map(drop)?,
            }
        }
    }
    Ok(requested_at)
}

async fn request_timed(context: &RunContext<'_>, sellers: &[Seller]) -> Result<DateTime<Utc>, Error> {
    let earliest = (context.clock.now() + MIN_LEAD).to_utc();
    let minute = earliest.timestamp().div_euclid(60) + 1;
    let daily_at = DateTime::from_timestamp(minute * 60, 0).unwrap_or(earliest);
    for seller in sellers {
        let settings = json!({
            "auto_sync": true, "frequency": "timed_full", "timezone": "UTC", "initial_overwrite": false,
            "daily_at": daily_at.format("%H:%M").to_string(),
        });
        context.api.json::<Value>(Method::PUT, "/v1/sync-settings", Some(&seller.key), Some(&settings), OnLost::Repeat).await?;
    }
    Ok(daily_at)
}

async fn runs_of(context: &RunContext<'_>, seller: &Seller) -> Result<Vec<SyncRun>, Error> {
    context.api.get::<Runs>("/v1/syncs?limit=1000", Some(&seller.key)).await.map(|runs| runs.items)
}

/// Waits until every run has finished. Returns the runs, and whether exactly the requested ones exist and have finished.
async fn wait_for_runs(context: &RunContext<'_>, sellers: &[Seller], timed: bool) -> Result<(Vec<SyncRun>, bool), Error> {
    let (started_at, plan) = (Instant::now(), context.plan);
    let requested = if timed { plan.sellers * plan.stores } else { plan.sellers };
    let nominal = nominal_seconds(plan.skus, plan.max_items, plan.store_rate.map(|rate| rate.per_second)).unwrap_or(0.0);
    let time_limit = plan.quiet_within + Duration::from_secs_f64(nominal) + if timed { TIMED_START_WITHIN } else { Duration::ZERO };
    let progress = Progress::new(plan.progress, "overwrite", plan.sellers * plan.stores * plan.skus);
    loop {
        let mut runs = Vec::new();
        for seller in sellers {
            runs.extend(runs_of(context, seller).await?);
        }
        let finished = runs.iter().filter(|run| run.state == "finished").count();
        let covered: u64 = runs.iter().map(|run| run.done + run.failed).sum();
        let total: u64 = runs.iter().map(|run| run.total).sum();
        progress.set(usize::try_from(covered).unwrap_or(0), format!("{} runs with {total} listings", runs.len()));
        if runs.len() >= requested && finished == runs.len() {
            progress.done();
            return Ok((runs, finished == requested));
        }
        if started_at.elapsed() >= time_limit {
            progress.done();
            return Ok((runs, false));
        }
        sleep(POLL_EVERY).await;
    }
}

/// How often a listing was set, and when first.
struct Sets {
    count: u64,
    first_us: i64,
}

/// The overwrites that one store received.
struct Received {
    first_us: i64,
    last_us: i64,
    /// By SKU.
    sets: HashMap<usize, Sets>,
    /// Listings set more than once.
    again: u64,
}

async fn received(context: &RunContext<'_>, sellers: &[Seller], after: u64) -> Result<HashMap<(usize, usize), Received>, Error> {
    let place_of: HashMap<&str, (usize, usize)> = places(sellers).collect();
    let mut received: HashMap<(usize, usize), Received> = HashMap::new();
    let take = |receipt: crate::simulator::Receipt| {
        let Some((place, sku)) = place_of.get(receipt.store.as_str()).zip(number_of(&receipt.external_id)) else { return };
        let new = || Received { first_us: receipt.at_us, last_us: receipt.at_us, sets: HashMap::new(), again: 0 };
        let store = received.entry(*place).or_insert_with(new);
        store.last_us = store.last_us.max(receipt.at_us);
        let sets = store.sets.entry(sku).or_insert(Sets { count: 0, first_us: receipt.at_us });
        sets.count += 1;
        store.again += u64::from(sets.count == 2);
    };
    context.platform.receipts(after, take).await?;
    Ok(received)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nominal_time_follows_from_the_rate_limit() {
        assert_eq!(nominal_seconds(50_000, 100, Some(50.0)), Some(10.0));
        assert_eq!(nominal_seconds(101, 100, Some(2.0)), Some(1.0));
        assert_eq!(nominal_seconds(50_000, 100, None), None);
    }
}
