//! Logs and metrics: set up once, by the program.
//!
//! A log message reads well alone; its fields are fixed: `seller.id`, `store.id`, `platform`, `push.id`, `attempt`,
//! `duration_ms`, `error`. No bodies, no secrets. Metric labels are platforms, outcomes, routes and statuses; never a
//! seller or a SKU.
mod metrics;

use metrics::Metrics;
use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};
use tracing_subscriber::EnvFilter;

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

/// Installs the recorder of metrics, once per process, and returns the function that renders them as Prometheus text.
///
/// # Errors
/// If another recorder is already installed.
pub fn start_metrics() -> Result<Arc<dyn Fn() -> String + Send + Sync>, String> {
    static STARTED: OnceLock<Result<Metrics, String>> = OnceLock::new();
    let start = || {
        let metrics = Metrics::default();
        ::metrics::set_global_recorder(metrics.clone()).map_err(|e| e.to_string())?;
        Ok(metrics)
    };
    let metrics = STARTED.get_or_init(start).clone()?;
    Ok(Arc::new(move || metrics.render()))
}
