//! Receives stock events: one, an array, or NDJSON. Each is checked separately; the valid ones are recorded together, and
//! the answer, with a result for each event, is sent only after the commit.
use super::auth::Caller;
use super::body::{Body, Content};
use super::error::{ApiError, Problem};
use super::every_error::{Broken, MOST_OF_MANY, MOST_OF_ONE, broken};
use super::json::{JsonError, items, object_at, quick, raw};
use super::numbers::{named_number, text_of, whole};
use super::state::{Answer, AppState, State};
use crate::db::ledger::{EventResult, Remark};
use crate::domain::limits::MAX_BULK;
use crate::domain::names::shortened;
use crate::domain::problem::Checks;
use crate::domain::stock::{EventKind, MAX_AVAILABLE, MAX_QUANTITY, StockEvent};
use crate::domain::{EventId, FieldError, Sku, StoreId, Timestamp, WarehouseCode};
use crate::metrics;
use crate::service::stock_events::{self, EnteredEvent};
use crate::traces::{self, Context, Span};
use actix_web::{HttpRequest, HttpResponse, ResponseError, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::Instrument;

/// The largest count, in units, and its negative is the smallest.
const MAX_COUNT: i64 = if MAX_QUANTITY < MAX_AVAILABLE { MAX_QUANTITY } else { MAX_AVAILABLE };
/// The most characters in a note.
const MAX_NOTE: usize = 1000;

/// A stock event as clients send it.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventFields {
    /// The client's own id; an event is applied only once per id.
    event_id: String,
    sku: String,
    kind: EventKind,
    /// The size of the change, above 0; signed for an adjustment; for a count the new available quantity, which may be
    /// negative. `5.0` is 5; fractions are refused.
    #[serde(deserialize_with = "whole")]
    quantity: i64,
    /// The warehouse, `main` by default; for a transfer, where the units come from.
    warehouse: Option<String>,
    /// For a transfer: where the units go.
    to_warehouse: Option<String>,
    /// When it happened. A count sets available as of this time, and whatever happened before the newest count of its SKU
    /// and warehouse changes nothing. The time of arrival by default, and for times more than five minutes ahead.
    occurred_at: Option<Timestamp>,
    note: Option<String>,
    /// For a sale, return or cancellation: the store whose order it was. What that store shows has fallen by the sale already; `GET
    /// /v1/stock/{sku}/explain` counts such sales.
    store_id: Option<StoreId>,
    /// If false, the event is rejected when its SKU does not exist; true by default.
    create: Option<bool>,
}

/// One stock event, or a list of up to 10,000.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only describes the body; it is parsed by hand, so that each event gets its own result")]
enum EventsBody {
    One(EventFields),
    Many(Vec<EventFields>),
}

#[cfg(test)]
impl ResultAnswer {
    /// For tests elsewhere.
    pub fn with_status(status: &'static str) -> Self {
        Self { event_id: None, status, accepted_at: None, effect: None, similar_sku: None, reason: None, errors: Vec::new() }
    }
}

impl EventFields {
    fn check(&self) -> Result<EnteredEvent, Vec<FieldError>> {
        let mut checks = Checks::default();
        let event_id = checks.take("/event_id", EventId::parse(&self.event_id));
        let sku = checks.take("/sku", Sku::parse(&self.sku));
        let code = |checks: &mut Checks, pointer, text: &Option<String>| {
            text.as_deref().and_then(|text| checks.take(pointer, WarehouseCode::parse(text)))
        };
        let warehouse = code(&mut checks, "/warehouse", &self.warehouse).unwrap_or_else(WarehouseCode::main);
        let to_warehouse = code(&mut checks, "/to_warehouse", &self.to_warehouse);
        match (self.kind, &self.to_warehouse) {
            (EventKind::Transfer, None) => checks.note("/to_warehouse", "is required for a transfer"),
            (EventKind::Transfer, Some(_)) if to_warehouse.as_ref() == Some(&warehouse) => {
                checks.note("/to_warehouse", "must differ from the warehouse that the units come from");
            }
            (EventKind::Transfer, Some(_)) | (_, None) => {}
            (_, Some(_)) => checks.note("/to_warehouse", "is allowed only for a transfer"),
        }
        match self.kind {
            EventKind::Adjustment if self.quantity == 0 => checks.note("/quantity", "must not be 0: an adjustment adds or removes units"),
            EventKind::Adjustment => checks.within("/quantity", Some(self.quantity), -MAX_QUANTITY, MAX_QUANTITY),
            EventKind::Count => checks.within("/quantity", Some(self.quantity), -MAX_COUNT, MAX_COUNT),
            _ => checks.within("/quantity", Some(self.quantity), 1, MAX_QUANTITY),
        }
        if self.store_id.is_some() && !matches!(self.kind, EventKind::Sale | EventKind::Return | EventKind::Cancellation) {
            checks.note("/store_id", "is allowed only for a sale, a return or a cancellation");
        }
        if let Some(note) = &self.note {
            let controlled = note.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
            if note.chars().count() > MAX_NOTE || controlled {
                checks.note(
                    "/note",
                    format!("may have at most {MAX_NOTE} characters, and no control characters except line breaks and tabs"),
                );
            }
        }
        checks.done()?;
        let (Some(event_id), Some(sku)) = (event_id, sku) else { return Err(Vec::new()) };
        let event = StockEvent {
            event_id,
            sku,
            kind: self.kind,
            quantity: self.quantity,
            warehouse,
            to_warehouse,
            occurred_at: self.occurred_at,
            note: self.note.clone(),
        };
        Ok(EnteredEvent { event, create: self.create.unwrap_or(true), store: self.store_id })
    }
}

/// The result of an event.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ResultAnswer {
    /// Null if the event had no readable id.
    event_id: Option<String>,
    /// `accepted`, `duplicate` or `rejected`.
    pub status: &'static str,
    /// When it was accepted; for a duplicate, when it was first accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_at: Option<Timestamp>,
    /// 0 for an event that was recorded but changes nothing, because a newer count includes it already.
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<i64>,
    /// An existing SKU that the event's new SKU may be mistaken for: they differ only in case, spaces, width, invisible
    /// characters or letters that look alike.
    #[serde(skip_serializing_if = "Option::is_none")]
    similar_sku: Option<String>,
    /// Why it was rejected, or what is unusual about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The invalid fields; pointers are relative to the request's body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

/// The results of all events, in the order of the request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct EventsAnswer {
    /// How many were accepted.
    pub accepted: usize,
    /// How many had been accepted before.
    pub duplicates: usize,
    /// How many were rejected.
    pub rejected: usize,
    /// One for each event.
    pub results: Vec<ResultAnswer>,
}

/// An invalid event: its id, if that could be read, and what is wrong with it.
pub struct Bad {
    event_id: Option<String>,
    pub(super) errors: Vec<FieldError>,
}

/// Reads an event; of one that is invalid, at most `most` errors are named.
fn read_up_to(bytes: &[u8], most: usize) -> Result<EnteredEvent, Bad> {
    let fields: EventFields = object_at(bytes).map_err(|error| {
        let errors = match error {
            JsonError::Syntax(detail) => vec![FieldError::new("", detail)],
            JsonError::Field(error) => every_error(bytes, named_number(error, bytes), most),
        };
        Bad { event_id: text_of(bytes, "event_id"), errors }
    })?;
    checked(&fields, most)
}

fn checked(fields: &EventFields, most: usize) -> Result<EnteredEvent, Bad> {
    let shortened = |errors: Vec<FieldError>| errors.into_iter().take(most).collect();
    fields.check().map_err(|errors| Bad { event_id: Some(fields.event_id.clone()), errors: shortened(errors) })
}

/// What is wrong with an event that cannot be read: each member by itself, and what the readable ones say.
fn every_error(bytes: &[u8], first: FieldError, most: usize) -> Vec<FieldError> {
    let nothing = ["warehouse", "to_warehouse", "occurred_at", "note", "store_id", "create"].map(|name| (name, Value::Null));
    let stand_ins = [("event_id", json!("e")), ("sku", json!("S")), ("kind", json!("purchase")), ("quantity", json!(1))];
    let stand_ins: Vec<(&str, Value)> = stand_ins.into_iter().chain(nothing).collect();
    let Broken { mut errors, rest, replaced } = broken::<EventFields>(bytes, first, &stand_ins, most);
    let is_replaced = |name: &str| replaced.iter().any(|replaced| replaced == name);
    // Which quantities and warehouses are right depends on the kind.
    let depends = |pointer: &str| is_replaced("kind") && ["/quantity", "/to_warehouse", "/store_id"].contains(&pointer);
    let said = rest.and_then(|rest| rest.check().err()).unwrap_or_default();
    errors.extend(said.into_iter().filter(|error| !is_replaced(error.pointer.trim_start_matches('/')) && !depends(&error.pointer)));
    errors.truncate(most);
    errors
}

#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn read_event(bytes: &[u8]) -> Result<EnteredEvent, Bad> {
    read_up_to(bytes, MOST_OF_ONE)
}

/// The events of a body, and whether it was a single object.
///
/// # Errors
/// If it is not what its media type says, or has too many events.
pub fn read_body(body: &Content) -> Result<(Vec<Result<EnteredEvent, Bad>>, bool), ApiError> {
    if matches!(body.media_type.as_str(), "application/x-ndjson" | "application/jsonl" | "application/ndjson") {
        let lines = body.bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        if lines.clone().nth(MAX_BULK).is_some() {
            return Err(ApiError::field("", format!("may have at most {MAX_BULK} stock events; send them in parts")));
        }
        return Ok((lines.map(|line| read_up_to(line, MOST_OF_MANY)).collect(), false));
    }
    body.expect_json_or("application/x-ndjson")?;
    let is_list = body.bytes.trim_ascii_start().first() == Some(&b'[');
    if let Some(fields) = quick::<EventFields>(&body.bytes) {
        let most = if is_list { MOST_OF_MANY } else { MOST_OF_ONE };
        return Ok((fields.iter().map(|fields| checked(fields, most)).collect(), !is_list));
    }
    if is_list {
        let items = items(&body.bytes, "stock events")?;
        return Ok((items.iter().map(|raw| read_up_to(raw.get().as_bytes(), MOST_OF_MANY)).collect(), false));
    }
    // A single object that is not valid JSON is a malformed request, not a rejected event.
    let raw = raw(&body.bytes).map_err(ApiError::malformed)?;
    Ok((vec![read_up_to(raw.get().as_bytes(), MOST_OF_ONE)], true))
}

/// Records stock events: one object, an array of up to 10,000, or NDJSON (`application/x-ndjson`). Answers once they
/// are durable, with a result for each event; an event is applied only once per `event_id`, however often it is sent. If a
/// single object is rejected, the answer is a problem document that also has the members of the normal answer.
#[utoipa::path(tag = "stock", security(("seller_key" = [])),
    request_body(content((EventsBody = "application/json"), (String = "application/x-ndjson"))),
    responses((status = 200, body = EventsAnswer), (status = 400, body = Problem), (status = 401, body = Problem), (status = 409, body = Problem),
        (status = 413, body = Problem), (status = 422, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
#[post("/v1/stock-events")]
pub async fn post_stock_events(caller: Caller, state: State, body: Body, request: HttpRequest) -> Answer {
    let traceparent = || request.headers().get("traceparent").and_then(|value| value.to_str().ok());
    let span = traces::request("POST /v1/stock-events", traceparent);
    let trace = span.as_ref().map(Span::context);
    let taken_in = async {
        let (read, single) = body.parse(read_body).await?;
        Answer::Ok(HttpResponse::Ok().json(take_in(&state, &caller, read, single, trace).await?))
    };
    let answer = taken_in.instrument(traces::in_log(trace)).await;
    if let Some(mut span) = span {
        let status = answer.as_ref().map_or_else(ResponseError::status_code, HttpResponse::status);
        span.note("http.request.method", "POST");
        span.note("http.route", "/v1/stock-events");
        span.note("http.response.status_code", usize::from(status.as_u16()));
        if status.is_server_error() {
            span.fail();
        }
    }
    answer
}

/// Records the events of a body, whichever way it has come, as a part of this span, and returns once they are durable.
///
/// # Errors
/// 429 beyond the seller's quota; if nothing could be recorded; and 409 or 422 if a `single` object is rejected.
pub async fn take_in(
    state: &AppState,
    caller: &Caller,
    read: Vec<Result<EnteredEvent, Bad>>,
    single: bool,
    trace: Option<Context>,
) -> Result<EventsAnswer, ApiError> {
    state.quota.check_rows(caller.db.id(), read.len())?;
    let mut results: Vec<Option<ResultAnswer>> = Vec::with_capacity(read.len());
    let (mut indexes, mut events) = (Vec::new(), Vec::new());
    let mut conflict = false;
    let prefix = |index: usize| if single { String::new() } else { format!("/{index}") };
    for (index, read) in read.into_iter().enumerate() {
        match read {
            Ok(event) => {
                indexes.push(index);
                events.push(event);
                results.push(None);
            }
            Err(bad) => results.push(Some(rejected(bad.event_id, bad.errors, &prefix(index)))),
        }
    }
    let ids: Vec<EventId> = events.iter().map(|entered: &EnteredEvent| entered.event.event_id.clone()).collect();
    let recorded = stock_events::record_in(&state.service, caller, events, trace).await?;
    for ((index, event_id), result) in indexes.into_iter().zip(ids).zip(recorded) {
        conflict |= matches!(result, EventResult::Rejected { conflict: true, .. });
        let event_id = Some(event_id.to_string());
        let answer = match result {
            EventResult::Accepted { at, remark, .. } => recorded_as("accepted", event_id, at, remark),
            EventResult::Duplicate { at, remark } => recorded_as("duplicate", event_id, at, remark),
            EventResult::Rejected { errors, .. } => rejected(event_id, errors, &prefix(index)),
        };
        if let Some(slot) = results.get_mut(index) {
            *slot = Some(answer);
        }
    }
    let results: Vec<ResultAnswer> = results.into_iter().flatten().collect();
    let count = |status| results.iter().filter(|result| result.status == status).count();
    let answer = EventsAnswer { accepted: count("accepted"), duplicates: count("duplicate"), rejected: count("rejected"), results };
    for (status, count) in [("accepted", answer.accepted), ("duplicate", answer.duplicates), ("rejected", answer.rejected)] {
        metrics::note(|metrics| metrics.stock_events(status, count));
    }
    if single && answer.rejected > 0 {
        let errors: Vec<FieldError> = answer.results.iter().flat_map(|result| result.errors.clone()).collect();
        let members = serde_json::to_value(&answer).ok().and_then(|value| value.as_object().cloned()).unwrap_or_default();
        let problem = if conflict { ApiError::conflicting(errors) } else { ApiError::invalid(errors) };
        return Err(problem.with(members));
    }
    Ok(answer)
}

fn recorded_as(status: &'static str, event_id: Option<String>, at: Timestamp, remark: Option<Remark>) -> ResultAnswer {
    let effect = remark.as_ref().is_some_and(|remark| remark.without_effect).then_some(0);
    let similar_sku = remark.as_ref().and_then(|remark| remark.similar_sku.clone());
    let reason = remark.map(|remark| remark.reason);
    ResultAnswer { event_id, status, accepted_at: Some(at), effect, similar_sku, reason, errors: Vec::new() }
}

fn rejected(event_id: Option<String>, errors: Vec<FieldError>, prefix: &str) -> ResultAnswer {
    let event_id = event_id.map(|id| shortened(&id, EventId::MAX_CHARS));
    let reason = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let errors = errors.into_iter().map(|error| error.under(prefix)).collect();
    ResultAnswer { event_id, status: "rejected", accepted_at: None, effect: None, similar_sku: None, reason: Some(reason), errors }
}

#[cfg(test)]
mod tests;
