//! What a run found: for people, and as JSON for machines.
use super::face::Face;
use super::latency::Latencies;
use super::plan::Offers;
use super::verdict::Verdict;
use crate::simulator::Stats;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a run found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Report {
    /// Of stock events.
    Events(EventsReport),
    /// Of an overwrite.
    Overwrite(OverwriteReport),
}

impl Report {
    /// Whether all is well: nothing lost, nothing twice, nothing left.
    pub fn passed(&self) -> bool {
        match self {
            Self::Events(report) => report.passed,
            Self::Overwrite(report) => report.passed,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events(report) => report.fmt(f),
            Self::Overwrite(report) => report.fmt(f),
        }
    }
}

/// What was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are the plan's")]
pub struct Setting {
    pub run: String,
    pub seed: u64,
    pub sellers: usize,
    pub stores: usize,
    pub skus: usize,
    pub face: Face,
    pub offers: Offers,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { run, seed, sellers, stores, skus, face, offers } = self;
        let listings = sellers * stores * skus;
        write!(f, "run {run}, seed {seed}: {sellers} sellers × {stores} stores × {skus} SKUs = {listings} listings; ")?;
        match face {
            Face::Own => write!(f, "the platform offers {offers:?}"),
            _ => write!(f, "the platform has the face of {face:?}"),
        }
    }
}

/// Requests to the service that were not simply answered, and sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[expect(missing_docs, reason = "they are what they are")]
pub struct Retries {
    pub throttled: u64,
    pub unavailable: u64,
    pub lost: u64,
    pub not_connected: u64,
}

impl Retries {
    pub(super) fn since(self, before: Self) -> Self {
        Self {
            throttled: self.throttled - before.throttled,
            unavailable: self.unavailable - before.unavailable,
            lost: self.lost - before.lost,
            not_connected: self.not_connected - before.not_connected,
        }
    }
}

/// Sending the events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sending {
    /// Events drawn.
    pub events: u64,
    /// Events accepted, each counted once.
    pub accepted: u64,
    /// Events that the service refused.
    pub refused: u64,
    /// The first refusals.
    pub refusals: Vec<String>,
    /// Events that were answered `duplicate`.
    pub duplicates: u64,
    /// Events that were accepted again when they were repeated.
    pub accepted_twice: u64,
    /// Requests that were answered, repetitions on purpose among them.
    pub requests: u64,
    /// Requests that were sent twice on purpose.
    pub repeated: u64,
    /// Requests that were sent again because they had to be.
    pub retries: Retries,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// Accepted events per second.
    pub events_per_second: f64,
    /// Answered requests per second.
    pub requests_per_second: f64,
    /// How long the service took to answer.
    pub answered_in: Latencies,
}

/// What the records say when everything is quiet.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Settled {
    /// From the last answer until nothing was under way.
    pub seconds: f64,
    /// Whether that came within the plan's time.
    pub quiet: bool,
    /// Pushes by state.
    pub states: BTreeMap<String, u64>,
    /// Pushes that are still under way.
    pub left: u64,
    /// Why pushes were rejected, called off or are still under way: the first few.
    pub reasons: Vec<String>,
}

/// What a run of stock events found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventsReport {
    /// Whether all is well.
    pub passed: bool,
    /// What was run.
    pub setting: Setting,
    /// Sending.
    pub sending: Sending,
    /// From an event's acceptance to the platform's receipt of its increase.
    pub delivered_in: Latencies,
    /// Increases without such a latency: their listing was healed by an overwrite, or never got them, or the platform
    /// has forgotten receipts of this run.
    pub not_followed: u64,
    /// The end.
    pub settled: Settled,
    /// The comparison.
    pub verdict: Verdict,
    /// What the platform counted meanwhile.
    pub platform: Stats,
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, p50_ms, p90_ms, p99_ms, max_ms } = self;
        write!(f, "p50 {p50_ms:.1} ms, p90 {p90_ms:.1} ms, p99 {p99_ms:.1} ms, max {max_ms:.1} ms ({count} measured)")
    }
}

impl fmt::Display for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let states: Vec<String> = self.states.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let states = if states.is_empty() { "none".to_owned() } else { states.join(", ") };
        let quiet = if self.quiet { "quiet after" } else { "NOT QUIET after" };
        writeln!(f, "pushes     {states}; {quiet} {:.1} s, {} left", self.seconds, self.left)?;
        self.reasons.iter().try_for_each(|reason| writeln!(f, "           {reason}"))
    }
}

fn write_platform(f: &mut fmt::Formatter<'_>, platform: &Stats) -> fmt::Result {
    let faults: Vec<String> = platform.faults.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let faults = if faults.is_empty() { "no faults".to_owned() } else { faults.join(", ") };
    let Stats { calls, items, over_limit, repeats, .. } = platform;
    writeln!(f, "platform   {calls} calls, {items} changes, {over_limit} over the limit, {repeats} keys repeated; {faults}")
}

fn verdict_word(passed: bool) -> &'static str {
    if passed { "PASSED" } else { "FAILED" }
}

impl fmt::Display for EventsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sending { events, accepted, refused, duplicates, accepted_twice, requests, repeated, retries, .. } = &self.sending;
        writeln!(f, "{}", self.setting)?;
        writeln!(
            f,
            "events     {accepted} of {events} accepted in {:.1} s: {:.0} events/s, {:.0} requests/s",
            self.sending.seconds, self.sending.events_per_second, self.sending.requests_per_second
        )?;
        writeln!(
            f,
            "requests   {requests}, {repeated} repeated on purpose ({duplicates} duplicates, {accepted_twice} accepted twice); sent again: \
             {} throttled, {} unavailable, {} lost, {} not connected",
            retries.throttled, retries.unavailable, retries.lost, retries.not_connected
        )?;
        if *refused > 0 {
            writeln!(f, "refused    {refused}: {}", self.sending.refusals.join(" | "))?;
        }
        writeln!(f, "answered   {}", self.sending.answered_in)?;
        match self.delivered_in.count {
            0 => writeln!(f, "delivered  none measured, {} not followed", self.not_followed)?,
            _ => writeln!(f, "delivered  {}, {} not followed", self.delivered_in, self.not_followed)?,
        }
        write!(f, "{}", self.settled)?;
        write_platform(f, &self.platform)?;
        let Verdict { listings, units_due, units_lost, units_twice, listings_off, healed, healed_off_target, records_off, records_pruned } =
            self.verdict;
        let records = if records_pruned { "records not compared".to_owned() } else { format!("{records_off} listings with other records") };
        writeln!(
            f,
            "verdict    {listings} listings compared, {units_due} units due: {units_lost} lost, {units_twice} twice ({listings_off} listings off)"
        )?;
        writeln!(f, "           {healed} listings healed by an overwrite ({healed_off_target} off target), {records}")?;
        write!(f, "{}", verdict_word(self.passed))
    }
}

/// What a run of an overwrite found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverwriteReport {
    /// Whether all is well.
    pub passed: bool,
    /// What was run.
    pub setting: Setting,
    /// Whether by a timed daily run.
    pub timed: bool,
    /// From the order, or from the daily time, to the first receipt at the platform.
    pub began_after_seconds: f64,
    /// From the first to the last receipt of the slowest store.
    pub seconds: f64,
    /// How long its calls take at the store's rate, where the plan names one; a burst makes it shorter.
    pub nominal_seconds: Option<f64>,
    /// Runs by kind and state.
    pub runs: BTreeMap<String, u64>,
    /// Listings of the runs that were overwritten.
    pub done: u64,
    /// Listings of the runs that were not.
    pub failed: u64,
    /// Listings compared.
    pub listings: u64,
    /// Listings that show something else than their target.
    pub listings_off: u64,
    /// Listings that the platform received more than one overwrite for, as it may be after a lost answer.
    pub overwritten_again: u64,
    /// The end.
    pub settled: Settled,
    /// What the platform counted meanwhile.
    pub platform: Stats,
}

impl fmt::Display for OverwriteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setting)?;
        let by = if self.timed { "a timed daily run" } else { "a manual sync" };
        let nominal = self.nominal_seconds.map(|s| format!("; its calls take {s:.1} s at the store's rate")).unwrap_or_default();
        writeln!(
            f,
            "overwrite  by {by}: first receipt after {:.1} s, first to last in {:.1} s{nominal}",
            self.began_after_seconds, self.seconds
        )?;
        let runs: Vec<String> = self.runs.iter().map(|(run, count)| format!("{count} {run}")).collect();
        writeln!(f, "runs       {}; {} listings done, {} failed", runs.join(", "), self.done, self.failed)?;
        write!(f, "{}", self.settled)?;
        write_platform(f, &self.platform)?;
        writeln!(
            f,
            "verdict    {} listings compared, {} off target, {} overwritten again",
            self.listings, self.listings_off, self.overwritten_again
        )?;
        write!(f, "{}", verdict_word(self.passed))
    }
}
