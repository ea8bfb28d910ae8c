//! Logs and metrics: set up once, by the program.
//!
//! A log message must be clear without its fields. Field names are fixed: `seller.id`, `store.id`, `platform`,
//! `push.id`, `attempt`, `duration_ms`, `error`. No bodies, no secrets. Metric labels are platforms, outcomes, routes and
//! statuses, never sellers or SKUs.
mod metrics;

use metrics::Metrics;
use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Parses a log filter: levels and `target=level`, separated by commas, such as `stocktide=debug,warn`.
///
/// # Errors
/// If a level does not exist.
pub fn parse_filter(filter: &str) -> Result<Targets, ParseError> {
    let directives: Vec<&str> = filter.split(',').filter(|directive| !directive.is_empty()).collect();
    if directives.is_empty() {
        return Ok(Targets::new().with_default(LevelFilter::ERROR));
    }
    directives.join(",").parse()
}

/// Logs to standard error, as text or JSON. A second call has no effect.
pub fn start_logging(filter: &str, json: bool) {
    let filter = parse_filter(filter).unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(true);
    // Otherwise a line that cannot be written (disk full, pipe closed) is reported on standard error by a macro that panics
    // if that fails too, which would end the task that logged.
    let layer = layer.log_internal_errors(false);
    // Colors only for people at a terminal.
    let layer = layer.with_ansi(std::io::stderr().is_terminal());
    let registry = tracing_subscriber::registry().with(filter);
    // Fails if a subscriber is already set, which then stays.
    if json {
        registry.with(layer.json().flatten_event(true)).try_init().ok()
    } else {
        registry.with(layer).try_init().ok()
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
