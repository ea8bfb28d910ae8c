//! The page of runs that are empty, tiny, extreme and hostile, and of runs that failed.
use super::super::api::Retries;
use super::super::course::Recording;
use super::super::face::Face;
use super::super::plan::Offers;
use super::super::report::{EventsReport, OverwriteReport, Sending, Settled};
use super::super::setting::Surroundings;
use super::super::verdict::Verdict;
use super::*;
use crate::simulator::Stats;
use std::collections::BTreeMap;

fn setting() -> Setting {
    Setting {
        run: "a1b2c3d4".to_owned(),
        seed: 7,
        sellers: 3,
        stores: 2,
        skus: 500,
        face: Face::Own,
        offers: Offers::Keys,
        options: BTreeMap::from([("rate".to_owned(), "300 events/s".to_owned())]),
        surroundings: Surroundings {
            started_at: "2026-11-29 16:00:00 UTC".to_owned(),
            version: "0.1.0".to_owned(),
            database: "sqlite".to_owned(),
            cores: 2,
            machine: "x86_64 linux".to_owned(),
            faults: BTreeMap::from([("cut".to_owned(), "0.05".to_owned())]),
        },
    }
}

/// A run in which each event was accepted after so many milliseconds, and its increase arrived so many later.
fn report(increases: &[(i64, i64)]) -> EventsReport {
    let mut recording = Recording::new(0);
    for (accepted_ms, took_ms) in increases {
        recording.event(accepted_ms * 1000);
        recording.increase(accepted_ms * 1000, Some(took_ms * 1000));
    }
    let count = u64::try_from(increases.len()).unwrap();
    let longest = increases.iter().map(|(_, took_ms)| *took_ms).max().unwrap_or(0);
    let max_ms = f64::from(i32::try_from(longest).unwrap());
    let latencies = Latencies { count, p50_ms: max_ms / 2.0, p90_ms: max_ms, p99_ms: max_ms, max_ms };
    let sending = Sending {
        events: count,
        accepted: count,
        refused: 0,
        refusals: Vec::new(),
        duplicates: 0,
        accepted_twice: 0,
        requests: count,
        repeated: 0,
        retries: Retries::default(),
        seconds: 1.0,
        events_per_second: float(count),
        requests_per_second: float(count),
        answered_in: latencies,
    };
    EventsReport {
        passed: true,
        setting: setting(),
        sending,
        delivered_in: latencies,
        not_followed: 0,
        settled: Settled { quiet: true, ..Settled::default() },
        verdict: Verdict { listings: 3000, ..Verdict::default() },
        platform: Stats::default(),
        course: recording.finish(),
    }
}

fn page(report: EventsReport) -> String {
    checked(&Report::Events(report).page().unwrap())
}

/// The page, after checks of what is true of every page: well-formed, self-contained, each picture described and with a
/// table, every number a number.
fn checked(page: &str) -> String {
    const VOID: [&str; 2] = ["meta", "!doctype"];
    let mut open = Vec::new();
    for part in page.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("an open tag: {part}"));
        let name = tag.split_whitespace().next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{tag}"),
            None if VOID.contains(&name) => {}
            None => open.push(name),
        }
        assert!(open.last() == Some(&"style") || !text.contains('>'), "an unescaped bracket: {text}");
    }
    assert_eq!(open, Vec::<&str>::new());
    for outside in ["<script", "<link", "<img", "<iframe", "<use", "src=", "href=", "url(", "@import", "://"] {
        assert!(!page.contains(outside), "{outside} is not self-contained");
    }
    for unset in ["NaN", "inf%", "\"inf\"", "{{", "{%"] {
        assert!(!page.contains(unset), "{unset}");
    }
    let pictures = page.matches("role=\"img\"").count();
    assert_eq!(page.matches("role=\"region\"").count(), pictures, "a table beside each picture");
    for labels in page.split("aria-labelledby=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        for id in labels.split(' ') {
            assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
        }
    }
    page.to_owned()
}

#[test]
fn an_empty_run_has_a_page_that_says_so() {
    let page = page(report(&[]));
    assert_eq!((page.matches("Nothing was measured.").count(), page.matches("<svg").count()), (3, 0));
    assert!(page.contains("no unit lost, no unit applied twice"), "{page}");
}

#[test]
fn one_event_is_one_bar_and_a_line_over_the_whole_width() {
    let page = page(report(&[(3, 18)]));
    assert_eq!((page.matches("<rect").count(), page.matches("role=\"img\"").count()), (1, 3));
    assert!(page.contains("16 ms to 20 ms: 1") && page.contains("p50 9 ms") && page.contains("max 18 ms"), "{page}");
    assert!(page.contains("1 increases, each from the acceptance of its event until the platform received it"), "{page}");
}

#[test]
fn verdict_parameters_and_figures_are_on_the_page() {
    let page = page(report(&[(0, 18), (10, 250), (1500, 20)]));
    for text in [
        "<strong>Passed</strong>",
        "a1b2c3d4",
        "3 × 2 × 500 = 3,000 listings",
        "300 events/s",
        "platform: cut",
        "0.05",
        "sqlite",
        "x86_64 linux, 2 cores",
        "At most 2 increases were waiting at once, after about 0 s.",
    ] {
        assert!(page.contains(text), "{text} is missing:\n{page}");
    }
}

#[test]
fn extreme_values_stay_within_the_picture() {
    let mut report = report(&[(0, 0), (0, 3_600_000), (36_000_000, 1)]);
    report.course.intervals[0].accepted = u64::MAX;
    report.course.intervals[0].waiting = u64::MAX;
    report.course.latencies[0].count = u64::MAX / 2;
    report.verdict.units_due = i64::MAX;
    report.verdict.units_lost = i64::MAX;
    report.delivered_in.max_ms = f64::MAX;
    report.passed = false;
    let page = page(report);
    assert!(page.contains("9,223,372,036,854,775,807 units lost"), "{page}");
    let percents = page.split('"').filter_map(|value| value.strip_suffix('%')).filter_map(|value| value.parse::<f64>().ok());
    assert!(percents.into_iter().all(|percent| (0.0..=100.0).contains(&percent)));
    for points in page.split("points=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(points.split([' ', ',']).all(|value| (0.0..=1000.1).contains(&value.parse::<f64>().unwrap())), "{points}");
    }
}

#[test]
fn hostile_names_are_escaped_wherever_they_appear() {
    let hostile = "\"'><script>alert(1)</script><b>&".to_owned();
    let mut report = report(&[(0, 5)]);
    report.passed = false;
    report.setting.run.clone_from(&hostile);
    report.setting.options = BTreeMap::from([(hostile.clone(), hostile.clone())]);
    let surroundings = &mut report.setting.surroundings;
    for text in [&mut surroundings.started_at, &mut surroundings.version, &mut surroundings.database, &mut surroundings.machine] {
        text.clone_from(&hostile);
    }
    surroundings.faults = BTreeMap::from([(hostile.clone(), hostile.clone())]);
    report.sending.refusals = vec![hostile.clone()];
    report.settled.reasons = vec![hostile.clone()];
    report.settled.states = BTreeMap::from([(hostile.clone(), 1)]);
    report.platform.faults = BTreeMap::from([(hostile.clone(), 1)]);
    let page = page(report);
    assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
    assert!(page.matches("alert(1)").count() >= 12, "{page}");
}

#[test]
fn a_failed_run_says_in_words_what_went_wrong() {
    let mut report = report(&[(0, 5)]);
    report.passed = false;
    report.verdict = Verdict { listings: 2, units_lost: 5, units_twice: 1, listings_off: 2, records_off: 3, ..Verdict::default() };
    report.settled = Settled { left: 4, states: BTreeMap::from([("rejected".to_owned(), 6)]), ..Settled::default() };
    let page = page(report);
    for text in [
        "<strong>Failed</strong>: 5 units lost, 1 unit applied twice.",
        "<li>Units missing from what the platform shows: 5</li>",
        "<li>Listings whose records do not add up to what was due: 3</li>",
        "<li>Pushes rejected: 6</li>",
        "<li>Pushes still under way: 4</li>",
        "<li>Pushes were still under way when the run stopped waiting.</li>",
    ] {
        assert!(page.contains(text), "{text} is missing:\n{page}");
    }
    assert_eq!(page.matches("class=\"wrong\"").count(), 2);
}

#[test]
fn a_run_that_overwrites_has_a_page_of_its_own() {
    let mut recording = Recording::new(0);
    (0..1000).for_each(|n| recording.increase(0, Some(n * 10_000)));
    let report = OverwriteReport {
        passed: false,
        setting: setting(),
        timed: true,
        began_after_seconds: 0.5,
        seconds: 9.9,
        nominal_seconds: Some(10.0),
        runs: BTreeMap::from([("timed finished".to_owned(), 1)]),
        done: 1000,
        failed: 0,
        listings: 1000,
        listings_off: 2,
        overwritten_again: 0,
        settled: Settled { quiet: true, ..Settled::default() },
        platform: Stats::default(),
        delivered_in: Latencies { count: 1000, p50_ms: 5000.0, p90_ms: 9000.0, p99_ms: 9900.0, max_ms: 9990.0 },
        course: recording.finish(),
    };
    let page = checked(&Report::Overwrite(report).page().unwrap());
    for text in ["998 of 1,000 listings show their target", "a timed daily run", "1,000 overwrites, each from the request for the run"] {
        assert!(page.contains(text), "{text} is missing:\n{page}");
    }
    assert!(!page.contains("events accepted"), "{page}");
}
