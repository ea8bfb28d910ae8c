//! The operator's first page: live figures over all sellers, the worst stores, and the nodes.
use super::behind::BehindRow;
use super::figures::{Point, SAMPLE_EVERY};
use super::page::{Frame, PageAnswer};
use super::plot::Plot;
use super::session::OperatorVisit;
use super::show::{Badge, Stamp, units};
use crate::actors::Standing;
use crate::db::overview;
use crate::http::admin::state_of;
use crate::http::state::State;
use crate::platforms::form::form_of;
use askama::Template;
use chrono::TimeDelta;

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
