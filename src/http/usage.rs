//! What sellers have used: for the operator, of one or of all of them, and for a seller.
use super::auth::{Caller, Operator};
use super::error::{ApiError, Problem};
use super::request::query;
use super::spreadsheet::cell;
use super::state::{Answer, State};
use crate::db::usage::usage_of_day;
use crate::db::{Db, sellers};
use crate::domain::usage::{MAX_DAYS, MAX_DAYS_OF_ALL, Range, Usage, UsageOfDay, day_of};
use crate::domain::{SellerId, Timestamp};
use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse, get};
use chrono::NaiveDate;
use csv::Writer;
use futures_util::stream::try_unfold;
use serde::{Deserialize, Serialize};

/// Sellers read at a time for an export.
const PAGE: i64 = 1000;

/// The query parameters: days in UTC, both included.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RangeQuery {
    from: Option<String>,
    to: Option<String>,
}

impl RangeQuery {
    fn read(request: &HttpRequest, now: Timestamp, most: u64) -> Result<Range, ApiError> {
        let Self { from, to } = query(request)?;
        Range::parse(from.as_deref(), to.as_deref(), day_of(now), most).map_err(|error| ApiError::invalid(vec![error]))
    }
}

/// What a seller has used on a day.
#[derive(Serialize, utoipa::ToSchema)]
struct DayAnswer {
    /// The day in UTC.
    day: NaiveDate,
    #[serde(flatten)]
    usage: Usage,
}

/// What a seller has used.
#[derive(Serialize, utoipa::ToSchema)]
struct UsageAnswer {
    /// The first day in UTC.
    from: NaiveDate,
    /// The last day in UTC.
    to: NaiveDate,
    /// Everything before this instant is counted, and nothing after it: a day that has ended by then is final. Null before the first
    /// count.
    counted_to: Option<Timestamp>,
    /// What was used on all these days.
    total: Usage,
    /// The days on which something was used, oldest first.
    items: Vec<DayAnswer>,
}

impl UsageAnswer {
    fn new(Range { from, to }: Range, (days, counted_to): (Vec<UsageOfDay>, Option<Timestamp>)) -> Self {
        let total = days.iter().map(|of| of.usage).sum();
        let items = days.into_iter().map(|UsageOfDay { day, usage }| DayAnswer { day, usage }).collect();
        Self { from, to, counted_to, total, items }
    }
}

/// Returns what a seller has used by the day in UTC: of the present month, or of up to 400 days. Stock events count when they are
/// accepted, updates of listings when they are confirmed, and a call to a platform when its answer confirms updates. A few minutes
/// pass until something is counted.
#[utoipa::path(tag = "operator", security(("operator_key" = [])),
    params(("from" = Option<NaiveDate>, Query), ("to" = Option<NaiveDate>, Query)),
    responses((status = 200, body = UsageAnswer), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/admin/sellers/{id}/usage")]
pub async fn get_seller_usage(_operator: Operator, state: State, id: Path<SellerId>, request: HttpRequest) -> Answer {
    let id = id.into_inner();
    let range = RangeQuery::read(&request, state.now(), MAX_DAYS)?;
    state.db.read(move |conn| sellers::seller(conn, id)).await?;
    let found = state.db.seller(id).read(move |t| t.usage(range)).await?;
    Ok(HttpResponse::Ok().json(UsageAnswer::new(range, found)))
}

/// Returns what the seller has used by the day in UTC: of the present month, or of up to 400 days.
#[utoipa::path(tag = "account", security(("seller_key" = [])),
    params(("from" = Option<NaiveDate>, Query), ("to" = Option<NaiveDate>, Query)),
    responses((status = 200, body = UsageAnswer), (status = 401, body = Problem)))]
#[get("/v1/usage")]
pub async fn get_usage(caller: Caller, state: State, request: HttpRequest) -> Answer {
    let range = RangeQuery::read(&request, state.now(), MAX_DAYS)?;
    let found = caller.db.read(move |t| t.usage(range)).await?;
    Ok(HttpResponse::Ok().json(UsageAnswer::new(range, found)))
}

/// Exports what all sellers have used by the day in UTC, of the present month or of up to 31 days: a line for each day and seller with
/// any, by day.
#[utoipa::path(tag = "operator", security(("operator_key" = [])),
    params(("from" = Option<NaiveDate>, Query), ("to" = Option<NaiveDate>, Query)),
    responses((status = 200, description = "The columns `day`, `seller_id`, `name`, `events`, `pushes` and `calls`.", content_type = "text/csv", body = String),
        (status = 401, body = Problem)))]
#[get("/admin/usage.csv")]
pub async fn export_usage(_operator: Operator, state: State, request: HttpRequest) -> Answer {
    let range = RangeQuery::read(&request, state.now(), MAX_DAYS_OF_ALL)?;
    let export = Export { db: state.db.clone(), day: Some(range.from), last: range.to, after: None, begun: false };
    let cut_off = |error: ApiError| {
        tracing::warn!(error = error.detail(), "an export of usage was cut off");
        actix_web::Error::from(error)
    };
    let lines = try_unfold(export, move |export| async move { export.next().await.map_err(cut_off) });
    Ok(HttpResponse::Ok().content_type("text/csv; charset=utf-8").streaming(Box::pin(lines)))
}

/// An export under way.
struct Export {
    db: Db,
    /// The next day to read; `None` at the end.
    day: Option<NaiveDate>,
    last: NaiveDate,
    /// The last seller of this day that was written.
    after: Option<SellerId>,
    begun: bool,
}

impl Export {
    /// The next lines, of which there may be none, and what is left.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, ApiError> {
        let mut writer = Writer::from_writer(Vec::new());
        if !std::mem::replace(&mut self.begun, true) {
            write(&mut writer, ["day", "seller_id", "name", "events", "pushes", "calls"].map(str::to_owned))?;
        }
        let Some(day) = self.day else { return Ok(None) };
        let after = self.after;
        let read = move |conn: &mut crate::db::Conn| {
            let page = usage_of_day(conn, day, after, PAGE)?;
            let ids: Vec<SellerId> = page.iter().map(|(seller, _)| *seller).collect();
            Ok((page, sellers::names(conn, &ids)?))
        };
        let (page, names) = self.db.read(read).await?;
        self.after = page.last().map(|(seller, _)| *seller);
        for (seller, Usage { events, pushes, calls }) in page {
            // Without a name it was deleted since.
            let Some(name) = names.get(&seller) else { continue };
            let [events, pushes, calls] = [events, pushes, calls].map(|number| number.to_string());
            write(&mut writer, [day.to_string(), seller.to_string(), cell(name), events, pushes, calls])?;
        }
        if self.after.is_none() {
            self.day = day.succ_opt().filter(|next| *next <= self.last);
        }
        let lines = writer.into_inner().map_err(|_| ApiError::unavailable("The export cannot be written."))?;
        Ok(Some((Bytes::from(lines), self)))
    }
}

fn write(writer: &mut Writer<Vec<u8>>, row: [String; 6]) -> Result<(), ApiError> {
    writer.write_record(row).map_err(|_| ApiError::unavailable("The export cannot be written."))
}
