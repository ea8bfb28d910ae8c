//! Rows that more than one page shows: stores with their state, runs with their progress.
use super::page::Frame;
use super::session::SellerVisit;
use super::show::{self, Badge, Stamp};
use crate::db;
use crate::db::runs::{Extent, Run, RunKind, RunState};
use crate::db::stores::{Store, StoreLoad};
use crate::domain::Timestamp;
use crate::domain::limits::MAX_STORES;
use crate::platforms::form::form_of;
use crate::service::stores::{StoreState, state_of};
use askama::Template;
use askama::filters::HtmlSafe;
use chrono::TimeDelta;

/// How long a circuit still counts as open after its pause: the trial call that follows takes a while.
const TRIAL: TimeDelta = TimeDelta::seconds(15);

/// "240 listings in 3 stores".
pub(super) fn extent_text(extent: Extent) -> String {
    format!("{} in {}", show::count(extent.listings, "listing", "listings"), show::count(extent.stores, "store", "stores"))
}

pub(super) struct StoreRow {
    pub id: String,
    pub name: String,
    pub platform: &'static str,
    pub state: Badge,
    /// The problem, and what to do about it.
    pub problem: Option<String>,
    pub share: String,
    /// Pushes not sent yet, including held ones.
    pub pending: String,
    pub held: i64,
    /// Whether every pending push is held.
    pub all_held: bool,
    pub listings: String,
    pub last_success: Option<Stamp>,
}

/// Circuits whose pause ended at this instant or later count as open.
pub(super) fn circuits_since(frame: &Frame) -> Timestamp {
    frame.now - TRIAL
}

/// The state of a store, and its problem as a sentence.
fn state_and_problem(frame: &Frame, store: &Store, open_until: Option<Timestamp>) -> (Badge, Option<String>) {
    match (state_of(store), open_until) {
        (StoreState::NeedsReauthorisation, _) => {
            let reason = store.problem.clone().unwrap_or_else(|| "The store refused its credentials.".to_owned());
            (
                Badge::new("Needs reauthorization", "bad"),
                Some(format!("{reason} The store is tried again every quarter of an hour, and pending updates are then sent.")),
            )
        }
        (StoreState::Paused, _) => (Badge::new("Paused", "warn"), Some("Updates are held until you resume the store.".to_owned())),
        (StoreState::Off, _) => (Badge::new("Off", "quiet"), Some("Synchronization is off for this store.".to_owned())),
        (StoreState::Working, Some(until)) => {
            let next = if until > frame.now {
                format!("Next attempt at {}.", until.in_zone(frame.zone).format("%H:%M:%S"))
            } else {
                "Retrying now.".to_owned()
            };
            (
                Badge::new("Not responding", "bad"),
                Some(format!("The store keeps failing. {next} Pending updates are kept and sent when it responds again.")),
            )
        }
        (StoreState::Working, None) => (Badge::new("Working", "good"), store.problem.clone()),
    }
}

impl StoreRow {
    pub fn new(frame: &Frame, store: &Store, load: StoreLoad, open_until: Option<Timestamp>) -> Self {
        let (state, problem) = state_and_problem(frame, store, open_until);
        Self {
            id: store.id.to_string(),
            name: store.name.clone(),
            platform: form_of(&store.platform).map_or("Unknown platform", |form| form.label),
            state,
            problem,
            share: store.share.map_or_else(|| "none".to_owned(), |share| show::percent(share.percent())),
            pending: show::units(load.waiting + load.held),
            held: load.held,
            all_held: load.waiting == 0,
            listings: show::units(load.listings),
            last_success: frame.stamp_of(store.last_success_at),
        }
    }

    /// All stores of the seller.
    pub async fn all(visit: &SellerVisit) -> Result<Vec<Self>, db::Error> {
        let since = circuits_since(&visit.frame);
        let (stores, loads, circuits) =
            visit.caller.db.read(move |t| Ok((t.stores(None, MAX_STORES)?, t.store_loads()?, t.open_circuits(since)?))).await?;
        let row = |store: &Store| {
            Self::new(&visit.frame, store, loads.get(&store.id).copied().unwrap_or_default(), circuits.get(&store.id).copied())
        };
        Ok(stores.iter().map(row).collect())
    }
}

pub(super) struct RunRow {
    pub id: String,
    pub kind: &'static str,
    pub state: Badge,
    pub progress: Progress,
    pub started: Stamp,
    pub finished: Option<Stamp>,
    pub reason: Option<String>,
    pub took: Option<String>,
}

#[derive(Template)]
#[template(path = "part/progress.html")]
pub(super) struct Progress {
    pub done: i64,
    pub failed: i64,
    pub ended: i64,
    pub total: i64,
    pub running: bool,
    pub expanded: bool,
    pub left: Option<String>,
    /// Pushes held.
    pub held: i64,
    /// Whether everything left is held, so the remaining time is unknown.
    pub is_stalled: bool,
}
impl HtmlSafe for Progress {}

impl Progress {
    pub fn new(frame: &Frame, run: &Run, held: i64) -> Self {
        let ended = run.done + run.failed;
        let is_stalled = held > 0 && run.expanded && held >= run.total - ended;
        let eta = run.eta(frame.now).filter(|_| !is_stalled);
        let left = eta.map(|at| show::span((at - frame.now).max(TimeDelta::seconds(1))));
        Self {
            done: run.done,
            failed: run.failed,
            ended,
            held,
            is_stalled,
            total: run.total,
            running: run.state == RunState::Running,
            expanded: run.expanded,
            left,
        }
    }

    fn units(&self, value: &i64) -> String {
        show::units(*value)
    }
}

pub(super) fn run_kind(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Manual => "Manual sync",
        RunKind::Daily => "Timed full coverage",
        RunKind::Initial => "Initial overwrite",
    }
}

impl RunRow {
    /// `held` is the number of the run's pushes that are held.
    pub fn new(frame: &Frame, run: Run, held: i64) -> Self {
        let state = match run.state {
            RunState::Running => Badge::new("Running", "wait"),
            RunState::Finished if run.failed > 0 => Badge::new("Finished with failures", "warn"),
            RunState::Finished => Badge::new("Finished", "good"),
            RunState::Cancelled => Badge::new("Canceled", "quiet"),
            RunState::Missed => Badge::new("Missed", "bad"),
        };
        Self {
            id: run.id.to_string(),
            kind: run_kind(run.kind),
            state,
            progress: Progress::new(frame, &run, held),
            started: frame.stamp(run.started_at),
            finished: frame.stamp_of(run.finished_at),
            took: run.finished_at.map(|at| show::span(at - run.started_at)),
            reason: run.reason,
        }
    }
}
