//! The operator's pages: live figures over all sellers, and each seller with its stores and pending pushes.
use super::behind::BehindRow;
use super::components::{StoreFigures, StoreRow, circuits_since};
use super::figures::{Point, SAMPLE_EVERY};
use super::page::{Frame, PageAnswer};
use super::plot::Plot;
use super::session::OperatorVisit;
use super::show::{self, Badge, Stamp, units};
use crate::actors::Standing;
use crate::db::overview::{self, SellerLoad};
use crate::db::sellers;
use crate::domain::SellerId;
use crate::domain::limits::MAX_STORES;
use crate::http::admin::state_of;
use crate::http::state::State;
use crate::platforms::form::form_of;
use actix_web::web::{Path, Query};
use askama::Template;
use chrono::TimeDelta;
use serde::Deserialize;

/// Sellers per page.
const PAGE: usize = 50;
/// The query limit: one extra row shows that there is another page.
const PAGE_AND_ONE: i64 = 51;
/// Stores behind on the first page.
const WORST: usize = 10;
/// The period that the counts at the top cover.
const WINDOW: TimeDelta = TimeDelta::seconds(60);

struct Count {
    name: &'static str,
    value: String,
}

struct NodeRow {
    name: String,
    version: String,
    state: Badge,
    started: Stamp,
    renewed: String,
    shards: usize,
    sellers: i64,
    stores: i64,
}

impl NodeRow {
    fn new(frame: &Frame, node: Standing) -> Self {
        let state = match state_of(&node) {
            "gone" => Badge::new("Not responding", "bad"),
            "leaving" => Badge::new("Stopping", "wait"),
            _ => Badge::new("Working", "good"),
        };
        Self {
            state,
            started: frame.stamp(node.started_at),
            renewed: format!("{:.0} s ago", node.renewed_for.as_secs_f64()),
            shards: node.shards,
            sellers: node.active_sellers,
            stores: node.active_stores,
            name: node.name,
            version: node.version,
        }
    }
}

#[derive(Template)]
#[template(path = "operator.html")]
struct FiguresPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    every_s: u64,
    /// The period that the plots cover.
    minutes: u64,
    /// Some stores' credentials cannot be opened.
    unreadable_credentials: bool,
    counts: Vec<Count>,
    behind: Vec<BehindRow>,
    /// There are more than those.
    more_behind: bool,
    queues: Vec<(String, String)>,
    plots: Vec<Plot>,
    nodes: Vec<NodeRow>,
}

pub(super) async fn figures(visit: OperatorVisit, state: State) -> PageAnswer {
    let since = state.clock.now() - WINDOW;
    let found = state.db.read(move |conn| overview::overview(conn, since)).await?;
    let points = state.console.figures.all();
    let frame = &visit.frame;
    let (behind, more_behind) = BehindRow::worst(&visit, &state, WORST).await?;
    let series = |value: &dyn Fn(&Point) -> Option<f64>| -> Vec<Option<f64>> { points.iter().map(value).collect() };
    let minutes = points.first().map_or(0, |first| u64::try_from((state.now() - first.at).num_minutes()).unwrap_or(0)).max(1);
    let mut platforms: Vec<&str> = points.iter().flat_map(|p| p.sample.confirmed.iter().map(|(platform, _)| platform.as_str())).collect();
    platforms.sort_unstable();
    platforms.dedup();
    let mut plots = vec![Plot::new("Stock events accepted", "per second", minutes, series(&|p| Some(float(p.sample.events) / p.seconds)))];
    for platform in platforms {
        let count = |p: &Point| p.sample.confirmed.iter().find(|(name, _)| name == platform).map_or(0, |(_, count)| *count);
        let label = form_of(platform).map_or(platform, |form| form.label);
        plots.push(Plot::new(format!("Updates confirmed, {label}"), "per second", minutes, series(&|p| Some(float(count(p)) / p.seconds))));
    }
    plots.push(Plot::new(
        "Oldest pending update",
        "s",
        minutes,
        series(&|p| Some(p.sample.oldest_waiting.map_or(0.0, |from| float((p.at - from).num_milliseconds()) / 1000.0))),
    ));
    plots.push(Plot::new(
        "Throttled calls, this node",
        "% of calls",
        minutes,
        series(&|p| (p.calls > 0).then(|| count(p.throttled) / count(p.calls) * 100.0)),
    ));
    plots.push(Plot::new("Acceptance to confirmation, p50", "ms", minutes, series(&|p| p.p50_ms.map(float))));
    plots.push(Plot::new("Acceptance to confirmation, p99", "ms", minutes, series(&|p| p.p99_ms.map(float))));
    let unreadable = Count { name: "Stores with unreadable credentials", value: units(found.unreadable_credentials) };
    frame.page(&FiguresPage {
        frame,
        here: "figures",
        unreadable_credentials: found.unreadable_credentials > 0,
        every_s: SAMPLE_EVERY.as_secs(),
        minutes,
        behind,
        more_behind,
        counts: vec![
            Count { name: "Sellers", value: units(found.sellers) },
            Count { name: "Suspended", value: units(found.suspended) },
            Count { name: "Stores", value: units(found.stores) },
            Count { name: "Stock events, last minute", value: units(found.events) },
            Count { name: "Updates confirmed, last minute", value: units(found.pushes) },
        ]
        .into_iter()
        .chain(Some(unreadable).filter(|_| found.unreadable_credentials > 0))
        .collect(),
        queues: found
            .queue
            .into_iter()
            .map(|(platform, depth)| (form_of(&platform).map_or(platform, |form| form.label.to_owned()), units(depth)))
            .collect(),
        plots,
        nodes: state.handle.standings(&state.settings.node, state.started_at).into_iter().map(|node| NodeRow::new(frame, node)).collect(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few seconds and ages in milliseconds are far below 2^52")]
fn float(value: i64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few seconds are far below 2^52")]
fn count(value: u64) -> f64 {
    value as f64
}

struct SellerRow {
    id: String,
    name: String,
    state: Badge,
    stores: String,
    skus: String,
    pending: String,
    created: Stamp,
}

impl SellerRow {
    fn new(frame: &Frame, load: SellerLoad) -> Self {
        Self {
            id: load.seller.id.to_string(),
            name: load.seller.name,
            state: if load.seller.suspended { Badge::new("Suspended", "bad") } else { Badge::new("Active", "good") },
            stores: units(load.stores),
            skus: units(load.seller.sku_count),
            pending: units(load.waiting),
            created: frame.day(load.seller.created_at),
        }
    }
}

#[derive(Template)]
#[template(path = "sellers.html")]
struct SellersPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    sellers: Vec<SellerRow>,
    next: Option<String>,
    first: bool,
}

#[derive(Deserialize)]
pub(super) struct SellersQuery {
    after: Option<SellerId>,
}

pub(super) async fn sellers(visit: OperatorVisit, state: State, query: Query<SellersQuery>) -> PageAnswer {
    let after = query.after;
    let mut found = state.db.read(move |conn| overview::seller_loads(conn, after, PAGE_AND_ONE)).await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    visit.frame.page(&SellersPage {
        frame: &visit.frame,
        here: "sellers",
        next: found.last().filter(|_| more).map(|last| format!("/console/operator/sellers?after={}", last.seller.id)),
        first: after.is_none(),
        sellers: found.into_iter().map(|load| SellerRow::new(&visit.frame, load)).collect(),
    })
}

#[derive(Template)]
#[template(path = "seller.html")]
struct SellerPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    name: String,
    id: String,
    state: Badge,
    zone: String,
    created: Stamp,
    skus: String,
    stores: Vec<StoreRow>,
}

pub(super) async fn seller(visit: OperatorVisit, state: State, id: Path<SellerId>) -> PageAnswer {
    let id = id.into_inner();
    let frame = &visit.frame;
    let seller = state.db.read(move |conn| sellers::seller(conn, id)).await?;
    let since = circuits_since(frame);
    let db = state.db.seller(id);
    let read = db.read(move |t| {
        let stores = t.stores(None, MAX_STORES)?;
        let figures = StoreFigures::read(t, &stores, since)?;
        Ok((stores, figures))
    });
    let (stores, figures) = read.await?;
    frame.page(&SellerPage {
        frame,
        here: "sellers",
        state: if seller.suspended { Badge::new("Suspended", "bad") } else { Badge::new("Active", "good") },
        zone: show::zone_name(seller.timezone, frame.now),
        created: frame.day(seller.created_at),
        skus: units(seller.sku_count),
        id: seller.id.to_string(),
        name: seller.name,
        stores: stores.iter().map(|store| figures.row(frame, store)).collect(),
    })
}
