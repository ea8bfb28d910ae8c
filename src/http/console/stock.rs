//! Stock: a search for SKUs, and one SKU with its stock, the target and shown quantity of each listing, and the
//! calculation of each target.
use super::bundle::{ComponentRow, links};
use super::field::Field;
use super::page::{Frame, PageAnswer};
use super::pauses::PauseLine;
use super::session::SellerVisit;
use super::show::{self, Badge, Stamp, query_value, units, units_each};
use crate::db::pauses::Subject;
use crate::db::skus::SkuSummary;
use crate::db::stock::ListingStock;
use crate::domain::Sku;
use crate::domain::allocation::{AllocationMode, ListingRules, Share, Target};
use crate::domain::bundle::Stock;
use crate::domain::push::Push;
use crate::http::error::ApiError;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

/// SKUs per page.
const PAGE: usize = 50;
/// The query limit: one extra row shows that there is another page.
const PAGE_AND_ONE: i64 = 51;

struct SkuRow {
    sku: String,
    query: String,
    name: Option<String>,
    available: String,
    negative: bool,
    is_bundle: bool,
    listings: i64,
}

#[derive(Template)]
#[template(path = "stock.html")]
struct StockPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    search: String,
    skus: Vec<SkuRow>,
    next: Option<String>,
    first: bool,
}

#[derive(Deserialize)]
pub(super) struct SearchQuery {
    search: Option<String>,
    after: Option<String>,
}

pub(super) async fn search(visit: SellerVisit, query: Query<SearchQuery>) -> PageAnswer {
    let search = query.search.as_deref().unwrap_or_default().trim().to_owned();
    let (text, after) = (search.clone(), query.after.clone());
    let mut found = visit.caller.db.read(move |t| t.search_skus(&text, after.as_deref(), PAGE_AND_ONE)).await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let last = found.last().filter(|_| more).map(|sku| query_value(&sku.sku));
    let line = |sku: SkuSummary| SkuRow {
        query: query_value(&sku.sku),
        sku: sku.sku,
        name: sku.name,
        available: units(sku.available),
        negative: sku.available < 0,
        is_bundle: sku.is_bundle,
        listings: sku.listings,
    };
    visit.frame.page(&StockPage {
        frame: &visit.frame,
        here: "stock",
        next: last.map(|after| format!("/console/stock?search={}&after={after}", query_value(&search))),
        first: query.after.is_none(),
        skus: found.into_iter().map(line).collect(),
        search,
    })
}

struct LastPush {
    id: String,
    effect: String,
    state: Badge,
    at: Stamp,
}

impl LastPush {
    fn new(frame: &Frame, push: Push) -> Self {
        Self {
            id: push.id().to_string(),
            effect: show::effect(push.kind(), push.quantity()),
            state: show::push_state(push.state()),
            at: frame.stamp(push.updated_at()),
        }
    }
}

struct ListingRow {
    store: String,
    store_id: String,
    external_id: String,
    /// How many units of the SKU one of it is, if that is not 1.
    units: Option<String>,
    pushed: bool,
    target: String,
    shown: Option<String>,
    differs: bool,
    shown_at: Option<Stamp>,
    formula: String,
    last_push: Option<LastPush>,
}

#[derive(Template)]
#[template(path = "sku.html")]
struct SkuPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    sku: String,
    name: Option<String>,
    total: String,
    levels: Vec<(String, String)>,
    /// What it is made of, if it is a bundle.
    components: Vec<ComponentRow>,
    /// The bundles that it is a component of.
    part_of: Vec<(String, String)>,
    listings: Vec<ListingRow>,
    exclusive: bool,
    /// A listing has a maximum.
    has_maximum: bool,
    /// A store has several of them.
    has_siblings: bool,
    pause: Option<PauseLine>,
    /// There is such a SKU.
    known: bool,
    reason: Field,
}

#[derive(Deserialize)]
pub(super) struct SkuQuery {
    sku: Option<String>,
}

pub(super) async fn one(visit: SellerVisit, query: Query<SkuQuery>) -> PageAnswer {
    let sku = Sku::parse(query.sku.as_deref().unwrap_or_default()).map_err(|_| ApiError::not_found("SKU"))?;
    let wanted = sku.clone();
    let read = visit.caller.db.read(move |t| {
        let pause = t.pause_of(&Subject::Sku(wanted.to_string()))?;
        let known = t.sku_names(&[wanted.as_str()])?.contains_key(wanted.as_str());
        Ok((t.stock(&wanted)?, t.sync_settings()?.allocation_mode, pause, known))
    });
    let (stock, mode, pause, known) = read.await?;
    let frame = &visit.frame;
    let stores = stock.listings.chunk_by(|a, b| a.store.id == b.store.id).filter_map(|of_store| of_store.first());
    let shares: Vec<Share> = stores.filter_map(|listing| listing.rules.share).collect();
    let (formulas, total): (Vec<String>, i64) = {
        let of = stock.stock();
        let formula = |listing: &ListingStock| formula(mode, &of, &listing.rules, &shares, listing.target);
        (stock.listings.iter().map(formula).collect(), of.within(None))
    };
    let row = |(listing, formula): (ListingStock, String)| ListingRow {
        formula,
        pushed: listing.rules.is_pushed(),
        target: units(listing.target.shown),
        differs: listing.rules.is_pushed() && listing.listing.shown.is_some_and(|shown| shown != listing.target.shown),
        shown: listing.listing.shown.map(units),
        shown_at: frame.stamp_of(listing.listing.shown_at),
        store: listing.store.name,
        store_id: listing.store.id.to_string(),
        external_id: listing.listing.external_id,
        units: units_each(listing.listing.units),
        last_push: listing.last_push.map(|push| LastPush::new(frame, push)),
    };
    frame.page(&SkuPage {
        frame,
        here: "stock",
        pause: pause.map(|pause| PauseLine::new(frame, pause.into(), &[])),
        known,
        reason: Field::new("reason", "Reason", "text").optional(),
        sku: sku.to_string(),
        name: stock.name,
        total: units(total),
        levels: stock.levels.iter().map(|(code, level)| (code.to_string(), units(*level))).collect(),
        components: stock.components.into_iter().map(ComponentRow::from).collect(),
        part_of: links(stock.part_of),
        has_siblings: stock.listings.windows(2).any(|two| two.first().map(|a| a.store.id) == two.last().map(|b| b.store.id)),
        has_maximum: stock.listings.iter().any(|listing| listing.rules.max_shown.is_some()),
        listings: stock.listings.into_iter().zip(formulas).map(row).collect(),
        exclusive: mode == AllocationMode::Exclusive,
    })
}

/// The calculation of a target: "available 42 − buffer 2 = 40, × 30% = 12".
///
/// `shares` are those of all stores that list the SKU.
fn formula(mode: AllocationMode, stock: &Stock<'_>, rules: &ListingRules, shares: &[Share], target: Target) -> String {
    if !rules.sync_enabled {
        return "Not updated: synchronization is off.".to_owned();
    }
    let Some(share) = rules.share else { return "Not updated: this listing has no share.".to_owned() };
    let (pool, levels) = (rules.pool(stock), stock.by_warehouse());
    let sources: Vec<_> = levels.iter().filter(|(code, _)| rules.warehouses.as_ref().is_none_or(|codes| codes.contains(code))).collect();
    let available = stock.within(rules.warehouses.as_deref());
    let from = match (sources.as_slice(), levels.len()) {
        ([(code, _)], 2..) => format!(" in {code}"),
        (_, all) if sources.len() < all => format!(" in {} of {all} warehouses", sources.len()),
        _ => String::new(),
    };
    let mut text = format!("available {}{from}", units(available));
    if rules.buffer != 0 {
        text.push_str(&format!(" − buffer {}", units(rules.buffer)));
    }
    if available.saturating_sub(rules.buffer) < 0 {
        text.push_str(", at least 0");
    }
    if rules.buffer != 0 || available < 0 {
        text.push_str(&format!(" = {}", units(pool)));
    }
    match mode {
        AllocationMode::Shared => text.push_str(&format!(", × {}", show::percent(share.percent()))),
        AllocationMode::Exclusive => {
            let parts: Vec<String> = shares.iter().map(|share| show::percent(share.percent())).collect();
            text.push_str(&format!(", divided {}, this store {}", parts.join(" : "), show::percent(share.percent())));
        }
    }
    text.push_str(&format!(" = {}", units(target.part)));
    if let Some(threshold) = rules.threshold.filter(|threshold| target.part < *threshold) {
        text.push_str(&format!(", below the threshold {} = 0", units(threshold)));
    } else if let Some(max) = rules.max_shown.filter(|max| target.part > *max) {
        text.push_str(&format!(", at most {} = {}", units(max), units(max)));
    }
    if !rules.units.is_one() {
        text.push_str(&format!(", {} units in each = {}", units(rules.units.get()), units(target.shown)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::WarehouseCode;
    use crate::domain::allocation::targets;
    use crate::domain::stock::Levels;
    use crate::domain::units::UnitsEach;

    fn rules(share: i64) -> ListingRules {
        ListingRules {
            store_id: crate::domain::StoreId::new(crate::domain::Timestamp::default()),
            share: Share::from_hundredths(share),
            buffer: 2,
            threshold: None,
            max_shown: None,
            sync_enabled: true,
            warehouses: None,
            units: UnitsEach::ONE,
        }
    }
    fn explained(mode: AllocationMode, available: i64, rules: &ListingRules) -> String {
        let levels = Levels::from([(WarehouseCode::main(), available)]);
        let target = targets(mode, &levels, std::slice::from_ref(rules))[0];
        formula(mode, &Stock::Own(&levels), rules, &[rules.share.unwrap()], target)
    }

    #[test]
    fn a_target_is_explained_by_its_formula() {
        assert_eq!(explained(AllocationMode::Shared, 42, &rules(3000)), "available 42 − buffer 2 = 40, × 30% = 12");
        assert_eq!(explained(AllocationMode::Shared, -5, &rules(10_000)), "available −5 − buffer 2, at least 0 = 0, × 100% = 0");
        assert_eq!(
            explained(AllocationMode::Exclusive, 42, &rules(5000)),
            "available 42 − buffer 2 = 40, divided 50%, this store 50% = 20"
        );
        let careful = ListingRules { threshold: Some(13), ..rules(3000) };
        assert_eq!(explained(AllocationMode::Shared, 42, &careful), "available 42 − buffer 2 = 40, × 30% = 12, below the threshold 13 = 0");
        let capped = ListingRules { max_shown: Some(9), buffer: 0, ..rules(10_000) };
        assert_eq!(explained(AllocationMode::Shared, 42, &capped), "available 42, × 100% = 42, at most 9 = 9");
        let six = ListingRules { units: UnitsEach::check(6).unwrap(), ..capped };
        assert_eq!(explained(AllocationMode::Shared, 42, &six), "available 42, × 100% = 42, at most 9 = 9, 6 units in each = 1");
    }

    #[test]
    fn only_the_warehouses_of_the_store_count() {
        let north = WarehouseCode::parse("north").unwrap();
        let levels = Levels::from([(WarehouseCode::main(), 5), (north.clone(), 7)]);
        let north_only = ListingRules { warehouses: Some(vec![north]), buffer: 0, ..rules(10_000) };
        assert_eq!(
            formula(AllocationMode::Shared, &Stock::Own(&levels), &north_only, &[], Target { part: 7, limited: 7, shown: 7 }),
            "available 7 in north, × 100% = 7"
        );
    }
}
