//! Rows that more than one page shows: stores with their state, runs with their progress.
use super::page::Frame;
use super::session::SellerVisit;
use super::show::{self, Badge, Stamp};
use crate::db::runs::{Extent, Run, RunKind, RunState};
use crate::db::stores::{Store, StoreLoad};
use crate::db::troubles::Troubles;
use crate::db::{self, Tenant};
use crate::domain::access::CREDENTIALS_UNREADABLE;
use crate::domain::circuit::Circuit;
use crate::domain::limits::MAX_STORES;
use crate::domain::pause::{Level, Pause};
use crate::domain::{StoreId, Timestamp};
use crate::platforms::form::form_of;
use crate::service::stores::{StoreState, state_of};
use askama::Template;
use askama::filters::HtmlSafe;
use chrono::TimeDelta;
use std::collections::HashMap;

/// "240 listings in 3 stores".
pub(super) fn extent_text(extent: Extent) -> String {
    format!("{} in {}", show::count(extent.listings, "listing", "listings"), show::count(extent.stores, "store", "stores"))
}

/// "2 SKUs have rules of their own".
pub(super) fn own_rules_text(skus: i64) -> String {
    format!("{} of {} own", show::count(skus, "SKU has rules", "SKUs have rules"), if skus == 1 { "its" } else { "their" })
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
    /// "3 differ from target", and where to overwrite them.
    pub differ: Option<String>,
    pub last_success: Option<Stamp>,
    /// What needs a person, and where to look at it.
    pub alert: Option<Alert>,
}

/// A notice that leads to what it is about.
pub(super) struct Alert {
    pub text: String,
    pub link: String,
    pub address: String,
}

/// Circuits whose pause ended at this instant or later count as open.
pub(super) fn circuits_since(frame: &Frame) -> Timestamp {
    frame.now - Circuit::TRIAL
}

/// How long the updates of a paused store are held.
fn paused_text(frame: &Frame, store: &Store, pause: Pause) -> String {
    match (pause.level, pause.until) {
        (Level::Store, _) if store.rehearsal => "It is in rehearsal. Updates are held until it goes live.".to_owned(),
        (Level::Platform, _) => "The operator of this service has paused the platform. Updates are held until it is resumed.".to_owned(),
        (Level::Seller, _) => "All stores are paused. Updates are held until you resume them.".to_owned(),
        (_, None) => "Updates are held until you resume the store.".to_owned(),
        (_, Some(until)) => format!("A frozen window is on. Updates are held until {}.", show::full(until, frame.zone)),
    }
}

/// The worst that is true of a store, with its number, and its problem as a sentence.
fn state_and_problem(
    frame: &Frame,
    store: &Store,
    load: StoreLoad,
    troubles: Troubles,
    open_until: Option<Timestamp>,
) -> (Badge, Option<String>) {
    let with = |word: &str, number: i64, what: &str| match number {
        0 => word.to_owned(),
        number => format!("{word}, {} {what}", show::units(number)),
    };
    match (state_of(store, frame.now), open_until) {
        (StoreState::NeedsReauthorisation, _) => {
            let reason = store.problem.clone().unwrap_or_else(|| "The store refused its credentials.".to_owned());
            (
                Badge::new(with("Needs reauthorization", load.held, "held"), "bad"),
                Some(match reason == CREDENTIALS_UNREADABLE {
                    true => format!("{reason} Pending updates are kept until then."),
                    false => format!("{reason} The store is tried again every quarter of an hour, and pending updates are then sent."),
                }),
            )
        }
        (StoreState::Paused, _) => {
            (Badge::new(with("Paused", load.held, "held"), "warn"), store.pause(frame.now).map(|pause| paused_text(frame, store, pause)))
        }
        (StoreState::Off, _) => (Badge::new("Off", "quiet"), Some("Synchronization is off for this store.".to_owned())),
        (StoreState::Working, Some(until)) => {
            let next = if until > frame.now {
                format!("Next attempt at {}.", until.in_zone(frame.zone).format("%H:%M:%S"))
            } else {
                "Retrying now.".to_owned()
            };
            (
                Badge::new(with("Not responding", load.waiting + load.held, "pending"), "bad"),
                Some(format!("The store keeps failing. {next} Pending updates are kept and sent when it responds again.")),
            )
        }
        (StoreState::Working, None) if troubles.rejected > 0 => (
            Badge::new(format!("{} rejected", show::units(troubles.rejected)), "bad"),
            Some("These listings don't show what they should. Each update's record says why, and what to do.".to_owned()),
        ),
        (StoreState::Working, None) if load.held > 0 => {
            (Badge::new(format!("{} held", show::units(load.held)), "warn"), store.problem.clone())
        }
        (StoreState::Working, None) if store.problem.is_some() => (Badge::new("Needs attention", "warn"), store.problem.clone()),
        (StoreState::Working, None) => (Badge::new("Working", "good"), None),
    }
}

impl StoreRow {
    pub fn new(frame: &Frame, store: &Store, load: StoreLoad, troubles: Troubles, open_until: Option<Timestamp>) -> Self {
        let (state, problem) = state_and_problem(frame, store, load, troubles, open_until);
        let differs = format!("{} from target", show::count(troubles.differ, "differs", "differ"));
        let unknown = format!("{} never checked", show::units(troubles.unknown));
        let differ = match (troubles.differ, troubles.unknown) {
            (0, 0) => None,
            (_, 0) => Some(differs),
            (0, _) => Some(unknown),
            _ => Some(format!("{differs}, {unknown}")),
        };
        let differ = differ.map(|text| if troubles.partly { format!("at least {text}") } else { text });
        Self {
            alert: Alert::of(store, &state, troubles, frame.now),
            differ,
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
        let read = visit.caller.db.read(move |t| {
            let stores = t.stores(None, MAX_STORES)?;
            let figures = StoreFigures::read(t, &stores, since)?;
            Ok((stores, figures))
        });
        let (stores, figures) = read.await?;
        Ok(stores.iter().map(|store| figures.row(&visit.frame, store)).collect())
    }
}

/// What is known of all stores of a seller beside their rows.
pub(super) struct StoreFigures {
    loads: HashMap<StoreId, StoreLoad>,
    troubles: HashMap<StoreId, Troubles>,
    circuits: HashMap<StoreId, Timestamp>,
}

impl StoreFigures {
    /// Of these stores.
    pub fn read(t: &mut Tenant<'_>, stores: &[Store], circuits_since: Timestamp) -> Result<Self, db::Error> {
        let troubles = t.troubles(&stores.iter().map(|store| store.id).collect::<Vec<_>>())?;
        Ok(Self { loads: t.store_loads()?, troubles, circuits: t.open_circuits(circuits_since)? })
    }

    pub fn row(&self, frame: &Frame, store: &Store) -> StoreRow {
        let id = &store.id;
        let (load, troubles) = (self.loads.get(id).copied().unwrap_or_default(), self.troubles.get(id).copied().unwrap_or_default());
        StoreRow::new(frame, store, load, troubles, self.circuits.get(id).copied())
    }
}

impl Alert {
    fn of(store: &Store, state: &Badge, troubles: Troubles, now: Timestamp) -> Option<Self> {
        let (name, id) = (&store.name, store.id);
        match state_of(store, now) {
            StoreState::NeedsReauthorisation => Some(Self {
                text: match store.problem.as_deref() {
                    Some(CREDENTIALS_UNREADABLE) => format!("The credentials of {name} cannot be opened, so nothing reaches it."),
                    _ => format!("{name} refused its credentials, so nothing reaches it."),
                },
                link: "Enter credentials".to_owned(),
                address: format!("/console/stores/{id}/edit"),
            }),
            StoreState::Working if troubles.rejected > 0 => Some(Self {
                text: format!("{name}: {} rejected.", show::count(troubles.rejected, "listing was", "listings were")),
                link: "See why".to_owned(),
                address: format!("/console/records?state=rejected&store={id}"),
            }),
            StoreState::Working if state.is_bad() => Some(Self {
                text: format!("{name} is not responding."),
                link: "See details".to_owned(),
                address: format!("/console/stores/{id}"),
            }),
            _ => None,
        }
    }
}

/// The names of the stores that a run covers.
pub(super) fn stores_text(stores: Option<&Vec<StoreId>>, name: impl Fn(&StoreId) -> Option<String>) -> String {
    let Some(stores) = stores else { return "All stores".to_owned() };
    let names: Vec<String> = stores.iter().map(|id| name(id).unwrap_or_else(|| "Removed store".to_owned())).collect();
    match names.as_slice() {
        [first, second, third, rest @ ..] if !rest.is_empty() => format!("{first}, {second}, {third} and more"),
        _ => names.join(", "),
    }
}

pub(super) struct RunRow {
    pub id: String,
    pub kind: &'static str,
    /// The stores that it covers.
    pub stores: String,
    pub state: Badge,
    pub progress: Progress,
    pub started: Stamp,
    pub finished: Option<Stamp>,
    pub reason: Option<String>,
    pub took: Option<String>,
    /// Whether it waits for the seller's answer.
    pub waiting: bool,
    /// The run that it undoes.
    pub undoes: Option<String>,
    /// The run that undoes it.
    pub undone_by: Option<String>,
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
        RunKind::Undo => "Undo",
    }
}

impl RunRow {
    /// `held` is the number of the run's pushes that are held, `stores` the names of the stores that it covers.
    pub fn new(frame: &Frame, run: Run, held: i64, stores: String) -> Self {
        let state = match run.state {
            RunState::Running => Badge::new("Running", "wait"),
            RunState::WaitingForAnswer => Badge::new("Waiting for your answer", "warn"),
            RunState::Finished if run.failed > 0 => Badge::new("Finished with failures", "warn"),
            RunState::Finished => Badge::new("Finished", "good"),
            RunState::Cancelled => Badge::new("Canceled", "quiet"),
            RunState::Missed => Badge::new("Missed", "bad"),
        };
        Self {
            id: run.id.to_string(),
            waiting: run.state == RunState::WaitingForAnswer,
            undoes: run.undoes.map(|id| id.to_string()),
            undone_by: run.undone_by.map(|id| id.to_string()),
            kind: run_kind(run.kind),
            stores,
            state,
            progress: Progress::new(frame, &run, held),
            started: frame.stamp(run.started_at),
            finished: frame.stamp_of(run.finished_at),
            took: run.finished_at.map(|at| show::span(at - run.started_at)),
            reason: run.reason,
        }
    }
}
