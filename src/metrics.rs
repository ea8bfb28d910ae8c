//! What the service counts and measures about itself: every series of `/metrics`, with its labels and its help text.
//! [`doc::metrics`](crate::doc::metrics) says what a high value means and what to do about it.
//!
//! Labels are platforms, outcomes and kinds of work, never sellers, stores or SKUs, so that there are few of each. Durations
//! are measured by their callers on tokio's clock, so that virtual time counts, too. All services in one process share the
//! series.
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::sync::LazyLock;
use std::time::Duration;

/// Upper bounds of the buckets of all histograms, in seconds.
const BUCKETS: [f64; 17] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

static METRICS: LazyLock<Option<Metrics>> = LazyLock::new(|| {
    let log = |error: &prometheus::Error| tracing::error!(%error, "nothing is counted or measured");
    Metrics::new().inspect_err(log).ok()
});

/// Counts or measures something.
pub fn note(what: impl FnOnce(&Metrics)) {
    if let Some(metrics) = METRICS.as_ref() {
        what(metrics);
    }
}

/// All series in the Prometheus text format, version 0.0.4.
pub fn render() -> String {
    METRICS.as_ref().map(Metrics::render).unwrap_or_default()
}

/// Durations, as a histogram. Adding one neither locks nor allocates. Clones share the series.
#[derive(Debug, Clone)]
pub struct Times(Histogram);

impl Times {
    /// Adds a duration.
    pub fn add(&self, took: Duration) {
        self.0.observe(took.as_secs_f64());
    }
}

/// All series.
pub struct Metrics {
    registry: Registry,
    stock_events: IntCounterVec,
    platform_calls: IntCounterVec,
    nats_messages: IntCounterVec,
    mails: IntCounterVec,
    spans: IntCounterVec,
    /// Without labels; rendered once it is set, so only where NATS is used.
    nats_connected: IntGaugeVec,
    /// Sellers with a running supervisor.
    pub active_sellers: IntGauge,
    /// Stores with a running actor.
    pub active_stores: IntGauge,
    /// How long the push that waits longest has been waiting, in seconds.
    pub oldest_waiting_push: Gauge,
    /// 1 if requests can be served, otherwise 0: what `/readyz` says.
    pub ready: IntGauge,
    /// Stores that let nobody in until their seller authorizes again.
    pub stores_needing_reauthorization: IntGauge,
    /// Stores whose tokens end within a week unless their seller authorizes again.
    pub authorizations_ending: IntGauge,
    /// How long the daily run that is most overdue should have begun, in seconds.
    pub overdue_run: Gauge,
    /// How long the sync run that has been open longest has been so, in seconds.
    pub oldest_open_run: Gauge,
    /// Stores whose credentials cannot be opened.
    pub unreadable_credentials: IntGauge,
    /// From a request with stock events until a lane takes up its first event.
    pub stock_events_wait: Times,
    /// From any other write until a lane takes it up.
    pub other_writes_wait: Times,
    /// The statements of one shared transaction.
    pub transaction: Times,
    /// The commit of a shared transaction: until the disk has it.
    pub commit: Times,
    /// Shards of sellers that this node holds.
    pub shards: IntGauge,
    /// Shards that this node has taken.
    pub shards_taken: IntCounter,
    /// Transactions that were refused because another node works for the seller.
    pub fenced: IntCounter,
    push_queue: HistogramVec,
    limiter_wait: HistogramVec,
    platform_call: HistogramVec,
}

/// The durations of one platform.
#[derive(Debug, Clone)]
pub struct PlatformTimes {
    /// From the instant at which a push is due until it is claimed.
    pub queue: Times,
    /// How long a call waits for its permit.
    pub limiter: Times,
    /// From the first byte of a call until its answer is complete or given up.
    pub call: Times,
}

impl Metrics {
    fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone())).map(|()| family)
        };
        let times = |name: &str, help: &str, labels: &[&str]| {
            let family = HistogramVec::new(HistogramOpts::new(name, help).buckets(BUCKETS.to_vec()), labels)?;
            registry.register(Box::new(family.clone())).map(|()| family)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let optional = |name: &str, help: &str| {
            let gauge = IntGaugeVec::new(Opts::new(name, help), &[])?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone())).map(|()| counter)
        };
        let age = |name: &str, help: &str| {
            let gauge = Gauge::new(name, help)?;
            registry.register(Box::new(gauge.clone())).map(|()| gauge)
        };
        let writer_wait =
            times("stocktide_writer_wait_seconds", "Time from a request to write until a transaction takes it up.", &["work"])?;
        let transaction = times("stocktide_transaction_seconds", "Time for the statements of one shared transaction.", &[])?;
        let commit = times("stocktide_commit_seconds", "Time for the commit of one shared transaction.", &[])?;
        let one = |family: &HistogramVec, labels: &[&str]| family.get_metric_with_label_values(labels).map(Times);
        Ok(Self {
            stock_events: counters("stocktide_stock_events_total", "Stock events by what became of them.", &["status"])?,
            platform_calls: counters("stocktide_platform_calls_total", "Calls to platforms by outcome.", &["platform", "outcome"])?,
            nats_messages: counters("stocktide_nats_messages_total", "Messages from NATS by what became of them.", &["outcome"])?,
            mails: counters("stocktide_mails_total", "Mails given to the mail server by what it said.", &["outcome"])?,
            spans: counters("stocktide_spans_total", "Spans of traces by what became of them.", &["outcome"])?,
            nats_connected: optional("stocktide_nats_connected", "1 if connected to NATS, 0 if not; only where nats_url is set.")?,
            active_sellers: gauge("stocktide_active_sellers", "Sellers whose work this node is doing.")?,
            active_stores: gauge("stocktide_active_stores", "Stores whose work this node is doing.")?,
            oldest_waiting_push: age("stocktide_oldest_waiting_push_seconds", "Age of the push that has been waiting longest.")?,
            ready: gauge("stocktide_ready", "1 if requests can be served, 0 if /readyz says why not.")?,
            stores_needing_reauthorization: gauge(
                "stocktide_stores_needing_reauthorization",
                "Stores to which nothing is sent until their seller authorizes again.",
            )?,
            authorizations_ending: gauge(
                "stocktide_authorizations_ending",
                "Stores whose tokens end within a week unless their seller authorizes again.",
            )?,
            overdue_run: age("stocktide_overdue_run_seconds", "How long the most overdue daily run should have begun; 0 if none.")?,
            oldest_open_run: age("stocktide_oldest_open_run_seconds", "Age of the sync run that has been open longest; 0 if none.")?,
            unreadable_credentials: gauge("stocktide_stores_unreadable_credentials", "Stores whose credentials cannot be opened.")?,
            stock_events_wait: one(&writer_wait, &["stock_events"])?,
            other_writes_wait: one(&writer_wait, &["other"])?,
            transaction: one(&transaction, &[])?,
            commit: one(&commit, &[])?,
            shards: gauge("stocktide_shards", "Shards of sellers that this node holds; 0 where nodes share nothing.")?,
            shards_taken: counter("stocktide_shards_taken_total", "Shards that this node has taken.")?,
            fenced: counter("stocktide_fenced_transactions_total", "Transactions refused because another node works for the seller.")?,
            push_queue: times("stocktide_push_queue_seconds", "Time from when a push is due until it is claimed.", &["platform"])?,
            limiter_wait: times("stocktide_limiter_wait_seconds", "Time that a call waits for the rate limits.", &["platform"])?,
            platform_call: times("stocktide_platform_call_seconds", "Time from sending a call until its answer.", &["platform"])?,
            registry,
        })
    }

    /// Counts the results of stock events.
    pub fn stock_events(&self, status: &'static str, count: usize) {
        if let Ok(counter) = self.stock_events.get_metric_with_label_values(&[status]) {
            counter.inc_by(u64::try_from(count).unwrap_or(0));
        }
    }

    /// Counts a call to a platform.
    pub fn platform_call(&self, platform: &'static str, outcome: &'static str) {
        if let Ok(counter) = self.platform_calls.get_metric_with_label_values(&[platform, outcome]) {
            counter.inc();
        }
    }

    /// Counts a message from NATS.
    pub fn nats_message(&self, outcome: &'static str) {
        if let Ok(counter) = self.nats_messages.get_metric_with_label_values(&[outcome]) {
            counter.inc();
        }
    }

    /// Counts a mail that was given to the mail server.
    pub fn mail(&self, outcome: &'static str) {
        if let Ok(counter) = self.mails.get_metric_with_label_values(&[outcome]) {
            counter.inc();
        }
    }

    /// Counts spans that were sent or dropped.
    pub fn spans(&self, outcome: &'static str, count: usize) {
        if let Ok(counter) = self.spans.get_metric_with_label_values(&[outcome]) {
            counter.inc_by(u64::try_from(count).unwrap_or(0));
        }
    }

    /// Notes whether there is a connection to NATS.
    pub fn nats_connected(&self, is_connected: bool) {
        if let Ok(gauge) = self.nats_connected.get_metric_with_label_values::<&str>(&[]) {
            gauge.set(i64::from(is_connected));
        }
    }

    /// The durations of one platform, to be kept by the caller.
    ///
    /// # Errors
    /// None as long as all these series have the label `platform` and no other.
    pub fn times_of(&self, platform: &'static str) -> prometheus::Result<PlatformTimes> {
        let one = |family: &HistogramVec| family.get_metric_with_label_values(&[platform]).map(Times);
        Ok(PlatformTimes { queue: one(&self.push_queue)?, limiter: one(&self.limiter_wait)?, call: one(&self.platform_call)? })
    }

    fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each series has been used, because unused ones are not rendered.
    fn used() -> Metrics {
        let metrics = Metrics::new().unwrap();
        metrics.stock_events("accepted", 5);
        metrics.platform_call("simulated", "answered");
        metrics.nats_message("recorded");
        metrics.mail("accepted");
        metrics.nats_connected(true);
        metrics.spans("sent", 1);
        metrics.oldest_waiting_push.set(1.5);
        let times = metrics.times_of("simulated").unwrap();
        [times.queue, times.limiter, times.call].iter().for_each(|times| times.add(Duration::from_millis(300)));
        metrics
    }

    #[test]
    fn metrics_are_rendered_as_prometheus_text() {
        let metrics = used();
        metrics.times_of("simulated").unwrap().call.add(Duration::from_mins(10));
        let text = metrics.render();
        for line in [
            "# HELP stocktide_stock_events_total Stock events by what became of them.",
            "# TYPE stocktide_stock_events_total counter",
            "stocktide_stock_events_total{status=\"accepted\"} 5",
            "# TYPE stocktide_oldest_waiting_push_seconds gauge",
            "stocktide_oldest_waiting_push_seconds 1.5",
            "# TYPE stocktide_platform_call_seconds histogram",
            "stocktide_platform_call_seconds_bucket{platform=\"simulated\",le=\"0.2\"} 0",
            "stocktide_platform_call_seconds_bucket{platform=\"simulated\",le=\"0.5\"} 1",
            "stocktide_platform_call_seconds_bucket{platform=\"simulated\",le=\"300\"} 1",
            "stocktide_platform_call_seconds_bucket{platform=\"simulated\",le=\"+Inf\"} 2",
            "stocktide_platform_call_seconds_sum{platform=\"simulated\"} 600.3",
            "stocktide_platform_call_seconds_count{platform=\"simulated\"} 2",
            "stocktide_writer_wait_seconds_count{work=\"stock_events\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing:\n{text}");
        }
    }

    #[test]
    fn every_series_is_explained_to_operators() {
        let page = include_str!("doc/metrics.md");
        let families = used().registry.gather();
        assert_eq!(families.len(), 24);
        for family in families {
            assert!(page.contains(&format!("`{}`", family.name())), "{} is not in src/doc/metrics.md", family.name());
        }
    }
}
