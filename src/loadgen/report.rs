//! The report of a run, for people as text and for programs as JSON.
use super::api::Retries;
use super::course::Course;
use super::latency::Latencies;
use super::setting::Setting;
use super::verdict::Verdict;
use crate::simulator::Stats;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The report of a run of either kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Report {
    /// Stock events were sent.
    Events(EventsReport),
    /// All listings were overwritten.
    Overwrite(OverwriteReport),
}

impl Report {
    /// Whether nothing was lost, applied twice or left unfinished.
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

/// How the events were sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sending {
    /// Events sent.
    pub events: u64,
    /// Events accepted; each event counts once.
    pub accepted: u64,
    /// Events that the service rejected.
    pub refused: u64,
    /// The first reasons for rejection.
    pub refusals: Vec<String>,
    /// Results with the status `duplicate`.
    pub duplicates: u64,
    /// Events that were accepted more than once, or reported as duplicates without ever having been accepted.
    pub accepted_twice: u64,
    /// Requests answered, including deliberate repeats.
    pub requests: u64,
    /// Requests deliberately sent twice.
    pub repeated: u64,
    /// Requests retried because they were not answered.
    pub retries: Retries,
    /// From the first request to the last response.
    pub seconds: f64,
    /// Accepted events per second.
    pub events_per_second: f64,
    /// Answered requests per second.
    pub requests_per_second: f64,
    /// Response times of the service.
    pub answered_in: Latencies,
}

/// The state of the service's pushes at the end.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Settled {
    /// From the last response until no push was under way.
    pub seconds: f64,
    /// Whether that happened within the plan's time.
    pub quiet: bool,
    /// How many pushes are in each state.
    pub states: BTreeMap<String, u64>,
    /// Pushes still under way.
    pub left: u64,
    /// Why pushes were rejected, cancelled or are still under way: the first few reasons.
    pub reasons: Vec<String>,
}

/// The report of a run that sent stock events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventsReport {
    /// Whether nothing was lost, applied twice or left unfinished.
    pub passed: bool,
    /// Which run this was.
    pub setting: Setting,
    /// How the events were sent.
    pub sending: Sending,
    /// From the acceptance of an event until the platform received its increase.
    pub delivered_in: Latencies,
    /// Increases for which that could not be measured: the listing was overwritten, the increase never arrived, or the
    /// platform has forgotten receipts of this run.
    pub not_followed: u64,
    /// The state of the pushes at the end.
    pub settled: Settled,
    /// What the platform shows, compared with the model.
    pub verdict: Verdict,
    /// What the platform counted during the run.
    pub platform: Stats,
    /// The run over time, without the increases that could not be measured.
    #[serde(default)]
    pub course: Course,
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
        let settled = if self.quiet { "settled after" } else { "NOT SETTLED after" };
        writeln!(f, "pushes     {states}; {settled} {:.1} s, {} left", self.seconds, self.left)?;
        self.reasons.iter().try_for_each(|reason| writeln!(f, "           {reason}"))
    }
}

fn write_platform(f: &mut fmt::Formatter<'_>, platform: &Stats) -> fmt::Result {
    let faults: Vec<String> = platform.faults.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let faults = if faults.is_empty() { "no faults".to_owned() } else { faults.join(", ") };
    let Stats { calls, items, over_limit, repeats, .. } = platform;
    writeln!(f, "platform   {calls} calls, {items} changes, {over_limit} over the limit, {repeats} repeated keys; {faults}")
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
            "requests   {requests}, {repeated} deliberately sent twice ({duplicates} duplicates, {accepted_twice} accepted twice); retried: \
             {} throttled, {} unavailable, {} lost, {} not connected",
            retries.throttled, retries.unavailable, retries.lost, retries.not_connected
        )?;
        if *refused > 0 {
            writeln!(f, "rejected   {refused}: {}", self.sending.refusals.join(" | "))?;
        }
        writeln!(f, "answered   {}", self.sending.answered_in)?;
        match self.delivered_in.count {
            0 => writeln!(f, "delivered  none measured, {} not measurable", self.not_followed)?,
            _ => writeln!(f, "delivered  {}, {} not measurable", self.delivered_in, self.not_followed)?,
        }
        write!(f, "{}", self.settled)?;
        write_platform(f, &self.platform)?;
        let Verdict { listings, units_due, units_lost, units_twice, listings_off, healed, healed_off_target, records_off, records_pruned } =
            self.verdict;
        let records = if records_pruned { "records not compared".to_owned() } else { format!("{records_off} listings with wrong records") };
        writeln!(
            f,
            "verdict    {listings} listings compared, {units_due} units due: {units_lost} lost, {units_twice} applied twice ({listings_off} listings wrong)"
        )?;
        writeln!(f, "           {healed} listings overwritten ({healed_off_target} off target), {records}")?;
        write!(f, "{}", verdict_word(self.passed))
    }
}

/// The report of a run that overwrote all listings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OverwriteReport {
    /// Whether nothing was lost, applied twice or left unfinished.
    pub passed: bool,
    /// Which run this was.
    pub setting: Setting,
    /// Whether by a timed daily run instead of a manual sync.
    pub timed: bool,
    /// From the request for the manual sync, or the daily time, to the platform's first receipt.
    pub began_after_seconds: f64,
    /// From the first to the last receipt, in the slowest store.
    pub seconds: f64,
    /// How long a store's calls take at the plan's rate limit, if it has one; a burst makes it shorter.
    pub nominal_seconds: Option<f64>,
    /// How many runs there are of each kind and state.
    pub runs: BTreeMap<String, u64>,
    /// Listings overwritten, according to the runs.
    pub done: u64,
    /// Listings not overwritten, according to the runs.
    pub failed: u64,
    /// Listings compared.
    pub listings: u64,
    /// Listings that do not show their target.
    pub listings_off: u64,
    /// Listings that the platform received more than one overwrite for, which is expected after lost answers.
    pub overwritten_again: u64,
    /// The state of the pushes at the end.
    pub settled: Settled,
    /// What the platform counted during the run.
    pub platform: Stats,
    /// From the request for the manual sync, or the daily time, until the platform first received each overwrite.
    #[serde(default)]
    pub delivered_in: Latencies,
    /// The run over time, from the request on.
    #[serde(default)]
    pub course: Course,
}

impl fmt::Display for OverwriteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setting)?;
        let by = if self.timed { "a timed daily run" } else { "a manual sync" };
        let nominal = self.nominal_seconds.map(|s| format!("; at the store's rate limit, its calls take {s:.1} s")).unwrap_or_default();
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
            "verdict    {} listings compared, {} off target, {} overwritten more than once",
            self.listings, self.listings_off, self.overwritten_again
        )?;
        write!(f, "{}", verdict_word(self.passed))
    }
}
