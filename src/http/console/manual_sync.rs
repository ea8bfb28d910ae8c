//! Manual sync: choose stores and SKUs, preview what would be sent, send it.
use super::form::{Fields, Posted, WITH_SKUS};
use super::page::{FormErrors, Frame, PageAnswer, field_errors, go_saying, go_warning};
use super::session::SellerVisit;
use super::show::{self, Stamp, count, query_value, units};
use crate::db::stores::Store;
use crate::domain::allocation::DecidedBy;
use crate::domain::limits::MAX_STORES;
use crate::domain::names::shortened;
use crate::domain::unseen;
use crate::domain::{Sku, StoreId};
use crate::http::error::ApiError;
use crate::http::state::State;
use crate::service;
use crate::service::preview::{Preview, PreviewItem, ShownFrom, preview};
use crate::service::syncs::{self, Wanted};
use askama::Template;

/// Listings shown in the preview; all are counted.
const MAX_SHOWN: usize = 200;

struct StoreBox {
    id: String,
    name: String,
    ticked: bool,
}

#[derive(Template)]
#[template(path = "manual_sync.html")]
struct ManualPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    stores: Vec<StoreBox>,
    skus: String,
    skus_error: Option<String>,
    errors: Vec<String>,
}

/// What the seller chose, valid or not.
struct Selection {
    stores: Vec<StoreId>,
    skus: String,
}

impl Selection {
    /// An invalid store id is an error: ignoring it could leave no store, which means all stores.
    fn read(fields: &Fields) -> Result<Self, ApiError> {
        let stores = fields.all("store").map(|id| id.parse().map_err(|_| ApiError::not_found("store")));
        Ok(Self { stores: stores.collect::<Result<_, _>>()?, skus: fields.text("skus").to_owned() })
    }

    fn sku_list(&self) -> Vec<String> {
        let mut skus: Vec<String> = self.skus.lines().map(str::trim).filter(|sku| !sku.is_empty()).map(str::to_owned).collect();
        skus.dedup();
        skus
    }

    fn new_sync(&self) -> Wanted {
        let skus = self.sku_list();
        Wanted { store_ids: Some(self.stores.clone()).filter(|ids| !ids.is_empty()), skus: Some(skus).filter(|skus| !skus.is_empty()) }
    }

    fn page<'a>(&self, frame: &'a Frame, stores: &[Store], errors: &FormErrors) -> ManualPage<'a> {
        // The API points to a SKU by its index; the seller needs the SKU itself.
        let skus = self.sku_list();
        let name = |error: &crate::domain::FieldError| {
            let index: Option<usize> = error.pointer.strip_prefix("/skus/").and_then(|index| index.parse().ok());
            index.and_then(|index| skus.get(index)).map(|sku| format!("{}: {}.", shortened(sku, Sku::MAX_CHARS), error.detail))
        };
        let unknown: Vec<String> = errors.0.iter().filter_map(name).collect();
        ManualPage {
            frame,
            here: "manual-sync",
            stores: stores
                .iter()
                .map(|store| StoreBox { id: store.id.to_string(), name: store.name.clone(), ticked: self.stores.contains(&store.id) })
                .collect(),
            skus: self.skus.clone(),
            skus_error: (!unknown.is_empty()).then(|| unknown.join(" ")).or_else(|| errors.at("/skus")),
            errors: errors.elsewhere(&["/skus"]),
        }
    }
}

async fn stores(visit: &SellerVisit) -> Result<Vec<Store>, crate::db::Error> {
    visit.caller.db.read(|t| t.stores(None, MAX_STORES)).await
}

pub(super) async fn page(visit: SellerVisit) -> PageAnswer {
    let stores = stores(&visit).await?;
    visit.frame.page(&Selection { stores: Vec::new(), skus: String::new() }.page(&visit.frame, &stores, &FormErrors::default()))
}

struct PreviewRow {
    sku: String,
    sku_query: String,
    store: String,
    shown: Option<String>,
    from: &'static str,
    shown_at: Option<Stamp>,
    quantity: String,
    /// How that came about, if unseen sales are left out.
    unseen: Option<String>,
    /// The rule by which it differs from what the store's other listings show.
    decided_by: Option<&'static str>,
    change: Option<String>,
    to_zero: bool,
    same: bool,
}

impl PreviewRow {
    fn new(frame: &Frame, item: PreviewItem) -> Self {
        Self {
            to_zero: item.goes_to_zero(),
            same: item.change == Some(0),
            sku_query: query_value(&item.sku),
            sku: item.sku,
            store: item.store,
            shown: item.shown.map(units),
            from: match item.shown_from {
                ShownFrom::Platform => "current",
                ShownFrom::LastKnown => "last known",
                ShownFrom::Unknown => "unknown",
            },
            shown_at: item.shown_at.filter(|_| item.shown_from == ShownFrom::LastKnown).map(|at| frame.stamp(at)),
            unseen: item.unseen.and_then(|unseen| unseen::text(item.quantity, unseen)),
            quantity: units(item.quantity),
            decided_by: match item.decided_by {
                DecidedBy::Listing => Some("by a rule of this SKU in this store"),
                DecidedBy::Sku => Some("by a rule of this SKU"),
                DecidedBy::Store | DecidedBy::Seller => None,
            },
            change: item.change.map(show::change),
        }
    }
}

#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    selection: &'a Selection,
    total: usize,
    total_text: String,
    changing: String,
    unchanged: String,
    unknown: Option<String>,
    to_zero: Option<String>,
    left_out: Option<String>,
    not_asked: Vec<String>,
    lines: Vec<PreviewRow>,
    more: Option<String>,
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl<'a> PreviewPage<'a> {
    fn new(frame: &'a Frame, selection: &'a Selection, preview: Preview) -> Self {
        let shown = preview.items.len().min(MAX_SHOWN);
        Self {
            frame,
            here: "manual-sync",
            selection,
            total: preview.total,
            total_text: count(number(preview.total), "listing", "listings"),
            changing: units(number(preview.total.saturating_sub(preview.unchanged + preview.unknown))),
            unchanged: units(number(preview.unchanged)),
            unknown: (preview.unknown > 0).then(|| units(number(preview.unknown))),
            to_zero: (preview.to_zero > 0).then(|| count(number(preview.to_zero), "listing", "listings")),
            left_out: (preview.left_out > 0).then(|| count(number(preview.left_out), "listing", "listings")),
            not_asked: preview.not_asked.into_iter().map(|store| format!("{}: {}", store.store, store.reason)).collect(),
            lines: preview.items.into_iter().take(MAX_SHOWN).map(|item| PreviewRow::new(frame, item)).collect(),
            more: (preview.total > shown).then(|| units(number(preview.total - shown))),
        }
    }
}

/// *Preview*.
pub(super) async fn preview_page(posted: Posted<SellerVisit, WITH_SKUS>, state: State) -> PageAnswer {
    let (visit, selection) = (&posted.visit, Selection::read(&posted.fields)?);
    let filter = match field_errors(syncs::checked(&visit.caller, selection.new_sync()).await)? {
        Ok(filter) => filter,
        Err(errors) => return visit.frame.rejected(&selection.page(&visit.frame, &stores(visit).await?, &errors)),
    };
    let preview = preview(&state.service, &visit.caller, filter).await?;
    visit.frame.page(&PreviewPage::new(&visit.frame, &selection, preview))
}

/// *Overwrite now*.
pub(super) async fn overwrite(posted: Posted<SellerVisit, WITH_SKUS>, state: State) -> PageAnswer {
    let (visit, selection) = (&posted.visit, Selection::read(&posted.fields)?);
    let filter = match field_errors(syncs::checked(&visit.caller, selection.new_sync()).await)? {
        Ok(filter) => filter,
        Err(errors) => return visit.frame.rejected(&selection.page(&visit.frame, &stores(visit).await?, &errors)),
    };
    let run = match syncs::start(&state.service, &visit.caller, filter).await {
        Err(service::Error::Rows(crate::db::Error::Conflict(why))) => return Ok(go_warning("/console/manual-sync", &why)),
        run => run?,
    };
    Ok(go_saying(&format!("/console/records/runs/{}", run.id), "The overwrite has started."))
}
