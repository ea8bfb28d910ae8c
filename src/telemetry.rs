//! Logs: set up once, by the program.
//!
//! A log message must be clear without its fields. Field names are fixed: `seller.id`, `store.id`, `platform`,
//! `push.id`, `attempt`, `duration_ms`, `error`. No bodies, no secrets.
use std::io::IsTerminal;
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
