//! Why the listings of a SKU show what they show.
use super::auth::Caller;
use super::error::{ApiError, Problem};
use super::pushes::PushAnswer;
use super::request::{limit, parameter, query, read_text_cursor, text_cursor};
use super::state::Answer;
use super::stock::ComponentAnswer;
use crate::db::explain::Place;
use crate::domain::allocation::{AllocationMode, DecidedBy, Share};
use crate::domain::ledger::ComponentEvent;
use crate::domain::stock::{EventKind, Levels};
use crate::domain::{EventId, ListingId, Sku, StoreId, Timestamp};
use crate::service::explain::{Explained, Happened, explain};
use crate::service::shares::percent;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, get};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A SKU, explained: its listings as they are, and its history, newest first.
#[derive(Serialize, utoipa::ToSchema)]
struct ExplainAnswer {
    sku: String,
    name: Option<String>,
    mode: AllocationMode,
    /// What it is made of, if it is a bundle. Its history has the events of the bundle; those of each component are in the
    /// component's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<ComponentAnswer>,
    /// At most 100; ask with `store_id` for one of the others.
    listings: Vec<ExplainedListing>,
    /// How many more listings the SKU has.
    listings_omitted: usize,
    /// Events and pushes, newest first.
    items: Vec<HistoryItem>,
    /// Pass it as `?cursor=` to get what was before; null at the beginning of what is kept.
    next_cursor: Option<String>,
}

/// A listing: what it shows and should show, and why.
#[derive(Serialize, utoipa::ToSchema)]
struct ExplainedListing {
    listing: ListingId,
    store_id: StoreId,
    store: String,
    external_id: String,
    /// Whether it is synchronized: it has a share and is not switched off.
    pushed: bool,
    /// The last known quantity it showed.
    shown: Option<i64>,
    shown_at: Option<Timestamp>,
    /// Why it shows this, in plain words.
    text: String,
    /// What was sent to it.
    sent: SentAnswer,
    /// What it should show, and the numbers that lead to it.
    formula: FormulaAnswer,
}

/// What was sent to a listing: `set_to` + `increased_by` = `sum`, and `sum` + `changed_in_store` is what it shows.
#[derive(Serialize, utoipa::ToSchema)]
struct SentAnswer {
    /// The quantity of the newest confirmed overwrite; null if there was none, as far as records go back.
    set_to: Option<i64>,
    /// Units that were taken off the target for that, because the store had sold them and nobody had reported it yet.
    unseen: i64,
    set_at: Option<Timestamp>,
    /// The sum of the increases that were confirmed since, less what was taken off.
    increased_by: i64,
    /// How many those were.
    increases: i64,
    sum: Option<i64>,
    /// What the store has changed by itself: below 0 for sales.
    changed_in_store: Option<i64>,
    /// Units of the SKU that events report as sold by the store (`store_id`) since `set_at`.
    reported_sales: i64,
}

/// The numbers that lead to a target: `together` less `buffer` is the `pool`, of which the allocation gives `part` to the store; below `threshold` nothing is left of that, and it is at most `max_shown`. All of these are units of the SKU. The `target` is
/// how many whole ones of the listing, of `units` each, that is.
#[derive(Serialize, utoipa::ToSchema)]
struct FormulaAnswer {
    /// Units in the warehouses that the store ships from.
    available: BTreeMap<String, i64>,
    /// Units in these warehouses together: their sum, or what the scarcest component of a bundle allows.
    together: i64,
    buffer: i64,
    pool: i64,
    #[serde(serialize_with = "percent")]
    share_percent: Option<f64>,
    part: i64,
    threshold: Option<i64>,
    max_shown: Option<i64>,
    /// How many units of the SKU one of the listing is.
    units: i64,
    target: i64,
    decided_by: DecidedBy,
}

/// An event or a push.
#[derive(Serialize, utoipa::ToSchema)]
struct HistoryItem {
    /// When the event was recorded or the push made.
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<PastEventAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    push: Option<PushAnswer>,
}

/// A recorded event and what it did.
#[derive(Serialize, utoipa::ToSchema)]
struct PastEventAnswer {
    event_id: String,
    kind: EventKind,
    quantity: i64,
    warehouse: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_warehouse: Option<String>,
    /// The store whose order it was about, where the event names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    store_id: Option<StoreId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    occurred_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    /// Whether it is an event of a bundle, and this is what it did to a component.
    of_bundle: bool,
    /// Units by which it changed available, by warehouse; empty for a count, which sets it, for what a newer count included, and for an
    /// event of a bundle, whose components it changed.
    effect: BTreeMap<String, i64>,
    /// Why it did not change everything it might have.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Units available after everything recorded in the same instant, by warehouse; null before the newest count of a warehouse,
    /// which does not say what there had been.
    available_after: BTreeMap<String, Option<i64>>,
    /// What the first ten listings should have shown then, by today's rules; empty where `available_after` is not known.
    targets: BTreeMap<String, i64>,
}

fn by_code(levels: &Levels) -> BTreeMap<String, i64> {
    levels.iter().map(|(code, level)| (code.to_string(), *level)).collect()
}

impl From<Explained> for ExplainedListing {
    fn from(Explained { stock, formula, decided_by, sent }: Explained) -> Self {
        Self {
            listing: stock.listing.id,
            store_id: stock.store.id,
            store: stock.store.name,
            external_id: stock.listing.external_id,
            pushed: stock.rules.is_pushed(),
            shown: stock.listing.shown,
            shown_at: stock.listing.shown_at,
            text: sent.text(),
            sent: SentAnswer {
                set_to: sent.set_to,
                unseen: sent.unseen,
                set_at: sent.set_at,
                increased_by: sent.increased_by,
                increases: sent.increases,
                sum: sent.sum(),
                changed_in_store: sent.changed_in_store(),
                reported_sales: sent.reported_sales,
            },
            formula: FormulaAnswer {
                available: by_code(&formula.available),
                together: formula.together,
                buffer: formula.buffer,
                pool: formula.pool,
                share_percent: stock.rules.share.map(Share::percent),
                part: formula.target.part,
                threshold: stock.rules.threshold,
                max_shown: stock.rules.max_shown,
                units: formula.units.get(),
                target: formula.target.shown,
                decided_by,
            },
        }
    }
}

impl From<Happened> for HistoryItem {
    fn from(happened: Happened) -> Self {
        let (past, after, targets) = match happened {
            Happened::Event { past, after, targets } => (past, after, targets),
            Happened::Push(push) => return Self { at: push.record().created_at, event: None, push: Some(push.into()) },
        };
        let event = PastEventAnswer {
            event_id: past.event.event_id.to_string(),
            kind: past.event.kind,
            quantity: past.event.quantity,
            warehouse: past.event.warehouse.to_string(),
            to_warehouse: past.event.to_warehouse.as_ref().map(ToString::to_string),
            store_id: past.store,
            occurred_at: past.event.occurred_at,
            note: past.event.note.clone(),
            of_bundle: past.of_bundle,
            effect: past.effect().into_iter().map(|(code, delta)| (code.to_string(), delta)).collect(),
            reason: past.in_count.reason(&past.event),
            available_after: after.iter().map(|(code, level)| (code.to_string(), *level)).collect(),
            targets: targets.into_iter().map(|(listing, target)| (listing.to_string(), target)).collect(),
        };
        Self { at: past.accepted_at, event: Some(event), push: None }
    }
}

/// Where the next page of a history begins. An event's id may hold any character, so it comes last.
pub(super) fn cursor_of(place: &Place) -> String {
    let push = place.push.map(|id| id.to_string()).unwrap_or_default();
    let event = place.event.as_ref().map(|(at, id)| format!("{}:{id}", at.as_millis())).unwrap_or_default();
    text_cursor(&format!("{push}:{event}"))
}

/// Parses a cursor made by [`cursor_of`].
pub(super) fn read_cursor(cursor: Option<&str>) -> Result<Place, ApiError> {
    let event_of = |text: &str| {
        let (at, id) = text.split_once(':')?;
        EventId::parse(ComponentEvent::event_of(id).unwrap_or(id)).ok()?;
        Some((Timestamp::from_millis(at.parse().ok()?), id.to_owned()))
    };
    let read = |text: String| {
        let (push, event) = text.split_once(':')?;
        let push = if push.is_empty() { None } else { Some(push.parse().ok()?) };
        let event = if event.is_empty() { None } else { Some(event_of(event)?) };
        Some(Place { event, push })
    };
    let Some(text) = read_text_cursor(cursor)? else { return Ok(Place::default()) };
    read(text).ok_or_else(|| ApiError::field("/cursor", "is not a cursor of this list"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExplainQuery {
    store_id: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// Explains why the listings of a SKU show what they show: what was sent to each, the formula of its target with its inputs, and
/// the events and pushes behind both, newest first, with what each event left.
#[utoipa::path(tag = "stock", security(("seller_key" = [])),
    params(("store_id" = Option<String>, Query), ("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = ExplainAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[get("/v1/stock/{sku}/explain")]
pub async fn explain_stock(caller: Caller, sku: Path<String>, request: HttpRequest) -> Answer {
    let params: ExplainQuery = query(&request)?;
    let sku = Sku::parse(&sku).map_err(|_| ApiError::not_found("SKU"))?;
    let store: Option<StoreId> = parameter("store_id", params.store_id.as_deref(), "the id of a store")?;
    let (limit, before) = (limit(params.limit.as_deref())?, read_cursor(params.cursor.as_deref())?);
    let found = explain(&caller, sku.clone(), store, before, limit).await?;
    Ok(HttpResponse::Ok().json(ExplainAnswer {
        sku: sku.to_string(),
        name: found.name,
        mode: found.mode,
        components: found.components.into_iter().map(ComponentAnswer::from).collect(),
        listings: found.listings.into_iter().map(ExplainedListing::from).collect(),
        listings_omitted: found.listings_omitted,
        next_cursor: found.next.as_ref().map(cursor_of),
        items: found.history.into_iter().map(HistoryItem::from).collect(),
    }))
}
