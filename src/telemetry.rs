//! Logs and metrics: set up once, by the program.
//!
//! A log message reads well alone; its fields are fixed: `seller.id`, `store.id`, `platform`, `push.id`, `attempt`,
//! `duration_ms`, `error`. No bodies, no secrets. Metric labels are platforms, outcomes, routes and statuses; never a
//! seller or a SKU.
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// How often old samples are dropped.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// The bounds of latency histograms, in seconds.
const BUCKETS: [f64; 14] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// Sends logs to standard error, as text or JSON. A second call changes nothing.
pub fn start_logging(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(true);
    // A line that cannot be written (a full disk, a reader that is gone) would otherwise be told on standard error by a macro
    // that panics when that fails as well, and so end whatever task wanted to log.
    let builder = builder.log_internal_errors(false);
    // Colours are for people at a terminal; in a file they are in the way.
    let builder = builder.with_ansi(std::io::stderr().is_terminal());
    // Fails when there is a subscriber already, which is as good.
    if json {
        builder.json().flatten_event(true).try_init().ok()
    } else {
        builder.try_init().ok()
    };
}

/// Starts counting; returns what renders the counts. Services in one process share one recorder, as the macros that
/// count know only one.
///
/// # Errors
/// What went wrong, in words.
pub fn start_metrics() -> Result<PrometheusHandle, String> {
    static STARTED: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
    let start = || {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS);
        let recorder = builder.map_err(|e| e.to_string())?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|e| e.to_string())?;
        Ok(handle)
    };
    STARTED.get_or_init(start).clone()
}

/// Drops old samples now and then, for as long as the process runs.
pub async fn keep_up(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        handle.run_upkeep();
    }
}
