//! Pairing a store's listings with SKUs: CSV import and export, and discovery of the store's variants by SKU.
use super::form::{Posted, WITH_FILE};
use super::page::{Frame, PageAnswer, go_saying};
use super::session::SellerVisit;
use super::show::count;
use crate::db::stores::Store;
use crate::domain::StoreId;
use crate::http::error::ApiError;
use crate::http::listings::pair_csv;
use crate::http::state::State;
use crate::platforms::by_name;
use crate::service::discover::{Found, Proposal, discover};
use crate::service::listings::Paired;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::Path;
use askama::Template;

/// Listings read per query of an export.
const EXPORT_PAGE: i64 = 5_000;
/// Rows and variants shown; all are counted.
const MAX_SHOWN: usize = 200;

#[derive(Template)]
#[template(path = "import.html")]
struct ImportPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    store: &'a Store,
    columns: String,
    error: Option<String>,
    result: Option<Imported>,
}

struct Imported {
    summary: String,
    rejected: Vec<RejectedRow>,
    more: usize,
}

struct RejectedRow {
    line: usize,
    external_id: String,
    reason: String,
}

fn import_page<'a>(frame: &'a Frame, store: &'a Store) -> ImportPage<'a> {
    let extra = by_name(&store.platform).map_or(&[][..], |platform| platform.listing_fields());
    let columns = ["sku", "external_id"].into_iter().chain(extra.iter().copied()).collect::<Vec<_>>().join(",");
    ImportPage { frame, here: "stores", store, columns, error: None, result: None }
}

impl Imported {
    fn new(answer: Paired) -> Self {
        let summary =
            [(answer.created, "paired"), (answer.updated, "replaced"), (answer.unchanged, "unchanged"), (answer.rejected, "rejected")];
        let summary = summary.iter().filter(|(number, _)| *number > 0);
        let summary = summary.map(|(number, word)| format!("{} {word}", super::show::units(i64::try_from(*number).unwrap_or(i64::MAX))));
        let rejected = answer.results.into_iter().filter(|row| row.status == "rejected").map(|row| RejectedRow {
            // The header is the first line.
            line: row.row + 2,
            external_id: row.external_id.unwrap_or_default(),
            reason: row.reason.unwrap_or_default(),
        });
        let mut rejected: Vec<RejectedRow> = rejected.collect();
        let more = rejected.len().saturating_sub(MAX_SHOWN);
        rejected.truncate(MAX_SHOWN);
        Self { summary: summary.collect::<Vec<_>>().join(", "), rejected, more }
    }
}

pub(super) async fn import_form(visit: SellerVisit, id: Path<StoreId>) -> PageAnswer {
    let id = id.into_inner();
    let store = visit.caller.db.read(move |t| t.store(id)).await?;
    visit.frame.page(&import_page(&visit.frame, &store))
}

/// Imports the valid rows of a file, or of the pasted text, and lists the rejected ones.
pub(super) async fn import(mut posted: Posted<SellerVisit, WITH_FILE>, state: State, id: Path<StoreId>) -> PageAnswer {
    let (file, pasted) = (posted.fields.take_file("file"), posted.fields.take_file("rows"));
    let (visit, id) = (&posted.visit, id.into_inner());
    let store = visit.caller.db.read(move |t| t.store(id)).await?;
    let mut page = import_page(&visit.frame, &store);
    let rows = if file.is_empty() { pasted } else { file };
    if rows.iter().all(u8::is_ascii_whitespace) {
        page.error = Some("Choose a file or paste rows.".to_owned());
        return visit.frame.rejected(&page);
    }
    match pair_csv(&visit.caller, &state, &store, rows).await {
        Ok(answer) if answer.rejected == 0 => {
            let taken = count(i64::try_from(answer.results.len()).unwrap_or(i64::MAX), "row", "rows");
            Ok(go_saying(&format!("/console/stores/{id}"), &format!("{taken} imported: {}.", Imported::new(answer).summary)))
        }
        Ok(answer) => {
            page.result = Some(Imported::new(answer));
            visit.frame.page(&page)
        }
        Err(error)
            if matches!(actix_web::ResponseError::status_code(&error), StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY) =>
        {
            let messages: Vec<String> = error.errors().iter().map(ToString::to_string).collect();
            let more = match error.errors_omitted() {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            page.error = Some(if messages.is_empty() { error.detail().to_owned() } else { format!("{}{more}", messages.join("; ")) });
            visit.frame.rejected(&page)
        }
        Err(error) => Err(error.into()),
    }
}

/// All listings of a store, in the format of the import.
pub(super) async fn export(visit: SellerVisit, id: Path<StoreId>) -> PageAnswer {
    let id = id.into_inner();
    let store = visit.caller.db.read(move |t| t.store(id)).await?;
    let extra = by_name(&store.platform).map_or(&[][..], |platform| platform.listing_fields());
    let mut writer = csv::Writer::from_writer(Vec::new());
    let not_written = |_| ApiError::unavailable("The file could not be written.");
    writer.write_record(["sku", "external_id"].into_iter().chain(extra.iter().copied())).map_err(not_written)?;
    let mut after: Option<String> = None;
    loop {
        let from = after.clone();
        let page = visit.caller.db.read(move |t| t.search_listings(id, "", from.as_deref(), EXPORT_PAGE)).await?;
        for listing in &page {
            let own = extra.iter().map(|name| listing.extra.get(*name).map(String::as_str).unwrap_or_default());
            writer.write_record([listing.sku.as_str(), listing.external_id.as_str()].into_iter().chain(own)).map_err(not_written)?;
        }
        match page.last() {
            Some(last) if page.len() >= usize::try_from(EXPORT_PAGE).unwrap_or(usize::MAX) => after = Some(last.sku.clone()),
            _ => break,
        }
    }
    let bytes = writer.into_inner().map_err(|_| ApiError::unavailable("The file could not be written."))?;
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"listings-{id}.csv\"")))
        .body(bytes))
}

#[derive(Template)]
#[template(path = "discover.html")]
struct DiscoverPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    store: &'a Store,
    error: Option<String>,
    result: Option<Proposed>,
    /// Where the shown part of the store starts.
    cursor: String,
}

struct Group {
    title: &'static str,
    explanation: &'static str,
    variants: Vec<Found>,
    more: usize,
    total: String,
}

struct Proposed {
    matched: usize,
    groups: Vec<Group>,
    already: String,
    next: Option<String>,
}

fn group(title: &'static str, explanation: &'static str, mut variants: Vec<Found>) -> Group {
    let total = count(i64::try_from(variants.len()).unwrap_or(i64::MAX), "variant", "variants");
    let more = variants.len().saturating_sub(MAX_SHOWN);
    variants.truncate(MAX_SHOWN);
    Group { title, explanation, variants, more, total }
}

impl Proposed {
    fn new(proposal: Proposal) -> Self {
        let matched = proposal.matched.len();
        let groups = vec![
            group("Ready to pair", "These SKUs match yours.", proposal.matched),
            group("Duplicate SKUs", "Use a CSV import to choose which one to pair.", proposal.ambiguous),
            group("No matching SKU", "Correct the SKU in the store, or pair the variant by CSV import.", proposal.unmatched),
        ];
        Self {
            matched,
            groups: groups.into_iter().filter(|group| !group.variants.is_empty()).collect(),
            already: count(i64::try_from(proposal.already_paired).unwrap_or(i64::MAX), "variant", "variants"),
            next: proposal.next_cursor,
        }
    }
}

pub(super) async fn discover_form(visit: SellerVisit, id: Path<StoreId>) -> PageAnswer {
    let id = id.into_inner();
    let store = visit.caller.db.read(move |t| t.store(id)).await?;
    visit.frame.page(&DiscoverPage { frame: &visit.frame, here: "stores", store: &store, error: None, result: None, cursor: String::new() })
}

/// *Find matches* shows what would be paired; *Pair* pairs it.
pub(super) async fn discovered(posted: Posted<SellerVisit>, state: State, id: Path<StoreId>) -> PageAnswer {
    let (visit, fields, id) = (&posted.visit, &posted.fields, id.into_inner());
    let store = visit.caller.db.read(move |t| t.store(id)).await?;
    let cursor = fields.some("cursor").map(str::to_owned);
    let apply = fields.text("do") == "pair";
    let mut page = DiscoverPage {
        frame: &visit.frame,
        here: "stores",
        store: &store,
        error: None,
        result: None,
        cursor: cursor.clone().unwrap_or_default(),
    };
    match discover(&state.service, &visit.caller, id, cursor, apply).await.map_err(ApiError::from) {
        Ok(proposal) if apply && proposal.next_cursor.is_none() => {
            let paired = count(i64::try_from(proposal.paired).unwrap_or(i64::MAX), "listing", "listings");
            Ok(go_saying(&format!("/console/stores/{id}"), &format!("{paired} paired.")))
        }
        Ok(proposal) => {
            page.result = Some(Proposed::new(proposal));
            visit.frame.page(&page)
        }
        Err(error) if actix_web::ResponseError::status_code(&error) == StatusCode::CONFLICT => {
            page.error = Some(error.detail().to_owned());
            visit.frame.rejected(&page)
        }
        Err(error) => Err(error.into()),
    }
}
