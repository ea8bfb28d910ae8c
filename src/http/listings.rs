//! Listings of a store: paired with SKUs in bulk, as JSON or CSV, with a result for each row.
use super::auth::Caller;
use super::error::{ApiError, Problem};
use super::numbers::{named_number, text_of};
use super::request::{Body, JsonError, Page, PageQuery, id_cursor, items, limit, object_at, parameter, query};
use super::spreadsheet;
use super::state::{Answer, State};
use crate::db::listings::{Listing, NewListing};
use crate::db::stores::Store;
use crate::domain::ids::check_text;
use crate::domain::limits::MAX_BULK;
use crate::domain::problem::{Checks, pointer_to};
use crate::domain::{FieldError, ListingId, Sku, StoreId, Timestamp};
use crate::platforms::by_name;
use crate::platforms::call::StoreConnection;
use crate::service::listings::{self, Paired, Row};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, delete, get, put};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The most characters in an external id or in a connector's own field.
const MAX_TEXT: usize = 256;

/// A row: which listing of the store shows which SKU. May also contain the connector's own fields, as text.
#[derive(Deserialize, utoipa::ToSchema)]
struct ListingRow {
    sku: String,
    /// The platform's id of the variant.
    external_id: String,
    #[serde(flatten)]
    #[schema(value_type = Object)]
    extra: BTreeMap<String, Value>,
}

/// The connector's own fields of a listing of this store: those that exist, and the one that is required because all
/// items of one call must share its value.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    pub known: &'static [&'static str],
    pub required: Option<&'static str>,
}

impl Fields {
    fn of(store: &Store) -> Self {
        let Some(platform) = by_name(&store.platform) else { return Self { known: &[], required: None } };
        let connection = StoreConnection {
            store_id: store.id,
            platform: store.platform.clone(),
            base_url: store.base_url.clone(),
            config: serde_json::from_str(&store.config).unwrap_or_default(),
            credentials: BTreeMap::new(),
        };
        Self { known: platform.listing_fields(), required: platform.facts(&connection).group_by }
    }
}

fn checked(row: ListingRow, fields: Fields) -> Result<NewListing, Vec<FieldError>> {
    let mut checks = Checks::default();
    let sku = checks.take("/sku", Sku::parse(&row.sku));
    checks.take("/external_id", check_text(&row.external_id, "an external_id", MAX_TEXT));
    let mut extra = BTreeMap::new();
    for (name, value) in row.extra {
        let pointer = pointer_to(&name);
        match value {
            _ if !fields.known.contains(&name.as_str()) => checks.note(pointer, "is not a listing field of this platform"),
            Value::String(text) => {
                checks.take(&pointer, check_text(&text, "it", MAX_TEXT));
                extra.insert(name, text);
            }
            _ => checks.note(pointer, "must be text"),
        }
    }
    if let Some(name) = fields.required.filter(|name| !extra.contains_key(*name)) {
        checks.note(pointer_to(name), "is required for listings on this platform");
    }
    checks.done()?;
    let Some(sku) = sku else { return Err(Vec::new()) };
    Ok(NewListing { sku, external_id: row.external_id, extra: (!extra.is_empty()).then_some(extra) })
}

/// As [`checked`], for a row that may have been through a spreadsheet program.
fn checked_cells(row: ListingRow, fields: Fields) -> Result<NewListing, Vec<FieldError>> {
    let own = [("sku", row.sku.as_str()), ("external_id", row.external_id.as_str())];
    let extra = row.extra.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
    let shortened = own.into_iter().chain(extra).filter(|(_, text)| spreadsheet::is_shortened(text));
    let errors: Vec<FieldError> = shortened.map(|(name, _)| FieldError::new(pointer_to(name), spreadsheet::SHORTENED)).collect();
    if errors.is_empty() { checked(row, fields) } else { Err(errors) }
}

pub(super) fn rows_of_json(bytes: &[u8], fields: Fields) -> Result<Vec<Row>, ApiError> {
    let read = |raw: &RawValue| {
        let row: ListingRow = object_at(raw.get().as_bytes()).map_err(|error| match error {
            JsonError::Syntax(detail) => (None, vec![FieldError::new("", detail)]),
            JsonError::Field(error) => (text_of(raw.get().as_bytes(), "external_id"), vec![named_number(error, raw.get().as_bytes())]),
        })?;
        let external_id = row.external_id.clone();
        checked(row, fields).map_err(|errors| (Some(external_id), errors))
    };
    Ok(items(bytes, "rows")?.iter().map(|raw| read(raw)).collect())
}

pub(super) fn rows_of_csv(bytes: &[u8], fields: Fields) -> Result<Vec<Row>, ApiError> {
    let bytes = spreadsheet::plain(bytes).map_err(ApiError::malformed)?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(bytes.as_slice());
    let header = reader.headers().map_err(|e| ApiError::malformed(format!("The CSV's header cannot be read: {e}.")))?.clone();
    let names: Vec<String> = header.iter().map(str::to_ascii_lowercase).collect();
    let mut errors = Vec::new();
    for required in ["sku", "external_id"] {
        if !names.iter().any(|name| name == required) {
            errors.push(FieldError::new(format!("/{required}"), "is required as a column, named in the first line"));
        }
    }
    for name in names.iter().filter(|name| !matches!(name.as_str(), "sku" | "external_id") && !fields.known.contains(&name.as_str())) {
        errors.push(FieldError::new(pointer_to(name), "is not a listing field of this platform"));
    }
    for (index, name) in names.iter().enumerate() {
        if names.iter().take(index).any(|earlier| earlier == name) {
            errors.push(FieldError::new(pointer_to(name), "names more than one column"));
        }
    }
    if !errors.is_empty() {
        return Err(ApiError::invalid(errors));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        if rows.len() > MAX_BULK {
            break;
        }
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                rows.push(Err((None, vec![FieldError::new("", format!("this row cannot be read: {error}"))])));
                continue;
            }
        };
        if record.len() != names.len() {
            let detail = format!("this row has {} fields, the header {}", record.len(), names.len());
            rows.push(Err((None, vec![FieldError::new("", detail)])));
            continue;
        }
        let mut row = ListingRow { sku: String::new(), external_id: String::new(), extra: BTreeMap::new() };
        for (name, value) in names.iter().zip(&record).filter(|(_, value)| !value.is_empty()) {
            match name.as_str() {
                "sku" => value.clone_into(&mut row.sku),
                "external_id" => value.clone_into(&mut row.external_id),
                _ => drop(row.extra.insert(name.clone(), Value::String(value.to_owned()))),
            }
        }
        let name = Some(row.external_id.clone()).filter(|id| !id.is_empty());
        rows.push(checked_cells(row, fields).map_err(|errors| (name, errors)));
    }
    Ok(rows)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PairQuery {
    dry_run: Option<String>,
}

/// Pairs many listings with SKUs at once: JSON `[{sku, external_id, …}]`, or `text/csv` with these columns. Invalid rows
/// are rejected individually; valid ones are accepted. SKUs that do not exist yet are created. With `dry_run=true` nothing is
/// changed, and each row tells what would be.
#[utoipa::path(tag = "stores", security(("seller_key" = [])), params(("dry_run" = Option<bool>, Query)), request_body(content((Vec<ListingRow> = "application/json"), (String = "text/csv"))),
    responses((status = 200, body = Paired), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[put("/v1/stores/{id}/listings")]
pub async fn put_listings(caller: Caller, state: State, id: Path<StoreId>, request: HttpRequest, body: Body) -> Answer {
    let id = id.into_inner();
    let store = caller.db.read(move |t| t.store(id)).await?;
    let csv = body.media_type == "text/csv";
    if !csv {
        body.expect_json()?;
    }
    let params: PairQuery = query(&request)?;
    let dry_run = parameter("dry_run", params.dry_run.as_deref(), "true or false")?.unwrap_or(false);
    Ok(HttpResponse::Ok().json(pair(&caller, &state, store, &body.bytes, csv, dry_run).await?))
}

/// Parses rows and pairs the listings of the valid ones, or in a dry run says what that would do.
pub(super) async fn pair(caller: &Caller, state: &State, store: Store, bytes: &[u8], csv: bool, dry_run: bool) -> Result<Paired, ApiError> {
    let fields = Fields::of(&store);
    let rows = if csv { rows_of_csv(bytes, fields)? } else { rows_of_json(bytes, fields)? };
    if dry_run {
        return Ok(listings::preview(&state.service, caller, store.id, rows).await?);
    }
    Ok(listings::pair(&state.service, caller, store.id, rows).await?)
}

/// A listing.
#[derive(Serialize, utoipa::ToSchema)]
struct ListingAnswer {
    id: ListingId,
    store_id: StoreId,
    sku: String,
    external_id: String,
    /// The last known quantity it showed, from a confirmed push or a read.
    shown: Option<i64>,
    shown_at: Option<Timestamp>,
    created_at: Timestamp,
    /// The connector's own fields.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    extra: BTreeMap<String, String>,
}

fn answer(listing: Listing) -> ListingAnswer {
    ListingAnswer {
        id: listing.id,
        store_id: listing.store_id,
        sku: listing.sku,
        external_id: listing.external_id,
        shown: listing.shown,
        shown_at: listing.shown_at,
        created_at: listing.created_at,
        extra: listing.extra,
    }
}

/// Lists a store's listings, oldest first.
#[utoipa::path(tag = "stores", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<ListingAnswer>), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/v1/stores/{id}/listings")]
pub async fn list_listings(caller: Caller, id: Path<StoreId>, request: HttpRequest) -> Answer {
    let id = id.into_inner();
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, id_cursor(params.cursor.as_deref())?);
    let found = caller
        .db
        .read(move |t| {
            t.store(id)?;
            t.listings(id, after, limit + 1)
        })
        .await?;
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |l| l.id.to_string(), answer)))
}

/// Unpairs a listing and cancels its waiting pushes.
#[utoipa::path(tag = "stores", security(("seller_key" = [])),
    responses((status = 204, description = "Unpaired."), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[delete("/v1/stores/{id}/listings/{listing_id}")]
pub async fn delete_listing(caller: Caller, state: State, path: Path<(StoreId, ListingId)>) -> Answer {
    let (store, listing) = path.into_inner();
    listings::unpair(&state.service, &caller, store, listing).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_the_field_that_groups_calls_is_rejected_naming_that_field() {
        let fields = Fields { known: &["item_id", "location_id"], required: Some("item_id") };
        let rows =
            rows_of_json(br#"[{"sku": "A", "external_id": "1", "item_id": "7"}, {"sku": "B", "external_id": "2"}]"#, fields).ok().unwrap();
        assert!(rows[0].is_ok());
        let Err((_, errors)) = &rows[1] else { panic!() };
        assert_eq!(errors.iter().map(|e| e.pointer.as_str()).collect::<Vec<_>>(), ["/item_id"]);
        let rows = rows_of_csv(b"sku,external_id,item_id\nA,1,7\nB,2,\n", fields).ok().unwrap();
        assert!(rows[0].is_ok() && rows[1].is_err());
    }
}
