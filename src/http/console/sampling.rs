//! The background task that samples figures for the operator's plots.
use super::figures::{Point, SAMPLE_EVERY, percentile};
use crate::db::overview::{concerns, sample};
use crate::domain::Timestamp;
use crate::http::admin::waiting_seconds;
use crate::http::state::{AppState, State};
use crate::metrics;
use tokio::time::Instant;

/// Takes a sample every few seconds until the service stops.
pub async fn keep_figures(state: State) {
    let mut previous = Counters::read(&state);
    loop {
        watch(&state).await;
        tokio::select! {
            () = state.console.stopping.cancelled() => return,
            () = tokio::time::sleep(SAMPLE_EVERY) => {}
        }
        match next_point(&state, &mut previous).await {
            Ok(point) => state.console.figures.add(point),
            Err(error) => tracing::debug!(%error, "could not sample the operator's figures"),
        }
    }
}

/// Sets the gauges that alerts look at. While the database does not answer, they keep their values.
async fn watch(state: &State) {
    let ready = matches!(state.db.not_ready().await, Ok(None));
    metrics::note(|metrics| metrics.ready.set(i64::from(ready)));
    let now = state.now();
    match state.db.read(move |conn| concerns(conn, now)).await {
        Ok(found) => metrics::note(|metrics| {
            metrics.stores_needing_reauthorization.set(found.needing_reauthorization);
            metrics.authorizations_ending.set(found.authorizations_ending);
            metrics.overdue_run.set(waiting_seconds(found.overdue_since, now));
            metrics.oldest_open_run.set(waiting_seconds(found.open_since, now));
        }),
        Err(error) => tracing::debug!(%error, "could not look for stores and runs that need somebody's attention"),
    }
}

struct Counters {
    at: Timestamp,
    /// The same instant by a clock that is never set.
    instant: Instant,
    calls: u64,
    throttled: u64,
}

impl Counters {
    fn read(state: &AppState) -> Self {
        let counted = state.service.client.call_counts();
        Self { at: state.now(), instant: Instant::now(), calls: counted.calls, throttled: counted.throttled }
    }
}

async fn next_point(state: &State, previous: &mut Counters) -> Result<Point, crate::db::Error> {
    let since = previous.at;
    let current = Counters::read(state);
    let mut sample = state.db.read(move |conn| sample(conn, since)).await?;
    let times_ms = std::mem::take(&mut sample.times_ms);
    metrics::note(|metrics| {
        metrics.oldest_waiting_push.set(waiting_seconds(sample.oldest_waiting, current.at));
        metrics.unreadable_credentials.set(sample.unreadable_credentials);
    });
    let (p50_ms, p99_ms) = (percentile(&times_ms, 50), percentile(&times_ms, 99));
    let seconds = (current.instant - previous.instant).as_secs_f64().max(0.001);
    let (calls, throttled) = (current.calls.saturating_sub(previous.calls), current.throttled.saturating_sub(previous.throttled));
    let point = Point { at: current.at, seconds, sample, p50_ms, p99_ms, calls, throttled };
    *previous = current;
    Ok(point)
}
