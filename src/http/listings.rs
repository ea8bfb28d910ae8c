//! Listings of a store: paired with SKUs in bulk, as JSON or CSV, with a result for each row.
use super::auth::Caller;
use super::body::{Body, Content};
use super::columns;
use super::error::{ApiError, Problem};
use super::json::{JsonError, items, object_at};
use super::numbers::{named_number, text_of, whole};
use super::request::{Page, PageQuery, id_cursor, limit, parameter, query};
use super::spreadsheet;
use super::state::{Answer, State};
use crate::db::listings::{Listing, NewListing};
use crate::db::stores::Store;
use crate::domain::ids::check_text;
use crate::domain::problem::{Checks, pointer_to};
use crate::domain::units::UnitsEach;
use crate::domain::{FieldError, ListingId, Sku, StoreId, Timestamp};
use crate::platforms::by_name;
use crate::platforms::call::StoreConnection;
use crate::service::listings::{self, MAX_ERRORS, Paired, Row};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, delete, get, put};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The most characters in an external id or in a connector's own field.
const MAX_TEXT: usize = 256;
const UNKNOWN: &str = "is not a listing field of this platform";

/// A row: which listing of the store shows which SKU. May also contain the connector's own fields, as text.
#[derive(Deserialize, utoipa::ToSchema)]
struct ListingRow {
    sku: String,
    /// The platform's id of the variant.
    external_id: String,
    /// How many units of the SKU one of the listing is: 6 for a six-pack, which shows how many whole packs there are. If omitted, it
    /// stays as it is, and a new listing is 1.
    #[serde(default)]
    #[schema(value_type = Option<i64>, minimum = 1, maximum = 10_000)]
    units: Option<Value>,
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
        Self { known: platform.listing_fields(), required: platform.required_field(&connection) }
    }
}

fn units_of(value: &Value) -> Result<UnitsEach, String> {
    // 0 is out of bounds, so whatever is not a whole number gets the same error.
    UnitsEach::check(whole(value).unwrap_or(0))
}

fn checked(row: ListingRow, fields: Fields) -> Result<NewListing, Vec<FieldError>> {
    let mut checks = Checks::default();
    let sku = checks.take("/sku", Sku::parse(&row.sku));
    checks.take("/external_id", check_text(&row.external_id, "an external_id", MAX_TEXT));
    let units = row.units.as_ref().and_then(|value| checks.take("/units", units_of(value)));
    let mut extra = BTreeMap::new();
    for (name, value) in row.extra {
        match value {
            _ if !fields.known.contains(&name.as_str()) => checks.extend([FieldError::named("", "member", &name, UNKNOWN)]),
            Value::String(text) => {
                checks.take(&pointer_to(&name), check_text(&text, "it", MAX_TEXT));
                extra.insert(name, text);
            }
            _ => checks.note(pointer_to(&name), "must be text"),
        }
    }
    if let Some(name) = fields.required.filter(|name| !extra.contains_key(*name)) {
        checks.note(pointer_to(name), "is required for listings on this platform");
    }
    // Here already, because ten thousand rows may have hundreds of unknown fields each.
    checks.done().map_err(|errors| errors.into_iter().take(MAX_ERRORS).collect::<Vec<_>>())?;
    let Some(sku) = sku else { return Err(Vec::new()) };
    Ok(NewListing { sku, external_id: row.external_id, units, extra: (!extra.is_empty()).then_some(extra), pass: None })
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
    Ok(items(bytes, "rows")?.into_iter().map(read).collect())
}

pub(super) fn rows_of_csv(bytes: &[u8], fields: Fields) -> Result<Vec<Row>, ApiError> {
    let bytes = spreadsheet::plain(bytes)?;
    let names = columns::of(&bytes)?;
    columns::check(&names, &["sku", "external_id"], &[&["units"], fields.known].concat(), UNKNOWN)?;
    let names = names.shown;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(bytes.as_slice());
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let detail = match error.kind() {
                    // The header is the first line.
                    csv::ErrorKind::Utf8 { .. } => spreadsheet::other_encoding(rows.len() + 2),
                    _ => format!("this row cannot be read: {error}"),
                };
                rows.push(Err((None, vec![FieldError::new("", detail)])));
                continue;
            }
        };
        if record.len() != names.len() {
            let detail = format!("this row has {} fields, the header {}", record.len(), names.len());
            rows.push(Err((None, vec![FieldError::new("", detail)])));
            continue;
        }
        let mut row = ListingRow { sku: String::new(), external_id: String::new(), units: None, extra: BTreeMap::new() };
        for (name, value) in names.iter().zip(&record).filter(|(_, value)| !value.is_empty()) {
            match name.as_str() {
                "sku" => value.clone_into(&mut row.sku),
                "external_id" => value.clone_into(&mut row.external_id),
                "units" => row.units = Some(value.parse().map_or_else(|_| value.into(), Value::Number)),
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

/// Pairs many listings with SKUs at once: JSON `[{sku, external_id, units, …}]`, or `text/csv` with these columns. Invalid rows
/// are rejected individually; valid ones are accepted. SKUs that do not exist yet are created. With `dry_run=true` nothing is
/// changed, and each row tells what would be.
#[utoipa::path(tag = "stores", security(("seller_key" = [])), params(("dry_run" = Option<bool>, Query)), request_body(content((Vec<ListingRow> = "application/json"), (String = "text/csv"))),
    responses((status = 200, body = Paired), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[put("/v1/stores/{id}/listings")]
pub async fn put_listings(caller: Caller, state: State, id: Path<StoreId>, request: HttpRequest, body: Body) -> Answer {
    let id = id.into_inner();
    let store = caller.db.read(move |t| t.store(id)).await?;
    let params: PairQuery = query(&request)?;
    let dry_run = parameter("dry_run", params.dry_run.as_deref(), "true or false")?.unwrap_or(false);
    let fields = Fields::of(&store);
    let read = move |content: &Content| {
        if content.media_type == "text/csv" {
            return rows_of_csv(&content.bytes, fields);
        }
        content.expect_json_or("text/csv")?;
        rows_of_json(&content.bytes, fields)
    };
    let rows = body.parse(read).await?;
    Ok(HttpResponse::Ok().json(pair(&caller, &state, id, rows, dry_run).await?))
}

/// Pairs the listings of the valid rows of a CSV file, or in a dry run says what that would do.
pub(super) async fn pair_csv(caller: &Caller, state: &State, store: &Store, file: Vec<u8>, dry_run: bool) -> Result<Paired, ApiError> {
    let fields = Fields::of(store);
    let rows = state.bodies.parse(file.len(), move || rows_of_csv(&file, fields)).await?;
    pair(caller, state, store.id, rows, dry_run).await
}

async fn pair(caller: &Caller, state: &State, id: StoreId, rows: Vec<Row>, dry_run: bool) -> Result<Paired, ApiError> {
    state.quota.check_rows(caller.db.id(), rows.len())?;
    if dry_run {
        return Ok(listings::preview(&state.service, caller, id, rows).await?);
    }
    Ok(listings::pair(&state.service, caller, id, rows).await?)
}

/// A listing.
#[derive(Serialize, utoipa::ToSchema)]
struct ListingAnswer {
    id: ListingId,
    store_id: StoreId,
    sku: String,
    external_id: String,
    /// How many units of the SKU one of the listing is.
    units: i64,
    /// The last known quantity it showed, from a confirmed push or a read.
    shown: Option<i64>,
    shown_at: Option<Timestamp>,
    /// What it should show by the rules; null if it is not updated.
    target: Option<i64>,
    created_at: Timestamp,
    /// The connector's own fields.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    extra: BTreeMap<String, String>,
}

fn answer((listing, target): (Listing, Option<i64>)) -> ListingAnswer {
    ListingAnswer {
        id: listing.id,
        store_id: listing.store_id,
        sku: listing.sku,
        external_id: listing.external_id,
        units: listing.units.get(),
        shown: listing.shown,
        shown_at: listing.shown_at,
        target,
        created_at: listing.created_at,
        extra: listing.extra,
    }
}

/// Lists a store's listings, oldest first, each with what it shows and what it should.
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
            let found = t.listings(id, after, limit + 1)?;
            let targets = t.targets_of(&found.iter().map(|listing| listing.id).collect::<Vec<_>>())?;
            let with_target = |listing: Listing| (targets.get(&listing.id).copied().flatten(), listing);
            Ok(found.into_iter().map(with_target).map(|(target, listing)| (listing, target)).collect::<Vec<_>>())
        })
        .await?;
    Ok(HttpResponse::Ok().json(Page::of(found, limit, |(l, _)| l.id.to_string(), answer)))
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

    #[test]
    fn units_are_a_whole_number_in_json_and_in_csv_and_may_be_left_out() {
        let fields = Fields { known: &[], required: None };
        let units = |rows: Vec<Row>| rows.into_iter().map(|row| row.map(|row| row.units.map(UnitsEach::get)).ok()).collect::<Vec<_>>();
        let row = |value: &str| format!(r#"{{"sku": "A", "external_id": "a", "units": {value}}}"#);
        let values = ["6", "6.0", "6e0", "null", "0", "-6", "6.5", "\"6\"", "10001", "1e400", "[6]"];
        let json = format!("[{}]", values.map(row).join(","));
        let expected = [[Some(Some(6)); 3].as_slice(), &[Some(None)], &[None; 7]].concat();
        assert_eq!(units(rows_of_json(json.as_bytes(), fields).ok().unwrap()), expected);
        let csv = b"sku,external_id,units\nA,a,6\nA,b, 6.0 \nA,c,\nA,d,0\nA,e,-6\nA,f,six\nA,g,6.5\nA,h,99999999999999999999\n";
        let rows = rows_of_csv(csv, fields).ok().unwrap();
        let Err((_, errors)) = &rows[5] else { panic!() };
        assert_eq!(errors, &[FieldError::new("/units", "must be a whole number from 1 to 10000")]);
        assert_eq!(units(rows), [[Some(Some(6)); 2].as_slice(), &[Some(None)], &[None; 5]].concat());
    }

    #[test]
    fn a_row_in_windows_1252_is_named_as_such_and_the_others_are_taken() {
        let fields = Fields { known: &[], required: None };
        let rows = rows_of_csv(b"sku;external_id\nA;1\nGr\xf6\xdfe;2\n", fields).ok().unwrap();
        let Err((_, errors)) = &rows[1] else { panic!() };
        assert!(rows[0].is_ok() && errors[0].detail.contains("line 3") && errors[0].detail.contains("Windows-1252"), "{errors:?}");
    }
}
