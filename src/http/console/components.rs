//! Rows that more than one page shows: a store and how it stands, a run and how far it is.
use super::page::Frame;
use super::session::SellerVisit;
use super::show::{self, Badge, Stamp};
use crate::db;
use crate::db::runs::{Run, RunKind, RunState};
use crate::db::stores::{Store, StoreLoad};
use crate::domain::Timestamp;
use crate::domain::limits::MAX_STORES;
use crate::platforms::form::form_of;
use crate::service::stores::{StoreState, state_of};
use askama::Template;
use askama::filters::HtmlSafe;
use chrono::TimeDelta;

/// A circuit counts as open for so long after its pause has ended, since the trial that follows takes a while, in
/// milliseconds.
const TRIAL: TimeDelta = TimeDelta::seconds(15);

/// A store in a list.
pub(super) struct StoreRow {
    pub id: String,
    pub name: String,
    pub platform: &'static str,
    pub state: Badge,
    /// What is wrong, and what to do.
    pub problem: Option<String>,
    pub share: String,
    pub waiting: String,
    pub held: i64,
    /// Nothing waits that is not held.
    pub all_held: bool,
    pub listings: String,
    pub last_success: Option<Stamp>,
}

/// Circuits that were open at this instant or later count as open.
pub(super) fn circuits_since(frame: &Frame) -> Timestamp {
    frame.now - TRIAL
}

/// How a store stands, in a word and a sentence.
fn standing(frame: &Frame, store: &Store, open_until: Option<Timestamp>) -> (Badge, Option<String>) {
    match (state_of(store), open_until) {
        (StoreState::NeedsReauthorisation, _) => {
            let reason = store.problem.clone().unwrap_or_else(|| "The store refused its credentials.".to_owned());
            (
                Badge::new("Needs re-authorisation", "bad"),
                Some(format!("{reason} Enter new credentials; what is held then flows again, and nothing is lost.")),
            )
        }
        (StoreState::Paused, _) => {
            (Badge::new("Held", "warn"), Some("Paused by you. What is due waits here until you resume the store.".to_owned()))
        }
        (StoreState::Off, _) => (Badge::new("Off", "quiet"), Some("Synchronization is switched off for this store.".to_owned())),
        (StoreState::Working, Some(until)) => {
            let next =
                if until > frame.now { format!("next at {}", until.in_zone(frame.zone).format("%H:%M:%S")) } else { "just now".to_owned() };
            (
                Badge::new("Circuit open", "bad"),
                Some(format!("The store keeps failing, so it is only tried now and then, {next}. What is due waits, and nothing is lost.")),
            )
        }
        (StoreState::Working, None) => (Badge::new("Working", "good"), store.problem.clone()),
    }
}

impl StoreRow {
    /// One store.
    pub fn new(frame: &Frame, store: &Store, load: StoreLoad, open_until: Option<Timestamp>) -> Self {
        let (state, problem) = standing(frame, store, open_until);
        Self {
            id: store.id.to_string(),
            name: store.name.clone(),
            platform: form_of(&store.platform).map_or("Unknown platform", |form| form.label),
            state,
            problem,
            share: store.share.map_or_else(|| "none".to_owned(), |share| show::percent(share.percent())),
            waiting: show::units(load.waiting + load.held),
            held: load.held,
            all_held: load.waiting == 0,
            listings: show::units(load.listings),
            last_success: frame.stamp_of(store.last_success_at),
        }
    }

    /// All stores of the visitor.
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

/// A run in a list.
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

/// How far a run is.
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
    /// So many pushes are held.
    pub held: i64,
    /// All that is left is held, so that no time can be told.
    pub stands_still: bool,
}
impl HtmlSafe for Progress {}

impl Progress {
    /// Of this run.
    pub fn new(frame: &Frame, run: &Run, held: i64) -> Self {
        let ended = run.done + run.failed;
        let stands_still = held > 0 && run.expanded && held >= run.total - ended;
        let eta = run.eta(frame.now).filter(|_| !stands_still);
        let left = eta.map(|at| show::span((at - frame.now).max(TimeDelta::seconds(1))));
        Self {
            done: run.done,
            failed: run.failed,
            ended,
            held,
            stands_still,
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

/// A kind of run, in words.
pub(super) fn run_kind(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Manual => "Manual sync",
        RunKind::Daily => "Timed full coverage",
        RunKind::Initial => "Initial overwrite",
    }
}

impl RunRow {
    /// One run, of whose pushes so many are held.
    pub fn new(frame: &Frame, run: Run, held: i64) -> Self {
        let state = match run.state {
            RunState::Running => Badge::new("Running", "wait"),
            RunState::Finished if run.failed > 0 => Badge::new("Finished with failures", "warn"),
            RunState::Finished => Badge::new("Finished", "good"),
            RunState::Cancelled => Badge::new("Cancelled", "quiet"),
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
