//! Pairing a store's listings with SKUs: CSV import and export, and discovery of the store's variants by SKU.
use super::form::{Posted, WITH_FILE, WITH_SKUS};
use super::page::{Frame, PageAnswer, go_saying};
use super::session::SellerVisit;
use super::show::count;
use crate::db::listings::AfterListing;
use crate::db::stores::Store;
use crate::domain::StoreId;
use crate::http::error::ApiError;
use crate::http::listings::pair_csv;
use crate::http::spreadsheet;
use crate::http::state::State;
use crate::platforms::by_name;
use crate::service::discover::{Apply, Found, Proposal, discover};
use crate::service::listings::{Paired, RowResult};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_DISPOSITION;
use actix_web::web::Path;
use askama::Template;

/// Listings read per query of an export.
const EXPORT_PAGE: i64 = 5_000;
/// What to do after listings have been paired, because increases build on what the store shows.
const NEXT: &str = "Next, preview an overwrite, so the store starts from correct numbers.";
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
    /// The rows that were sent, so that they can be corrected or, after a preview, imported.
    rows: String,
    /// There are too many of them to send them back.
    too_long: bool,
}

/// What an import did, or would do.
struct Imported {
    summary: String,
    only_preview: bool,
    /// Whether it would change anything.
    changes: bool,
    noted: Vec<NotedRow>,
    more: usize,
    /// Listings do not show their targets.
    offers_overwrite: bool,
}

/// A row that was rejected, or that a person should look at.
struct NotedRow {
    line: usize,
    external_id: String,
    note: String,
    rejected: bool,
}

fn import_page<'a>(frame: &'a Frame, store: &'a Store) -> ImportPage<'a> {
    let extra = by_name(&store.platform).map_or(&[][..], |platform| platform.listing_fields());
    let columns = ["sku", "external_id", "units"].into_iter().chain(extra.iter().copied()).collect::<Vec<_>>().join(",");
    ImportPage { frame, here: "stores", store, columns, error: None, result: None, rows: String::new(), too_long: false }
}

/// What a person should know about a row.
fn note_of(row: &RowResult) -> Option<String> {
    if row.status == "rejected" {
        return Some(row.reason.clone().unwrap_or_default());
    }
    let moved = row.moved_from.as_ref().map(|from| match row.set_to_0 {
        true => format!("Is now paired with {from}. None of the new SKU is in stock, so the listing would be set to 0."),
        false => format!("Is now paired with {from}."),
    });
    let similar = row.similar_sku.as_ref().map(|known| format!("The SKU is new and looks like {known}, which exists already."));
    let units = row.units_before.map(|units| format!("Is now {} of its SKU, which changes.", count(units, "unit", "units")));
    let others = row.other_listings.map(|others| {
        let number = count(i64::try_from(others).unwrap_or(i64::MAX), "other listing", "other listings");
        format!("This store has {number} of the SKU. Each shows the same units, so the same unit can be sold twice.")
    });
    let notes: Vec<String> = [moved, units, similar, others].into_iter().flatten().collect();
    (!notes.is_empty()).then(|| notes.join(" "))
}

impl Imported {
    fn new(answer: Paired, only_preview: bool) -> Self {
        let words = if only_preview {
            ["to pair", "to replace", "unchanged", "not valid"]
        } else {
            ["paired", "replaced", "unchanged", "rejected"]
        };
        let summary = [answer.created, answer.updated, answer.unchanged, answer.rejected].into_iter().zip(words);
        let summary = summary.filter(|(number, _)| *number > 0);
        let summary = summary.map(|(number, word)| format!("{} {word}", super::show::units(i64::try_from(number).unwrap_or(i64::MAX))));
        let noted = answer.results.into_iter().filter_map(|row| {
            Some(NotedRow {
                // The header is the first line.
                line: row.row + 2,
                note: note_of(&row)?,
                rejected: row.status == "rejected",
                external_id: row.external_id.unwrap_or_default(),
            })
        });
        let mut noted: Vec<NotedRow> = noted.collect();
        let more = noted.len().saturating_sub(MAX_SHOWN);
        noted.truncate(MAX_SHOWN);
        let changes = answer.created + answer.updated > 0;
        let offers_overwrite = answer.overwrite.is_some();
        Self { summary: summary.collect::<Vec<_>>().join(", "), only_preview, changes, noted, more, offers_overwrite }
    }
}

/// A file, and the text that could be pasted instead of it.
fn with_text(file: Vec<u8>) -> (Vec<u8>, String) {
    let text = match spreadsheet::pasteable(&file) {
        Ok(plain) => String::from_utf8_lossy(&plain).into_owned(),
        // A spreadsheet's own file is no text.
        Err(_) if spreadsheet::spreadsheet_file(&file).is_some() => String::new(),
        Err(_) => String::from_utf8_lossy(&file).into_owned(),
    };
    (file, text)
}

pub(super) async fn import_form(visit: SellerVisit, id: Path<StoreId>) -> PageAnswer {
    let id = id.into_inner();
    let store = visit.caller.db.read(move |t| t.store(id)).await?;
    visit.frame.page(&import_page(&visit.frame, &store))
}

/// *Preview* says what the valid rows of a file, or of the pasted text, would do; *Import* does it and lists the rejected ones.
pub(super) async fn import(mut posted: Posted<SellerVisit, WITH_FILE>, state: State, id: Path<StoreId>) -> PageAnswer {
    let (file, pasted) = (posted.fields.take_file("file"), posted.fields.take_file("rows"));
    let too_long = file.len().max(pasted.len()) > WITH_SKUS;
    // A file that has just been chosen has not been previewed, unless its page could not repeat it.
    let only_preview = posted.fields.text("do") != "import" || !(file.is_empty() || too_long);
    let (visit, id) = (&posted.visit, id.into_inner());
    let store = visit.caller.db.read(move |t| t.store(id)).await?;
    let mut page = import_page(&visit.frame, &store);
    page.too_long = too_long;
    let (rows, shown) = match (file.is_empty(), too_long) {
        (true, true) => (pasted, String::new()),
        (false, true) => (file, String::new()),
        (true, false) => {
            let shown = String::from_utf8_lossy(&pasted).into_owned();
            (pasted, shown)
        }
        (false, false) => state.bodies.parse(file.len(), move || Ok(with_text(file))).await?,
    };
    page.rows = shown;
    if rows.iter().all(u8::is_ascii_whitespace) {
        page.error = Some("Choose a file or paste rows.".to_owned());
        return visit.frame.rejected(&page);
    }
    match pair_csv(&visit.caller, &state, &store, rows, only_preview).await {
        Ok(answer) if answer.rejected == 0 && !only_preview => {
            let taken = count(i64::try_from(answer.results.len()).unwrap_or(i64::MAX), "row", "rows");
            let summary = Imported::new(answer, false).summary;
            Ok(go_saying(&format!("/console/stores/{id}"), &format!("{taken} imported: {summary}. {NEXT}")))
        }
        Ok(answer) => {
            page.result = Some(Imported::new(answer, only_preview));
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
    // Without the mark, spreadsheet programs take the file for one in another encoding.
    let mut writer = csv::Writer::from_writer("\u{feff}".as_bytes().to_vec());
    let not_written = |_| ApiError::unavailable("The file could not be written.");
    writer.write_record(["sku", "external_id", "units"].into_iter().chain(extra.iter().copied())).map_err(not_written)?;
    let mut after: Option<AfterListing> = None;
    loop {
        let from = after.clone();
        let page = visit.caller.db.read(move |t| t.search_listings(id, "", false, from.as_ref(), EXPORT_PAGE)).await?;
        for listing in &page {
            let own = extra.iter().map(|name| listing.extra.get(*name).map(String::as_str).unwrap_or_default());
            let units = listing.units.get().to_string();
            let cells = [listing.sku.as_str(), listing.external_id.as_str(), units.as_str()].into_iter().chain(own);
            writer.write_record(cells.map(spreadsheet::cell)).map_err(not_written)?;
        }
        match page.last() {
            Some(last) if page.len() >= usize::try_from(EXPORT_PAGE).unwrap_or(usize::MAX) => {
                after = Some(AfterListing { sku: last.sku.clone(), id: Some(last.id) })
            }
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
    creatable: usize,
    replacing: usize,
    /// Variants of which several have the same SKU, and others that may be paired beside those that are.
    duplicates: usize,
    groups: Vec<Group>,
    already: String,
    next: Option<String>,
    /// Listings do not show their targets.
    offers_overwrite: bool,
}

fn group(title: &'static str, explanation: &'static str, mut variants: Vec<Found>) -> Group {
    let total = count(i64::try_from(variants.len()).unwrap_or(i64::MAX), "variant", "variants");
    let more = variants.len().saturating_sub(MAX_SHOWN);
    variants.truncate(MAX_SHOWN);
    Group { title, explanation, variants, more, total }
}

impl Proposed {
    fn new(proposal: Proposal) -> Self {
        let (matched, creatable, replacing) = (proposal.matched.len(), proposal.creatable, proposal.replacing.len());
        let duplicates = proposal.ambiguous.len();
        let groups = vec![
            group("Ready to pair", "These SKUs match yours.", proposal.matched),
            group("Created anew", "These replace listings that the store doesn't have any more.", proposal.replacing),
            group("Duplicate SKUs", "Use a CSV import to choose which one to pair, or pair all of them.", proposal.ambiguous),
            group(
                "No matching SKU",
                "Create these SKUs, correct them in the store, or pair the variants by CSV import.",
                proposal.unmatched,
            ),
        ];
        Self {
            matched,
            creatable,
            replacing,
            duplicates,
            groups: groups.into_iter().filter(|group| !group.variants.is_empty()).collect(),
            already: count(i64::try_from(proposal.already_paired).unwrap_or(i64::MAX), "variant", "variants"),
            next: proposal.next_cursor,
            offers_overwrite: proposal.overwrite.is_some(),
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
    let create_skus = fields.text("do") == "create";
    let replace = fields.text("do") == "replace";
    let all_with_same_sku = fields.text("do") == "all";
    let pair = create_skus || replace || all_with_same_sku || fields.text("do") == "pair";
    let apply = Apply { pair, create_skus, replace, all_with_same_sku };
    let mut page = DiscoverPage {
        frame: &visit.frame,
        here: "stores",
        store: &store,
        error: None,
        result: None,
        cursor: cursor.clone().unwrap_or_default(),
    };
    match discover(&state.service, &visit.caller, id, cursor, apply).await.map_err(ApiError::from) {
        Ok(proposal) if apply.pair && proposal.next_cursor.is_none() => {
            let paired = count(i64::try_from(proposal.paired).unwrap_or(i64::MAX), "listing", "listings");
            Ok(go_saying(&format!("/console/stores/{id}"), &format!("{paired} paired. {NEXT}")))
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
