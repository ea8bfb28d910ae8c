//! Records: every push and every run, why they stand where they stand, and what to do next; and who changed what.
use super::components::{RunRow, run_kind};
use super::form::Posted;
use super::page::{Frame, PageAnswer, go_saying, go_warning};
use super::session::SellerVisit;
use super::show::{self, Badge, Stamp, count, query_value, sentence_case};
use crate::db::audit::AuditEntry;
use crate::db::pushes::PushFilter;
use crate::db::stores::Store;
use crate::domain::limits::MAX_STORES;
use crate::domain::push::{Push, PushKind, PushState};
use crate::domain::{PushId, RunId, Sku, StoreId};
use crate::http::State;
use crate::http::error::ApiError;
use crate::http::pushes::{Retry, retry};
use crate::http::stores::{StoreState, state_of};
use actix_web::web::{Path, Query};
use askama::Template;
use serde::Deserialize;
use std::collections::HashMap;

/// Records on a page.
const PAGE: usize = 50;
/// As a query's limit: one more, which tells that there is another page.
const PAGE_AND_ONE: i64 = 51;
/// What can be queued again is counted so far.
const COUNTED: i64 = 10_000;
/// Failures that the page of a run shows.
const FAILURES: i64 = 100;
const HERE: &str = "/console/records";

struct PushRow {
    id: String,
    sku: String,
    store: String,
    effect: String,
    state: Badge,
    reason: Option<String>,
    created: Stamp,
}

/// What a row tells of its store.
struct StoreFacts {
    name: String,
    /// Why pushes wait there, where they do.
    holds: Option<&'static str>,
}

type StoresById = HashMap<StoreId, StoreFacts>;

fn by_id(stores: Vec<Store>) -> StoresById {
    let facts = |store: Store| {
        let holds = match state_of(&store) {
            StoreState::NeedsReauthorisation => Some("The store needs re-authorisation."),
            StoreState::Paused => Some("The store is paused."),
            StoreState::Off | StoreState::Working => None,
        };
        (store.id, StoreFacts { name: store.name, holds })
    };
    stores.into_iter().map(facts).collect()
}

impl PushRow {
    fn new(frame: &Frame, push: Push, stores: &StoresById) -> Self {
        let push = push.into_record();
        let store = stores.get(&push.store_id);
        let holds = store.and_then(|store| store.holds).filter(|_| push.state == PushState::Held);
        Self {
            id: push.id.to_string(),
            effect: show::effect(push.kind, push.quantity),
            state: show::push_state(push.state),
            store: store.map_or_else(|| "a store that was removed".to_owned(), |store| store.name.clone()),
            sku: push.sku,
            reason: push.reason.or_else(|| holds.map(str::to_owned)),
            created: frame.stamp(push.created_at),
        }
    }
}

struct StateOption {
    word: &'static str,
    badge: Badge,
    count: Option<String>,
    chosen: bool,
}

struct StoreOption {
    id: String,
    name: String,
    chosen: bool,
}

struct ChangeRow {
    at: Stamp,
    actor: String,
    action: String,
    /// Whose change it was, where the action does not say so already.
    subject: Option<String>,
    before: Option<String>,
    after: Option<String>,
}

impl ChangeRow {
    fn new(frame: &Frame, entry: AuditEntry) -> Self {
        let pretty = |value: serde_json::Value| serde_json::to_string_pretty(&value).unwrap_or_default();
        let of_all = entry.action.split('.').next().is_some_and(|what| what.replace('_', "-") == entry.subject);
        Self {
            at: frame.stamp(entry.at),
            actor: match entry.actor.strip_prefix("key:").and_then(|id| id.get(id.len().saturating_sub(8)..)) {
                // A key is told from its sisters by its last digits.
                Some(last) => format!("key …{last}"),
                None => entry.actor,
            },
            action: sentence_case(&entry.action.replace(['_', '.'], " ")).replace("Skus", "SKUs"),
            subject: (!of_all).then_some(entry.subject),
            before: entry.before.map(pretty),
            after: entry.after.map(pretty),
        }
    }
}

#[derive(Template)]
#[template(path = "records.html")]
struct RecordsPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    show: &'static str,
    states: Vec<StateOption>,
    stores: Vec<StoreOption>,
    sku: String,
    filtered: bool,
    pushes: Vec<PushRow>,
    runs: Vec<RunRow>,
    changes: Vec<ChangeRow>,
    /// How many of those found can be queued again, in words.
    retryable: Option<String>,
    state: String,
    store: String,
    next: Option<String>,
    first: bool,
    unknown_filter: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct RecordsQuery {
    show: Option<String>,
    state: Option<String>,
    store: Option<String>,
    sku: Option<String>,
    after: Option<String>,
}

fn some(text: Option<&String>) -> Option<&str> {
    text.map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// The filter, and a word about what of it is nothing that could be found.
fn filter_of(query: &RecordsQuery) -> (PushFilter, Option<String>) {
    let mut unknown = None;
    let mut take = |word: &str, what: &str| unknown = Some(format!("There is no {what} “{word}”, so it is left out of the filter."));
    let state = some(query.state.as_ref()).and_then(|word| {
        let found = PushState::ALL.into_iter().find(|state| state.as_str() == word);
        if found.is_none() {
            take(word, "state");
        }
        found
    });
    let store_id = some(query.store.as_ref()).and_then(|id| id.parse().map_err(|_| take(id, "store")).ok());
    let sku = some(query.sku.as_ref()).and_then(|sku| Sku::parse(sku).map_err(|_| take(sku, "SKU")).ok());
    (PushFilter { state, store_id, sku }, unknown)
}

/// All three lists.
pub(super) async fn list(visit: SellerVisit, query: Query<RecordsQuery>) -> PageAnswer {
    let query = query.into_inner();
    let frame = &visit.frame;
    let show = match query.show.as_deref() {
        Some("runs") => "runs",
        Some("changes") => "changes",
        _ => "pushes",
    };
    let mut page = RecordsPage {
        frame,
        here: "records",
        show,
        states: Vec::new(),
        stores: Vec::new(),
        sku: query.sku.clone().unwrap_or_default(),
        filtered: false,
        pushes: Vec::new(),
        runs: Vec::new(),
        changes: Vec::new(),
        retryable: None,
        state: query.state.clone().unwrap_or_default(),
        store: query.store.clone().unwrap_or_default(),
        next: None,
        first: query.after.is_none(),
        unknown_filter: None,
    };
    match show {
        "runs" => runs(&visit, &query, &mut page).await?,
        "changes" => changes(&visit, &query, &mut page).await?,
        _ => pushes(&visit, &query, &mut page).await?,
    }
    frame.page(&page)
}

async fn pushes(visit: &SellerVisit, query: &RecordsQuery, page: &mut RecordsPage<'_>) -> Result<(), ApiError> {
    let (filter, unknown) = filter_of(query);
    let after: Option<PushId> = query.after.as_deref().and_then(|id| id.parse().ok());
    let wanted = filter.clone();
    let retryable = matches!(filter.state, Some(PushState::Rejected | PushState::Held));
    let (mut found, stores, counts, again) = visit
        .caller
        .db
        .read(move |t| {
            wanted.store_id.map_or(Ok(()), |id| t.store(id).map(drop))?;
            let again = if retryable { t.count_pushes(&wanted, COUNTED)? } else { 0 };
            Ok((t.list_pushes(&wanted, after, PAGE_AND_ONE)?, t.stores(None, MAX_STORES)?, t.open_counts()?, again))
        })
        .await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let query_text = format!(
        "state={}&store={}&sku={}",
        filter.state.map_or("", PushState::as_str),
        filter.store_id.map(|id| id.to_string()).unwrap_or_default(),
        filter.sku.as_ref().map(|sku| query_value(sku.as_str())).unwrap_or_default()
    );
    page.next = found.last().filter(|_| more).map(|last| format!("{HERE}?{query_text}&after={}", last.id()));
    page.filtered = filter != PushFilter::default();
    page.states = PushState::ALL
        .into_iter()
        .map(|state| StateOption {
            word: state.as_str(),
            badge: show::push_state(state),
            count: counts.get(&state).map(|number| show::units(*number)),
            chosen: filter.state == Some(state),
        })
        .collect();
    let option =
        |store: &Store| StoreOption { id: store.id.to_string(), name: store.name.clone(), chosen: filter.store_id == Some(store.id) };
    page.stores = stores.iter().map(option).collect();
    page.retryable = (again > 0).then(|| match again {
        COUNTED.. => format!("Retry all, {} or more", show::units(COUNTED)),
        1 => "Retry this one".to_owned(),
        _ => format!("Retry all {}", show::units(again)),
    });
    let stores = by_id(stores);
    page.pushes = found.into_iter().map(|push| PushRow::new(&visit.frame, push, &stores)).collect();
    page.unknown_filter = unknown;
    Ok(())
}

async fn runs(visit: &SellerVisit, query: &RecordsQuery, page: &mut RecordsPage<'_>) -> Result<(), ApiError> {
    let after: Option<RunId> = query.after.as_deref().and_then(|id| id.parse().ok());
    let mut found = visit
        .caller
        .db
        .read(move |t| {
            let runs = t.runs(after, PAGE_AND_ONE)?;
            t.with_held(runs)
        })
        .await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    page.next = found.last().filter(|_| more).map(|(last, _)| format!("{HERE}?show=runs&after={}", last.id));
    page.runs = found.into_iter().map(|(run, held)| RunRow::new(&visit.frame, run, held)).collect();
    Ok(())
}

async fn changes(visit: &SellerVisit, query: &RecordsQuery, page: &mut RecordsPage<'_>) -> Result<(), ApiError> {
    let after = query.after.as_deref().and_then(|id| id.parse().ok());
    let mut found = visit.caller.db.read(move |t| t.audit(after, PAGE_AND_ONE)).await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    page.next = found.last().filter(|_| more).map(|last| format!("{HERE}?show=changes&after={}", last.id));
    page.changes = found.into_iter().map(|entry| ChangeRow::new(&visit.frame, entry)).collect();
    Ok(())
}

#[derive(Template)]
#[template(path = "push.html")]
struct PushPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    id: String,
    title: String,
    kind: &'static str,
    sku: String,
    sku_query: String,
    external_id: String,
    store: Option<(String, String)>,
    state: Badge,
    meaning: &'static str,
    reason: Option<String>,
    next_step: Option<String>,
    raw: Option<String>,
    attempts: i32,
    created: Stamp,
    changed: Stamp,
    due: Option<Stamp>,
    confirmed: Option<Stamp>,
    took: Option<String>,
    run: Option<(String, &'static str)>,
    retryable: bool,
}

/// One push.
pub(super) async fn push(visit: SellerVisit, id: Path<PushId>) -> PageAnswer {
    let id = id.into_inner();
    let (push, store, run) = visit
        .caller
        .db
        .read(move |t| {
            let push = t.push(id)?.into_record();
            let store = t.store(push.store_id).ok();
            let run = push.run_id.and_then(|id| t.run(id).ok());
            Ok((push, store, run))
        })
        .await?;
    let frame = &visit.frame;
    frame.page(&PushPage {
        frame,
        here: "records",
        id: push.id.to_string(),
        title: format!("{}: {}", push.sku, show::effect(push.kind, push.quantity)),
        kind: match push.kind {
            PushKind::Increase => "Increase: added to what the store shows",
            PushKind::Overwrite => "Overwrite: replaces what the store shows",
        },
        sku_query: query_value(&push.sku),
        sku: push.sku,
        external_id: push.external_id,
        store: store.map(|store| (store.id.to_string(), store.name)),
        state: show::push_state(push.state),
        meaning: show::push_state_meaning(push.state),
        reason: push.reason,
        next_step: push.next_step,
        raw: push.raw_answer,
        attempts: push.attempts,
        created: frame.stamp(push.created_at),
        changed: frame.stamp(push.updated_at),
        due: frame.stamp_of(push.due_at),
        confirmed: frame.stamp_of(push.confirmed_at),
        took: push.confirmed_at.map(|at| show::span(at - push.created_at)),
        run: run.map(|run| (run.id.to_string(), run_kind(run.kind))),
        retryable: matches!(push.state, PushState::Rejected | PushState::Held),
    })
}

/// Queues one push again.
pub(super) async fn retry_one(posted: Posted<SellerVisit>, state: State, id: Path<PushId>) -> PageAnswer {
    let id = id.into_inner();
    let queued = retry(&posted.visit.caller, &state, Retry { ids: Some(vec![id]), ..Retry::default() }).await?;
    let here = format!("{HERE}/pushes/{id}");
    Ok(if queued > 0 {
        go_saying(&here, "It is queued again.")
    } else {
        go_warning(&here, "It is not queued again: it has moved on, or a later overwrite contains it.")
    })
}

/// Queues all that the filter found again.
pub(super) async fn retry_all(posted: Posted<SellerVisit>, state: State) -> PageAnswer {
    let text = |name: &str| posted.fields.some(name).map(str::to_owned);
    let query = RecordsQuery { state: text("state"), store: text("store"), sku: text("sku"), ..RecordsQuery::default() };
    let (filter, unknown) = filter_of(&query);
    if unknown.is_some() {
        return Err(ApiError::not_found("filter").into());
    }
    let wanted = Retry { ids: None, state: filter.state, store_id: filter.store_id, sku: filter.sku.map(|sku| sku.to_string()) };
    let queued = retry(&posted.visit.caller, &state, wanted).await?;
    let notice = format!("{} queued again.", count(i64::try_from(queued).unwrap_or(i64::MAX), "push is", "pushes are"));
    Ok(go_saying(HERE, &notice))
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    run: RunRow,
    pushes: Vec<PushRow>,
    running: bool,
}

/// One run.
pub(super) async fn run(visit: SellerVisit, id: Path<RunId>) -> PageAnswer {
    let id = id.into_inner();
    let (run, failed, stores) = visit
        .caller
        .db
        .read(move |t| {
            let run = t.run(id)?;
            Ok((t.with_held(vec![run])?, t.failed_of_run(id, FAILURES)?, t.stores(None, MAX_STORES)?))
        })
        .await?;
    let (run, held) = run.into_iter().next().ok_or_else(|| ApiError::not_found("run"))?;
    let stores = by_id(stores);
    let frame = &visit.frame;
    let run = RunRow::new(frame, run, held);
    let pushes = failed.into_iter().map(|push| PushRow::new(frame, push, &stores)).collect();
    frame.page(&RunPage { frame, here: "records", running: run.progress.running, run, pushes })
}
