//! Why the listings of a SKU show what they show, and the history behind it.
use super::page::{Frame, PageAnswer};
use super::session::SellerVisit;
use super::show::{self, Badge, Stamp, change, query_value, units};
use crate::domain::names::shortened;
use crate::domain::{ListingId, Sku, StoreId};
use crate::http::error::ApiError;
use crate::http::explain::{cursor_of, read_cursor};
use crate::service::explain::{Explained, Happened, explain};
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

/// Events and pushes on a page.
const PAGE: i64 = 50;
/// The most characters of a note that are shown.
const MAX_NOTE: usize = 80;

struct ListingPart {
    store: String,
    store_id: String,
    pushed: bool,
    shown: Option<String>,
    shown_at: Option<Stamp>,
    target: String,
    text: String,
    sums: Vec<(&'static str, String)>,
}

impl ListingPart {
    fn new(frame: &Frame, Explained { stock, formula, sent, .. }: Explained) -> Self {
        let mut sums = Vec::new();
        if let (Some(set_to), Some(sum)) = (sent.set_to, sent.sum()) {
            sums.push(("Last overwrite", units(set_to)));
            sums.push(("Increases and decreases since", change(sent.increased_by)));
            sums.push(("Sum", units(sum)));
            sums.extend(sent.changed_in_store().map(|by| ("Changed by the store", change(by))));
            if sent.reported_sales > 0 {
                sums.push(("Reported sales", units(sent.reported_sales)));
            }
        }
        sums.push(("Pool", units(formula.pool)));
        sums.push(("Part of the pool", units(formula.target.part)));
        if !formula.units.is_one() {
            sums.push(("Units of each", units(formula.units.get())));
        }
        Self {
            text: sent.text(),
            pushed: stock.rules.is_pushed(),
            shown: stock.listing.shown.map(units),
            shown_at: frame.stamp_of(stock.listing.shown_at),
            target: units(stock.target.shown),
            store: stock.store.name,
            store_id: stock.store.id.to_string(),
            sums,
        }
    }
}

struct HistoryRow {
    at: Stamp,
    what: String,
    /// Of a push: its page and its state.
    push: Option<(String, Badge)>,
    under: Option<String>,
    available: Option<String>,
    /// What the only listing should have shown.
    target: Option<String>,
}

impl HistoryRow {
    fn new(frame: &Frame, happened: Happened, only: Option<ListingId>) -> Self {
        match happened {
            Happened::Push(push) => {
                let push = push.into_record();
                Self {
                    at: frame.stamp(push.created_at),
                    what: show::effect(push.kind, push.quantity),
                    push: Some((push.id.to_string(), show::push_state(push.state))),
                    under: push.reason.or(push.cause),
                    available: None,
                    target: None,
                }
            }
            Happened::Event { past, after, targets } => {
                let event = &past.event;
                let to = event.to_warehouse.as_ref().map(|to| format!(" → {to}")).unwrap_or_default();
                let note = event.note.as_deref().map(|note| shortened(note, MAX_NOTE));
                let known: Option<Vec<i64>> = after.values().copied().collect();
                let target = only.and_then(|id| targets.iter().find(|(listing, _)| *listing == id)).map(|(_, target)| units(*target));
                Self {
                    at: frame.stamp(past.accepted_at),
                    what: format!("{} {} ({}{to})", show::sentence_case(event.kind.as_str()), units(event.quantity), event.warehouse),
                    push: None,
                    under: past.in_count.reason(event).or(note),
                    available: known
                        .filter(|_| !past.in_count.in_components)
                        .map(|levels| units(levels.into_iter().fold(0, i64::saturating_add))),
                    target,
                }
            }
        }
    }
}

#[derive(Template)]
#[template(path = "explain.html")]
struct ExplainPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    sku: String,
    sku_query: String,
    /// The part of an address that keeps the page to its store.
    of_store: String,
    store: Option<String>,
    listings: Vec<ListingPart>,
    omitted: usize,
    rows: Vec<HistoryRow>,
    has_target: bool,
    next: Option<String>,
    first: bool,
}

#[derive(Deserialize)]
pub(super) struct ExplainQuery {
    sku: Option<String>,
    store: Option<String>,
    after: Option<String>,
}

pub(super) async fn page(visit: SellerVisit, query: Query<ExplainQuery>) -> PageAnswer {
    let sku = Sku::parse(query.sku.as_deref().unwrap_or_default()).map_err(|_| ApiError::not_found("SKU"))?;
    let store: Option<StoreId> = match query.store.as_deref().filter(|id| !id.is_empty()) {
        Some(id) => Some(id.parse().map_err(|_| ApiError::not_found("store"))?),
        None => None,
    };
    let before = read_cursor(query.after.as_deref()).map_err(|_| ApiError::not_found("page"))?;
    let found = explain(&visit.caller, sku.clone(), store, before, PAGE).await?;
    let frame = &visit.frame;
    let only = match found.listings.as_slice() {
        [only] if found.listings_omitted == 0 => Some(only.stock.listing.id),
        _ => None,
    };
    let sku_query = query_value(sku.as_str());
    let of_store = store.map(|id| format!("&store={id}")).unwrap_or_default();
    let next = found.next.as_ref().map(cursor_of);
    frame.page(&ExplainPage {
        frame,
        here: "stock",
        next: next.map(|cursor| format!("/console/stock/explain?sku={sku_query}{of_store}&after={cursor}")),
        first: query.after.is_none(),
        store: store.and_then(|_| found.listings.first()).map(|listing| listing.stock.store.name.clone()),
        omitted: found.listings_omitted,
        listings: found.listings.into_iter().map(|listing| ListingPart::new(frame, listing)).collect(),
        rows: found.history.into_iter().map(|happened| HistoryRow::new(frame, happened, only)).collect(),
        has_target: only.is_some(),
        sku: sku.to_string(),
        sku_query,
        of_store,
    })
}
