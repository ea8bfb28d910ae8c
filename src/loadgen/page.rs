//! The page of a report: one HTML file that needs no script and nothing beside itself, for people who were not there.
//!
//! [`Report::page`] is a pure function. The template escapes every value, and beside each picture stands a table with the
//! same numbers.
use super::api::Error;
use super::chart::{Chart, Named, Series, logarithmic, over_time};
use super::counts;
use super::course::{Course, Interval};
use super::latency::Latencies;
use super::numbers::{ms_text, rate, seconds_text, whole};
use super::report::Report;
use super::setting::Setting;
use askama::Template;

/// A page with everything that a report contains.
#[derive(Template)]
#[template(path = "load_report.html")]
struct Page<'a> {
    setting: &'a Setting,
    passed: bool,
    headline: String,
    problems: Vec<String>,
    tiles: Vec<counts::Tile>,
    figures: Vec<Figure>,
    parameters: Vec<(String, String)>,
    counts: Vec<(String, String)>,
}

/// A picture with its table.
struct Figure {
    id: &'static str,
    title: &'static str,
    /// What the picture shows, in words.
    summary: String,
    legend: Vec<(&'static str, &'static str)>,
    chart: Chart,
    columns: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Report {
    /// The report as an HTML page.
    ///
    /// # Errors
    /// None, unless the template itself is wrong.
    pub fn page(&self) -> Result<String, Error> {
        let (setting, course, latencies) = match self {
            Self::Events(report) => (&report.setting, &report.course, report.delivered_in),
            Self::Overwrite(report) => (&report.setting, &report.course, report.delivered_in),
        };
        let words = Words::of(self);
        let page = Page {
            setting,
            passed: self.passed(),
            headline: counts::headline(self),
            problems: counts::problems(self),
            tiles: counts::tiles(self),
            figures: vec![latency_figure(course, latencies, words), throughput(course, words), queue(course, words)],
            parameters: counts::parameters(setting),
            counts: counts::counts(self),
        };
        page.render().map_err(|error| Error::Internal(error.to_string()))
    }
}

/// How the two kinds of run speak of what is delivered.
#[derive(Clone, Copy)]
struct Words {
    /// More than one of what is delivered.
    many: &'static str,
    /// Whether each of them belongs to an event, and was accepted with it.
    of_events: bool,
}

impl Words {
    fn of(report: &Report) -> Self {
        match report {
            Report::Events(_) => Self { many: "increases", of_events: true },
            Report::Overwrite(_) => Self { many: "overwrites", of_events: false },
        }
    }
}

fn latency_figure(course: &Course, latencies: Latencies, words: Words) -> Figure {
    let Latencies { count, p50_ms, p90_ms, p99_ms, max_ms } = latencies;
    let total: u64 = course.at_once + course.latencies.iter().map(|bucket| bucket.count).sum::<u64>();
    let bars: Vec<_> = course
        .latencies
        .iter()
        .map(|bucket| {
            let text = format!("{} to {}: {}", ms_text(bucket.above_ms), ms_text(bucket.up_to_ms), whole(bucket.count));
            (bucket.above_ms, bucket.up_to_ms, float(bucket.count), text)
        })
        .collect();
    let at_once = match course.at_once {
        0 => String::new(),
        number => format!(
            " {} arrived before the answer to their request did; they are in no bar, and count as 0 in the quantiles.",
            whole(number)
        ),
    };
    let quantiles = [("p50", p50_ms), ("p90", p90_ms), ("p99", p99_ms), ("max", max_ms)];
    let marks: Vec<Named> = quantiles.map(|(name, ms)| (ms, format!("{name} {}", ms_text(ms)))).to_vec();
    let listed = marks.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(", ");
    let from = if words.of_events { "the acceptance of its event" } else { "the request for the run" };
    let mut so_far = course.at_once;
    let rows = course.latencies.iter().map(|bucket| {
        so_far += bucket.count;
        let share = float(so_far) / float(total.max(1)) * 100.0;
        vec![ms_text(bucket.above_ms), ms_text(bucket.up_to_ms), whole(bucket.count), format!("{share:.1}%")]
    });
    Figure {
        id: "latency",
        title: "Latency",
        rows: rows.collect(),
        summary: format!("{} {}, each from {from} until the platform received it: {listed}.{at_once}", whole(count), words.many),
        legend: Vec::new(),
        chart: logarithmic(&bars, &marks, ms_text),
        columns: vec!["above", "up to", words.many, "so far"],
    }
}

fn throughput(course: &Course, words: Words) -> Figure {
    let interval = course.interval_seconds;
    let per_second = |of: fn(&Interval) -> u64| -> Vec<f64> {
        course.intervals.iter().map(|one| if interval > 0.0 { float(of(one)) / interval } else { 0.0 }).collect()
    };
    let (events, accepted, arrived) = (per_second(|one| one.events), per_second(|one| one.accepted), per_second(|one| one.arrived));
    let most = |values: &[f64]| rate(values.iter().copied().fold(0.0, f64::max));
    let mut columns = vec!["from"];
    let mut shown = Vec::new();
    let mut summary = format!("Over {}: ", seconds_text(interval * float(length(course))));
    if words.of_events {
        columns.extend(["events accepted/s", "increases accepted/s"]);
        shown.extend([&events, &accepted]);
        summary += &format!("at most {} events and {} increases accepted per second, and ", most(&events), most(&accepted));
    }
    columns.push("arrived/s");
    shown.push(&arrived);
    summary += &format!("at most {} {} arrived per second.", most(&arrived), words.many);
    let row = |n: usize| {
        let values = shown.iter().map(|values| values.get(n).map_or_else(String::new, |value| rate(*value)));
        std::iter::once(starts_at(course, n)).chain(values).collect()
    };
    let mut series = vec![Series { class: "arrived", values: arrived.clone() }];
    let mut legend = vec![("arrived", "arrived at the platform")];
    if words.of_events {
        series.insert(0, Series { class: "accepted", values: accepted.clone() });
        legend.insert(0, ("accepted", "accepted by the service"));
    }
    Figure {
        id: "throughput",
        title: if words.of_events { "Increases per second" } else { "Overwrites per second" },
        rows: (0..course.intervals.len()).map(row).collect(),
        summary,
        legend,
        chart: over_time(&series, interval),
        columns,
    }
}

fn queue(course: &Course, words: Words) -> Figure {
    let waiting = course.intervals.iter().map(|one| one.waiting);
    let longest = course.intervals.iter().enumerate().max_by_key(|(n, one)| (one.waiting, std::cmp::Reverse(*n)));
    let summary = match longest {
        None => "Nothing was ever waiting.".to_owned(),
        Some((n, one)) => format!(
            "At most {} {} were waiting at once, after about {}. In the last interval there were at most {}.",
            whole(one.waiting),
            words.many,
            starts_at(course, n),
            whole(course.intervals.last().map_or(0, |one| one.waiting)),
        ),
    };
    Figure {
        id: "queue",
        title: "Accepted but not yet arrived",
        rows: course.intervals.iter().enumerate().map(|(n, one)| vec![starts_at(course, n), whole(one.waiting)]).collect(),
        summary,
        legend: Vec::new(),
        chart: over_time(&[Series { class: "waiting", values: waiting.map(float).collect() }], course.interval_seconds),
        columns: vec!["from", "waiting at most"],
    }
}

/// When an interval begins, since the first request.
fn starts_at(course: &Course, n: usize) -> String {
    let count = u64::try_from(n).unwrap_or(0);
    seconds_text(course.interval_seconds * float(count))
}

fn length(course: &Course) -> u64 {
    u64::try_from(course.intervals.len()).unwrap_or(0)
}

#[expect(clippy::cast_precision_loss, reason = "for pictures and rates")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
