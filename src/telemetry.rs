//! Logs and metrics: set up once, by the program.
//!
//! A log message must be clear without its fields. Field names are fixed: `seller.id`, `store.id`, `platform`,
//! `push.id`, `attempt`, `duration_ms`, `error`. No bodies, no secrets. Metric labels are platforms, outcomes, routes and
//! statuses, never sellers or SKUs.
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// How often old samples of histograms are dropped.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// Buckets of latency histograms, in seconds.
const BUCKETS: [f64; 14] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// Logs to standard error, as text or JSON. A second call has no effect.
pub fn start_logging(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(true);
    // Otherwise a line that cannot be written (disk full, pipe closed) is reported on standard error by a macro that panics
    // if that fails too, which would end the task that logged.
    let builder = builder.log_internal_errors(false);
    // Colors only for people at a terminal.
    let builder = builder.with_ansi(std::io::stderr().is_terminal());
    // Fails if a subscriber is set already, which is just as good.
    if json {
        builder.json().flatten_event(true).try_init().ok()
    } else {
        builder.try_init().ok()
    };
}

/// Installs the recorder of metrics and returns the handle that renders them. All services in one process share it,
/// because the recording macros are global.
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

/// Drops old samples regularly, for as long as the process runs.
pub async fn keep_up(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        handle.run_upkeep();
    }
}
