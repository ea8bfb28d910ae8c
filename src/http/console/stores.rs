//! Stores: the list, and one store with its listings. Pauses, tests and removes stores, and unpairs listings.
use super::components::{StoreFigures, StoreRow, circuits_since, own_rules_text};
use super::connect::connectable;
use super::form::Posted;
use super::page::{Frame, PageAnswer, go_saying, go_warning};
use super::session::SellerVisit;
use super::show::{Stamp, count, query_value, units, units_each};
use crate::db;
use crate::db::listings::{AfterListing, Listing};
use crate::domain::grant::ends_soon;
use crate::domain::{ListingId, StoreId};
use crate::http::error::ApiError;
use crate::http::state::State;
use crate::service::stores::{self, StoreChange, StoreState};
use crate::service::{self, Caller, listings, rehearsal};
use actix_web::http::StatusCode;
use actix_web::web::{Path, Query};
use askama::Template;
use serde::Deserialize;
use std::collections::HashMap;

/// Listings per page.
const PAGE: usize = 50;
/// The query limit: one extra row shows that there is another page.
const PAGE_AND_ONE: i64 = 51;

#[derive(Template)]
#[template(path = "stores.html")]
struct StoresPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    stores: Vec<StoreRow>,
}

pub(super) async fn list(visit: SellerVisit) -> PageAnswer {
    let stores = StoreRow::all(&visit).await?;
    visit.frame.page(&StoresPage { frame: &visit.frame, here: "stores", stores })
}

struct ListingRow {
    id: String,
    sku: String,
    sku_query: String,
    external_id: String,
    /// How many units of the SKU one of it is, if that is not 1.
    units: Option<String>,
    /// "One of 2 listings of this SKU".
    siblings: Option<String>,
    target: Option<String>,
    shown: Option<String>,
    differs: bool,
    shown_at: Option<Stamp>,
}

impl ListingRow {
    fn new(frame: &Frame, listing: Listing, target: Option<i64>, of_sku: i64) -> Self {
        Self {
            siblings: (of_sku > 1).then(|| format!("one of {} listings of this SKU", units(of_sku))),
            target: target.map(units),
            differs: target.zip(listing.shown).is_some_and(|(target, shown)| target != shown),
            id: listing.id.to_string(),
            sku_query: query_value(&listing.sku),
            sku: listing.sku,
            external_id: listing.external_id,
            units: units_each(listing.units),
            shown: listing.shown.map(units),
            shown_at: frame.stamp_of(listing.shown_at),
        }
    }
}

#[derive(Template)]
#[template(path = "store.html")]
struct StorePage<'a> {
    frame: &'a Frame,
    here: &'static str,
    store: StoreRow,
    address: Option<String>,
    warehouses: String,
    paused: bool,
    rehearsal: bool,
    needs_credentials: bool,
    /// The platform on whose consent page the store can be authorized again.
    authorizes_at: Option<String>,
    /// When its tokens end, if that is soon.
    ends: Option<Stamp>,
    added: Stamp,
    /// "2 SKUs have rules of their own".
    own_rules: Option<String>,
    /// What its overwrites do about sales that nobody has reported yet.
    unseen_sales: &'static str,
    /// Only those are listed.
    only_own_rules: bool,
    search: String,
    listings: Vec<ListingRow>,
    /// Several of them show the same SKU.
    has_siblings: bool,
    next: Option<String>,
    first: bool,
}

#[derive(Deserialize)]
pub(super) struct ListingsQuery {
    search: Option<String>,
    own_rules: Option<String>,
    after: Option<String>,
    /// Of several listings of the SKU `after`, the last one.
    after_id: Option<String>,
}

pub(super) async fn one(visit: SellerVisit, state: State, id: Path<StoreId>, query: Query<ListingsQuery>) -> PageAnswer {
    let id = id.into_inner();
    let search = query.search.as_deref().unwrap_or_default().trim().to_owned();
    let after_id = query.after_id.as_deref().and_then(|id| id.parse().ok());
    let (text, after) = (search.clone(), query.after.clone().map(|sku| AfterListing { sku, id: after_id }));
    let since = circuits_since(&visit.frame);
    let only_own_rules = query.own_rules.is_some();
    let (store, mut found, figures, targets, own_rules, (grant, of_sku)) = visit
        .caller
        .db
        .read(move |t| {
            let store = t.store(id)?;
            let found = t.search_listings(id, &text, only_own_rules, after.as_ref(), PAGE_AND_ONE)?;
            let targets = t.targets_of(&found.iter().map(|listing| listing.id).collect::<Vec<_>>())?;
            let figures = StoreFigures::read(t, std::slice::from_ref(&store), since)?;
            let own_rules = t.own_rules()?.get(&id).copied();
            let skus: Vec<String> = found.iter().map(|listing| listing.sku.clone()).collect();
            let of_sku = if store.repeats_skus { t.listing_counts(id, &skus)? } else { HashMap::new() };
            Ok((store, found, figures, targets, own_rules, (t.grant(id)?, of_sku)))
        })
        .await?;
    let next_sku = found.get(PAGE).map(|listing| listing.sku.clone());
    found.truncate(PAGE);
    let last = found.last().zip(next_sku).map(|(listing, next)| {
        let id = if listing.sku == next { format!("&after_id={}", listing.id) } else { String::new() };
        format!("{}{id}", query_value(&listing.sku))
    });
    let frame = &visit.frame;
    let needs_credentials = stores::state_of(&store, frame.now) == StoreState::NeedsReauthorisation;
    let ends_at = grant.ends_at.filter(|ends_at| ends_soon(Some(*ends_at), frame.now));
    let can_authorize =
        (needs_credentials || ends_at.is_some()) && connectable(&state).await?.0.iter().any(|(platform, _)| *platform == store.platform);
    let authorizes_at = can_authorize.then(|| store.platform.clone());
    frame.page(&StorePage {
        frame,
        here: "stores",
        address: store.base_url.clone(),
        warehouses: store
            .warehouses
            .as_ref()
            .map_or_else(|| "All warehouses".to_owned(), |codes| codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        paused: store.paused,
        rehearsal: store.rehearsal,
        needs_credentials,
        authorizes_at,
        ends: ends_at.map(|ends_at| frame.day(ends_at)),
        added: frame.day(store.created_at),
        store: figures.row(frame, &store),
        own_rules: own_rules.map(own_rules_text),
        unseen_sales: match (store.protect_unseen_sales, store.sales_named_at) {
            (false, _) => "put back on sale by overwrites",
            (true, None) => "left out by overwrites, once a stock event names this store",
            (true, Some(_)) => "left out by overwrites",
        },
        only_own_rules,
        next: last.map(|after| {
            let own = if only_own_rules { "&own_rules=on" } else { "" };
            format!("/console/stores/{id}?search={}{own}&after={after}", query_value(&search))
        }),
        first: query.after.is_none(),
        search,
        has_siblings: of_sku.values().any(|listings| *listings > 1),
        listings: found
            .into_iter()
            .map(|listing| {
                let (target, of_sku) = (targets.get(&listing.id).copied().flatten(), of_sku.get(&listing.sku).copied().unwrap_or(1));
                ListingRow::new(frame, listing, target, of_sku)
            })
            .collect(),
    })
}

fn address_of(id: StoreId) -> String {
    format!("/console/stores/{id}")
}

/// The result of a check; that the shop is connected already is a reason like any other here.
pub(super) async fn checked(state: &State, caller: &Caller, id: StoreId) -> Result<stores::Checked, ApiError> {
    match stores::check(&state.service, caller, id).await.map_err(ApiError::from) {
        Err(error) if actix_web::ResponseError::status_code(&error) == StatusCode::CONFLICT => {
            Ok(stores::Checked { reason: Some(error.detail().to_owned()), note: None })
        }
        checked => checked,
    }
}

/// *Test connection*.
pub(super) async fn check(posted: Posted<SellerVisit>, state: State, id: Path<StoreId>) -> PageAnswer {
    let id = id.into_inner();
    let stores::Checked { reason, note } = checked(&state, &posted.visit.caller, id).await?;
    Ok(match reason {
        None => {
            let note = note.map(|note| format!(" {note}")).unwrap_or_default();
            go_saying(&address_of(id), &format!("{WORKS}{note}"))
        }
        Some(reason) => go_warning(&address_of(id), &does_not_work(&reason)),
    })
}

/// The notice after a successful connection test.
pub(super) const WORKS: &str = "The connection works.";

/// The notice after a failed connection test.
pub(super) fn does_not_work(reason: &str) -> String {
    format!("The connection does not work. {reason}")
}

/// Pauses or resumes a store.
pub(super) async fn pause(posted: Posted<SellerVisit>, state: State, id: Path<StoreId>) -> PageAnswer {
    let id = id.into_inner();
    let paused = posted.fields.text("paused") == "on";
    let change = StoreChange { paused: Some(paused), ..StoreChange::default() };
    let store = stores::change(&state.service, &posted.visit.caller, id, change).await?;
    let notice = if paused {
        format!("{} is paused. Updates are held until you resume it.", store.name)
    } else {
        format!("{} is resumed. Pending updates will now be sent.", store.name)
    };
    Ok(go_saying(&address_of(id), &notice))
}

/// Ends the rehearsal of a store.
pub(super) async fn go_live(posted: Posted<SellerVisit>, state: State, id: Path<StoreId>) -> PageAnswer {
    let (id, overwrite) = (id.into_inner(), posted.fields.has("overwrite"));
    match rehearsal::go_live(&state.service, &posted.visit.caller, id, overwrite).await {
        Ok((store, None)) => Ok(go_saying(&address_of(id), &format!("{} is live. Increases are sent to it from now on.", store.name))),
        Ok((store, Some(run))) => {
            let notice = format!("{} is live. Its listings are being overwritten.", store.name);
            Ok(go_saying(&format!("/console/records/runs/{}", run.id), &notice))
        }
        Err(service::Error::Rows(db::Error::Conflict(why))) => Ok(go_warning(&address_of(id), &why)),
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    store: String,
    question: String,
    consequences: Vec<String>,
    action: String,
    button: &'static str,
    back: String,
}

/// Asks for confirmation before a store is removed.
pub(super) async fn delete_page(visit: SellerVisit, id: Path<StoreId>) -> PageAnswer {
    let id = id.into_inner();
    let (store, loads) = visit.caller.db.read(move |t| Ok((t.store(id)?, t.store_loads()?))).await?;
    let load = loads.get(&id).copied().unwrap_or_default();
    visit.frame.page(&ConfirmPage {
        frame: &visit.frame,
        here: "stores",
        question: format!("Remove {}?", store.name),
        store: store.name.clone(),
        consequences: vec![
            format!("{} and the rules of this store will be deleted.", count(load.listings, "pairing", "pairings")),
            match load.waiting + load.held {
                0 => "There are no pending updates.".to_owned(),
                pending => format!("{} will be canceled.", count(pending, "pending update", "pending updates")),
            },
            "The store keeps its current quantities, and nothing more is sent to it. This cannot be undone.".to_owned(),
        ],
        action: format!("/console/stores/{id}/delete"),
        button: "Remove store",
        back: address_of(id),
    })
}

pub(super) async fn delete(posted: Posted<SellerVisit>, state: State, id: Path<StoreId>) -> PageAnswer {
    stores::delete(&state.service, &posted.visit.caller, id.into_inner()).await?;
    Ok(go_saying("/console/stores", "The store is removed."))
}

/// Asks for confirmation before a listing is unpaired.
pub(super) async fn unpair_page(visit: SellerVisit, path: Path<(StoreId, ListingId)>) -> PageAnswer {
    let (store, id) = path.into_inner();
    let (listing, store_row) = visit.caller.db.read(move |t| Ok((t.listing(store, id)?, t.store(store)?))).await?;
    visit.frame.page(&ConfirmPage {
        frame: &visit.frame,
        here: "stores",
        question: format!("Unpair {}?", listing.sku),
        store: store_row.name,
        consequences: vec![
            format!("Listing {} keeps its current quantity and is no longer updated.", listing.external_id),
            "Its pending updates are canceled. You can pair it again at any time.".to_owned(),
        ],
        action: format!("/console/stores/{store}/listings/{id}/unpair"),
        button: "Unpair",
        back: address_of(store),
    })
}

pub(super) async fn unpair(posted: Posted<SellerVisit>, state: State, path: Path<(StoreId, ListingId)>) -> PageAnswer {
    let (store, id) = path.into_inner();
    listings::unpair(&state.service, &posted.visit.caller, store, id).await?;
    Ok(go_saying(&address_of(store), "The listing is unpaired."))
}
