//! Logs: set up once, by the program; and the [export] of traces.
//!
//! A log message must be clear without its fields. Field names are fixed: `seller.id`, `store.id`, `platform`,
//! `push.id`, `attempt`, `duration_ms`, `error`. Lines about what is traced have the `trace_id`. No bodies, no secrets.
pub mod export;

use std::io::IsTerminal;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Crates that log what their callers handle, at every attempt; silent unless the filter names them.
const QUIET: [&str; 1] = ["async_nats"];

/// Parses a log filter: levels and `target=level`, separated by commas, such as `stocktide=debug,warn`.
///
/// # Errors
/// If a level does not exist.
pub fn parse_filter(filter: &str) -> Result<Targets, ParseError> {
    let directives: Vec<&str> = filter.split(',').filter(|directive| !directive.is_empty()).collect();
    let filter = match directives[..] {
        [] => Targets::new().with_default(LevelFilter::ERROR),
        _ => directives.join(",").parse()?,
    };
    let is_named = |quiet: &&str| directives.iter().any(|directive| directive.starts_with(quiet));
    Ok(filter.with_targets(QUIET.into_iter().filter(|quiet| !is_named(quiet)).map(|quiet| (quiet, LevelFilter::OFF))))
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

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn a_quiet_crate_is_heard_only_by_its_name() {
        let hears = |filter: &str| parse_filter(filter).unwrap().would_enable("async_nats::connector", &Level::ERROR);
        assert!(!hears("trace") && !hears("info,stocktide=debug") && !hears(""));
        assert!(hears("info,async_nats=error"));
        assert!(parse_filter("trace").unwrap().would_enable("stocktide::nats", &Level::TRACE));
    }
}
