//! Records: lists of pushes, runs and changes, with the reason for each state. Retries rejected and held pushes.
use super::changed;
use super::components::{RunRow, stores_text};
use super::form::Posted;
use super::page::{Frame, PageAnswer, go_saying, go_warning};
use super::session::SellerVisit;
use super::show::{self, Badge, Stamp, count, query_value, sentence_case};
use crate::db::audit::AuditEntry;
use crate::db::pushes::PushFilter;
use crate::db::runs::Run;
use crate::db::sellers::ApiKey;
use crate::db::stores::Store;
use crate::domain::limits::MAX_STORES;
use crate::domain::names::shortened;
use crate::domain::push::{Push, PushState};
use crate::domain::{PushId, RunId, Sku, StoreId, Timestamp};
use crate::http::error::ApiError;
use crate::http::state::State;
use crate::service::pushes::{Retry, retry};
use crate::service::stores::{StoreState, state_of};
use actix_web::web::{Path, Query};
use askama::Template;
use serde::Deserialize;
use std::collections::HashMap;

/// Records per page.
const PAGE: usize = 50;
/// The query limit: one extra row shows that there is another page.
const PAGE_AND_ONE: i64 = 51;
/// Retryable pushes are counted up to this number.
const MAX_COUNTED: i64 = 10_000;
/// The most characters that are repeated of an unknown filter.
const MAX_SHOWN: usize = 128;
const HERE: &str = "/console/records";

pub(super) struct PushRow {
    pub id: String,
    pub sku: String,
    pub store: String,
    pub effect: String,
    pub state: Badge,
    pub reason: Option<String>,
    pub created: Stamp,
}

pub(super) struct StoreFacts {
    name: String,
    /// Why the store holds its pushes, if it does.
    holds: Option<&'static str>,
}

impl StoreFacts {
    pub fn name(&self) -> &str {
        &self.name
    }
}

pub(super) type StoresById = HashMap<StoreId, StoreFacts>;

pub(super) fn by_id(stores: Vec<Store>, now: Timestamp) -> StoresById {
    let facts = |store: Store| {
        let holds = match state_of(&store, now) {
            StoreState::NeedsReauthorisation => Some("The store needs reauthorization."),
            StoreState::Paused => Some("The store is paused."),
            StoreState::Off | StoreState::Working => None,
        };
        (store.id, StoreFacts { name: store.name, holds })
    };
    stores.into_iter().map(facts).collect()
}

impl PushRow {
    pub fn new(frame: &Frame, push: Push, stores: &StoresById) -> Self {
        let push = push.into_record();
        let store = stores.get(&push.store_id);
        let holds = store.and_then(|store| store.holds).filter(|_| push.state == PushState::Held);
        Self {
            id: push.id.to_string(),
            effect: show::effect(push.kind, push.quantity),
            state: show::push_state(push.state),
            store: store.map_or_else(|| "Removed store".to_owned(), |store| store.name.clone()),
            sku: push.sku,
            reason: push.reason.or(push.cause).or_else(|| holds.map(str::to_owned)),
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
    /// The changed item, unless the action already names it.
    subject: Option<String>,
    /// What changed, line by line.
    lines: Vec<String>,
}

impl ChangeRow {
    fn new(frame: &Frame, entry: AuditEntry, keys: &[ApiKey]) -> Self {
        let is_named_by_action = entry.action.split('.').next().is_some_and(|what| what.replace('_', "-") == entry.subject);
        Self {
            at: frame.stamp(entry.at),
            actor: actor(frame, &entry.actor, keys),
            action: sentence_case(&entry.action.replace(['_', '.'], " ")).replace("Skus", "SKUs"),
            subject: (!is_named_by_action).then_some(entry.subject),
            lines: changed::lines(entry.before.as_ref(), entry.after.as_ref()),
        }
    }
}

/// Who changed something, in words: a key by its name, or by when it was made and its last digits.
fn actor(frame: &Frame, actor: &str, keys: &[ApiKey]) -> String {
    let Some(id) = actor.strip_prefix("key:") else { return sentence_case(actor) };
    let key = keys.iter().find(|key| key.id.to_string() == id);
    if let Some(name) = key.and_then(|key| key.name.as_ref()) {
        return format!("API key “{name}”");
    }
    let last = id.get(id.len().saturating_sub(4)..).unwrap_or_default();
    match key {
        Some(key) => format!("API key of {}, ending in {last}", key.created_at.in_zone(frame.zone).format("%-d %b %Y")),
        None => format!("API key ending in {last}"),
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
    /// The label of the button that retries all matches, if any can be retried.
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

/// The filter, and a message about a part of it that is invalid, so that nothing can match.
fn filter_of(query: &RecordsQuery) -> (PushFilter, Option<String>) {
    let mut unknown = None;
    let mut ignore = |word: &str, what: &str| unknown = Some(format!("Unknown {what} “{}”. Choose another.", shortened(word, MAX_SHOWN)));
    let state = some(query.state.as_ref()).and_then(|word| {
        let found = PushState::ALL.into_iter().find(|state| state.as_str() == word);
        if found.is_none() {
            ignore(word, "state");
        }
        found
    });
    let store_id = some(query.store.as_ref()).and_then(|id| id.parse().map_err(|_| ignore(id, "store")).ok());
    let sku = some(query.sku.as_ref()).and_then(|sku| Sku::parse(sku).map_err(|_| ignore(sku, "SKU")).ok());
    (PushFilter { state, store_id, sku }, unknown)
}

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
        sku: query.sku.as_deref().map(|sku| shortened(sku, MAX_SHOWN)).unwrap_or_default(),
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
    let retryable = unknown.is_none() && filter.state.is_some_and(PushState::is_retryable);
    let (mut found, stores, counts, retryable_count) = visit
        .caller
        .db
        .read(move |t| {
            wanted.store_id.map_or(Ok(()), |id| t.store(id).map(drop))?;
            let count = if retryable { t.count_pushes(&wanted, MAX_COUNTED)? } else { 0 };
            Ok((t.list_pushes(&wanted, after, PAGE_AND_ONE)?, t.stores(None, MAX_STORES)?, t.open_counts()?, count))
        })
        .await?;
    if unknown.is_some() {
        found.clear();
    }
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let query_text = format!(
        "state={}&store={}&sku={}",
        filter.state.map_or("", PushState::as_str),
        filter.store_id.map(|id| id.to_string()).unwrap_or_default(),
        filter.sku.as_ref().map(|sku| query_value(sku.as_str())).unwrap_or_default()
    );
    page.next = found.last().filter(|_| more).map(|last| format!("{HERE}?{query_text}&after={}", last.id()));
    page.filtered = unknown.is_some() || filter != PushFilter::default();
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
    page.retryable = (retryable_count > 0).then(|| match retryable_count {
        MAX_COUNTED.. => format!("Retry all ({} or more)", show::units(MAX_COUNTED)),
        1 => "Retry 1 update".to_owned(),
        _ => format!("Retry all {} updates", show::units(retryable_count)),
    });
    let stores = by_id(stores, visit.frame.now);
    page.pushes = found.into_iter().map(|push| PushRow::new(&visit.frame, push, &stores)).collect();
    page.unknown_filter = unknown;
    Ok(())
}

async fn runs(visit: &SellerVisit, query: &RecordsQuery, page: &mut RecordsPage<'_>) -> Result<(), ApiError> {
    let after: Option<RunId> = query.after.as_deref().and_then(|id| id.parse().ok());
    let (mut found, of_runs, stores) = visit
        .caller
        .db
        .read(move |t| {
            let runs = t.runs(after, PAGE_AND_ONE)?;
            let of_runs = t.stores_of_runs(&runs.iter().map(|run| run.id).collect::<Vec<_>>())?;
            Ok((t.with_held(runs)?, of_runs, t.stores(None, MAX_STORES)?))
        })
        .await?;
    let stores = by_id(stores, visit.frame.now);
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    page.next = found.last().filter(|_| more).map(|(last, _)| format!("{HERE}?show=runs&after={}", last.id));
    let row = |(run, held): (Run, i64)| {
        let covered = stores_text(of_runs.get(&run.id), |id| stores.get(id).map(|store| store.name.clone()));
        RunRow::new(&visit.frame, run, held, covered)
    };
    page.runs = found.into_iter().map(row).collect();
    Ok(())
}

async fn changes(visit: &SellerVisit, query: &RecordsQuery, page: &mut RecordsPage<'_>) -> Result<(), ApiError> {
    let after = query.after.as_deref().and_then(|id| id.parse().ok());
    let (mut found, keys) = visit.caller.db.read(move |t| Ok((t.audit(after, PAGE_AND_ONE)?, t.keys()?))).await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    page.next = found.last().filter(|_| more).map(|last| format!("{HERE}?show=changes&after={}", last.id));
    page.changes = found.into_iter().map(|entry| ChangeRow::new(&visit.frame, entry, &keys)).collect();
    Ok(())
}

/// Queues one push for a retry.
pub(super) async fn retry_one(posted: Posted<SellerVisit>, state: State, id: Path<PushId>) -> PageAnswer {
    let id = id.into_inner();
    let queued = retry(&state.service, &posted.visit.caller, Retry { ids: Some(vec![id]), ..Retry::default() }).await?;
    let here = format!("{HERE}/pushes/{id}");
    Ok(if queued > 0 {
        go_saying(&here, "Queued for retry.")
    } else {
        go_warning(&here, "No retry needed: its state has changed, or a later update replaced it.")
    })
}

/// Queues all pushes that match the filter for a retry.
pub(super) async fn retry_all(posted: Posted<SellerVisit>, state: State) -> PageAnswer {
    let text = |name: &str| posted.fields.some(name).map(str::to_owned);
    let query = RecordsQuery { state: text("state"), store: text("store"), sku: text("sku"), ..RecordsQuery::default() };
    let (filter, unknown) = filter_of(&query);
    if unknown.is_some() {
        return Err(ApiError::not_found("filter").into());
    }
    let wanted = Retry { ids: None, state: filter.state, store_id: filter.store_id, sku: filter.sku.map(|sku| sku.to_string()) };
    let queued = retry(&state.service, &posted.visit.caller, wanted).await?;
    let notice = format!("{} queued for retry.", count(i64::try_from(queued).unwrap_or(i64::MAX), "update", "updates"));
    Ok(go_saying(HERE, &notice))
}
