//! The stock of a SKU: what is available, what each of its listings should show, and the last push to each listing.
use super::auth::Caller;
use super::error::{ApiError, Problem};
use super::pushes::PushAnswer;
use super::request::query;
use super::state::Answer;
use crate::db::stock::{ComponentStock, ListingStock};
use crate::domain::allocation::Share;
use crate::domain::bundle::{self, Stock};
use crate::domain::{ListingId, Sku, StoreId, Timestamp};
use crate::service::shares::percent;
use actix_web::{HttpRequest, HttpResponse, get};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The stock of one SKU.
#[derive(Serialize, utoipa::ToSchema)]
struct StockAnswer {
    sku: String,
    name: Option<String>,
    /// Units by warehouse; below 0 if more was sold than was in stock. Of a bundle, those for which one warehouse has all components.
    available: BTreeMap<String, i64>,
    /// Units in all warehouses together: of a bundle, what its scarcest component allows.
    total_available: i64,
    /// What it is made of, if it is a bundle.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<ComponentAnswer>,
    /// The bundles that it is a component of.
    part_of: Vec<String>,
    listings: Vec<ListingStockAnswer>,
}

/// A component of a bundle, and what there is of it.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct ComponentAnswer {
    sku: String,
    /// How many units of it one bundle takes.
    quantity: i64,
    /// Units by warehouse.
    available: BTreeMap<String, i64>,
    /// Units in all warehouses.
    total_available: i64,
    /// How many bundles these are enough for.
    enough_for: i64,
    /// The other bundles that it is a component of.
    shared_with: Vec<String>,
}

impl From<ComponentStock> for ComponentAnswer {
    fn from(ComponentStock { component, levels, shared_with }: ComponentStock) -> Self {
        let total_available = Stock::Own(&levels).within(None);
        Self {
            sku: component.sku.to_string(),
            quantity: component.quantity.get(),
            available: levels.iter().map(|(code, level)| (code.to_string(), *level)).collect(),
            total_available,
            enough_for: bundle::available([(total_available, component.quantity)]),
            shared_with,
        }
    }
}

/// A listing and the numbers that determine its target.
#[derive(Serialize, utoipa::ToSchema)]
struct ListingStockAnswer {
    listing: ListingId,
    store_id: StoreId,
    store: String,
    external_id: String,
    /// How many units of the SKU one of the listing is.
    units: i64,
    /// The quantity it should show.
    target: i64,
    /// The last known quantity it showed.
    shown: Option<i64>,
    shown_at: Option<Timestamp>,
    /// Whether it is synchronized: it has a share and is not switched off.
    pushed: bool,
    /// Units available in the warehouses that its store ships from, minus the buffer.
    pool: i64,
    buffer: i64,
    #[serde(serialize_with = "percent")]
    share_percent: Option<f64>,
    /// Below this many units of the SKU the target is 0.
    threshold: Option<i64>,
    /// The most units of the SKU that the target may be; what is shown may be more or less after sales.
    max_shown: Option<i64>,
    last_push: Option<PushAnswer>,
    last_confirmed: Option<PushAnswer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StockQuery {
    sku: Option<String>,
}

/// Returns the available units of a SKU by warehouse, and its listings.
#[utoipa::path(tag = "stock", security(("seller_key" = [])), params(("sku" = String, Query)),
    responses((status = 200, body = StockAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[get("/v1/stock")]
pub async fn get_stock(caller: Caller, request: HttpRequest) -> Answer {
    let params: StockQuery = query(&request)?;
    let sku = params.sku.ok_or_else(|| ApiError::field("/sku", "is required, as in stock?sku=…"))?;
    let sku = Sku::parse(&sku).map_err(|e| ApiError::field("/sku", e))?;
    let wanted = sku.clone();
    let stock = caller.db.read(move |t| t.stock(&wanted)).await?;
    let pools: Vec<i64> = stock.listings.iter().map(|listing| listing.rules.pool(&stock.stock())).collect();
    let total_available = stock.stock().within(None);
    let listing = |(l, pool): (ListingStock, i64)| ListingStockAnswer {
        listing: l.listing.id,
        store_id: l.store.id,
        store: l.store.name,
        external_id: l.listing.external_id,
        units: l.listing.units.get(),
        target: l.target.shown,
        shown: l.listing.shown,
        shown_at: l.listing.shown_at,
        pushed: l.rules.is_pushed(),
        pool,
        buffer: l.rules.buffer,
        share_percent: l.rules.share.map(Share::percent),
        threshold: l.rules.threshold,
        max_shown: l.rules.max_shown,
        last_push: l.last_push.map(PushAnswer::from),
        last_confirmed: l.last_confirmed.map(PushAnswer::from),
    };
    let listings = stock.listings.into_iter().zip(pools).map(listing).collect();
    Ok(HttpResponse::Ok().json(StockAnswer {
        sku: sku.to_string(),
        name: stock.name,
        total_available,
        components: stock.components.into_iter().map(ComponentAnswer::from).collect(),
        part_of: stock.part_of,
        available: stock.levels.iter().map(|(code, level)| (code.to_string(), *level)).collect(),
        listings,
    }))
}
