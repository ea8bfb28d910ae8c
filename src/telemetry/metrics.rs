//! The process's metrics: counters, gauges and latency histograms, rendered as Prometheus text.
//!
//! There are few of them with few labels, so one lock for all is enough. Whoever counts asks for the metric by its key each
//! time; nothing ever expires.
use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Upper bounds of the buckets of latency histograms, in seconds.
const BUCKETS: [f64; 14] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// All metrics. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Metrics(Arc<Mutex<Registry>>);

#[derive(Default)]
struct Registry {
    counters: BTreeMap<Key, Arc<AtomicU64>>,
    gauges: BTreeMap<Key, Arc<AtomicU64>>,
    histograms: BTreeMap<Key, Arc<Latencies>>,
}

/// A histogram over [`BUCKETS`].
#[derive(Default)]
struct Latencies(Mutex<Recorded>);

#[derive(Clone, Copy, Default)]
struct Recorded {
    /// Values up to each bound, smaller buckets included.
    up_to: [u64; BUCKETS.len()],
    count: u64,
    sum: f64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HistogramFn for Latencies {
    fn record(&self, value: f64) {
        let mut recorded = lock(&self.0);
        recorded.count += 1;
        recorded.sum += value;
        for (count, bound) in recorded.up_to.iter_mut().zip(BUCKETS) {
            *count += u64::from(value <= bound);
        }
    }
}

impl Recorder for Metrics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::clone(lock(&self.0).counters.entry(key.clone()).or_default()))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::clone(lock(&self.0).gauges.entry(key.clone()).or_default()))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::clone(lock(&self.0).histograms.entry(key.clone()).or_default()))
    }
}

impl Metrics {
    /// The Prometheus text format, version 0.0.4.
    pub(super) fn render(&self) -> String {
        let registry = lock(&self.0);
        let mut text = String::new();
        family(&mut text, "counter", &registry.counters, |text, key, counter| {
            line(text, key, "", None, &counter.load(Ordering::Relaxed).to_string());
        });
        family(&mut text, "gauge", &registry.gauges, |text, key, gauge| {
            line(text, key, "", None, &f64::from_bits(gauge.load(Ordering::Relaxed)).to_string());
        });
        family(&mut text, "histogram", &registry.histograms, |text, key, latencies| {
            let recorded = *lock(&latencies.0);
            for (count, bound) in recorded.up_to.iter().zip(BUCKETS) {
                line(text, key, "_bucket", Some(&bound.to_string()), &count.to_string());
            }
            line(text, key, "_bucket", Some("+Inf"), &recorded.count.to_string());
            line(text, key, "_sum", None, &recorded.sum.to_string());
            line(text, key, "_count", None, &recorded.count.to_string());
        });
        text
    }
}

/// Writes all metrics of one kind, those of one name under one `# TYPE` line: keys are ordered by name first.
fn family<T>(text: &mut String, kind: &str, metrics: &BTreeMap<Key, T>, write: impl Fn(&mut String, &Key, &T)) {
    let mut previous = None;
    for (key, metric) in metrics {
        if previous != Some(key.name()) {
            writeln!(text, "# TYPE {} {kind}", key.name()).ok();
        }
        previous = Some(key.name());
        write(text, key, metric);
    }
}

fn line(text: &mut String, key: &Key, suffix: &str, bound: Option<&str>, value: &str) {
    let labels = key.labels().map(|label| (label.key(), label.value()));
    let labels = labels.chain(bound.map(|bound| ("le", bound)));
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    writeln!(text, "{}{suffix}{labels} {value}", key.name()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_rendered_as_prometheus_text() {
        let metrics = Metrics::default();
        metrics::with_local_recorder(&metrics, || {
            metrics::counter!("events_total", "status" => "accepted").increment(2);
            metrics::counter!("events_total", "status" => "accepted").increment(3);
            metrics::counter!("events_total", "status" => "a \"b\"").increment(1);
            metrics::gauge!("active").set(1.5);
            metrics::histogram!("call_seconds").record(0.3);
            metrics::histogram!("call_seconds").record(60.0);
        });
        let text = metrics.render();
        let lines = [
            "# TYPE events_total counter",
            "events_total{status=\"a \\\"b\\\"\"} 1",
            "events_total{status=\"accepted\"} 5",
            "# TYPE active gauge",
            "active 1.5",
            "# TYPE call_seconds histogram",
            "call_seconds_bucket{le=\"0.2\"} 0",
            "call_seconds_bucket{le=\"0.5\"} 1",
            "call_seconds_bucket{le=\"30\"} 1",
            "call_seconds_bucket{le=\"+Inf\"} 2",
            "call_seconds_sum 60.3",
            "call_seconds_count 2",
        ];
        let found: Vec<&str> = text.lines().filter(|line| lines.contains(line)).collect();
        assert_eq!(found, lines, "{text}");
        assert_eq!(text.matches("# TYPE").count(), 3);
    }
}
