//! What the page of a report says in words and numbers: the verdict, what went wrong, the parameters, the counts.
use super::numbers::{ms_text, rate, seconds_text, whole};
use super::report::{EventsReport, OverwriteReport, Report, Settled};
use super::setting::Setting;
use crate::simulator::Stats;

/// A number that a reader looks for first.
pub(super) struct Tile {
    pub(super) name: &'static str,
    pub(super) value: String,
    /// Whether it must be zero, and is not.
    pub(super) is_wrong: bool,
}

fn tile(name: &'static str, value: String) -> Tile {
    Tile { name, value, is_wrong: false }
}

fn must_be_zero(name: &'static str, number: u64) -> Tile {
    Tile { name, value: whole(number), is_wrong: number > 0 }
}

fn units(number: i64) -> u64 {
    number.unsigned_abs()
}

pub(super) fn headline(report: &Report) -> String {
    match report {
        Report::Events(report) => {
            let verdict = &report.verdict;
            let count = |number: i64, done: &str| match number {
                0 => format!("no unit {done}"),
                1 => format!("1 unit {done}"),
                many => format!("{} units {done}", whole(units(many))),
            };
            let unfinished = if report.passed || !verdict.is_right() { "" } else { ", but the run is not right" };
            format!("{}, {}{unfinished}", count(verdict.units_lost, "lost"), count(verdict.units_twice, "applied twice"))
        }
        Report::Overwrite(report) => match report.listings - report.listings_off.min(report.listings) {
            right if right == report.listings => format!("all {} listings show their target", whole(right)),
            right => format!("{} of {} listings show their target", whole(right), whole(report.listings)),
        },
    }
}

/// Why a run did not pass.
pub(super) fn problems(report: &Report) -> Vec<String> {
    if report.passed() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut if_any = |what: &str, number: u64| {
        if number > 0 {
            found.push(format!("{what}: {}", whole(number)));
        }
    };
    let (settled, listings) = match report {
        Report::Events(EventsReport { sending, verdict, settled, .. }) => {
            if_any("Units missing from what the platform shows", units(verdict.units_lost));
            if_any("Units shown that should not be there", units(verdict.units_twice));
            if_any("Overwrites with a quantity that was not the target at that time", verdict.healed_off_target);
            if_any("Listings whose records do not add up to what was due", verdict.records_off);
            if_any("Events rejected", sending.refused);
            if_any("Events accepted twice", sending.accepted_twice);
            for state in ["rejected", "cancelled"] {
                if_any(&format!("Pushes {state}"), settled.states.get(state).copied().unwrap_or(0));
            }
            (settled, verdict.listings)
        }
        Report::Overwrite(OverwriteReport { failed, done, listings, listings_off, settled, .. }) => {
            if_any("Listings that do not show their target", *listings_off);
            if_any("Listings that could not be overwritten", *failed);
            if_any("Listings that the runs leave out or count twice", listings.abs_diff(*done));
            (settled, *listings)
        }
    };
    if_any("Pushes still under way", settled.left);
    if listings == 0 {
        found.push("There was no listing to compare.".to_owned());
    }
    if !settled.quiet {
        found.push("Pushes were still under way when the run stopped waiting.".to_owned());
    }
    found
}

pub(super) fn tiles(report: &Report) -> Vec<Tile> {
    let (mut tiles, latencies) = match report {
        Report::Events(report) => {
            let verdict = &report.verdict;
            let tiles = vec![
                must_be_zero("units lost", units(verdict.units_lost)),
                must_be_zero("units applied twice", units(verdict.units_twice)),
                tile("units due", whole(units(verdict.units_due))),
                tile("listings compared", whole(verdict.listings)),
                tile("events accepted/s", rate(report.sending.events_per_second)),
            ];
            (tiles, report.delivered_in)
        }
        Report::Overwrite(report) => {
            let nominal = report.nominal_seconds.map_or_else(|| "none".to_owned(), seconds_text);
            let tiles = vec![
                must_be_zero("listings off target", report.listings_off),
                must_be_zero("listings failed", report.failed),
                tile("listings overwritten", whole(report.done)),
                tile("first to last receipt", seconds_text(report.seconds)),
                tile("at the rate limit", nominal),
            ];
            (tiles, report.delivered_in)
        }
    };
    if latencies.count > 0 {
        tiles.extend(
            [("p50", latencies.p50_ms), ("p99", latencies.p99_ms), ("longest", latencies.max_ms)].map(|(n, ms)| tile(n, ms_text(ms))),
        );
    }
    tiles
}

/// What is needed to repeat the run.
pub(super) fn parameters(setting: &Setting) -> Vec<(String, String)> {
    let Setting { run, seed, sellers, stores, skus, face, offers, options, surroundings } = setting;
    let listings = sellers.saturating_mul(*stores).saturating_mul(*skus);
    let number = |number: usize| whole(u64::try_from(number).unwrap_or(u64::MAX));
    let known = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
    let row = |name: &str, value: String| (name.to_owned(), value);
    let mut rows = vec![
        row("run", run.clone()),
        row("began", known(&surroundings.started_at)),
        row("seed", seed.to_string()),
        row(
            "sellers × stores × SKUs",
            format!("{} × {} × {} = {} listings", number(*sellers), number(*stores), number(*skus), number(listings)),
        ),
        row("face of the platform", format!("{face:?}").to_lowercase()),
        row("the platform offers", format!("{offers:?}")),
    ];
    rows.extend(options.iter().map(|(name, value)| (name.clone(), value.clone())));
    match surroundings.faults.is_empty() {
        true => rows.push(row("faults of the platform", "none".to_owned())),
        false => rows.extend(surroundings.faults.iter().map(|(name, value)| (format!("platform: {name}"), value.clone()))),
    }
    rows.extend([
        row("Stocktide", known(&surroundings.version)),
        row("database", known(&surroundings.database)),
        row("machine", format!("{}, {} cores", known(&surroundings.machine), surroundings.cores)),
    ]);
    rows
}

/// Everything else that was counted.
pub(super) fn counts(report: &Report) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    let (settled, platform) = match report {
        Report::Events(report) => {
            let (sending, verdict) = (&report.sending, &report.verdict);
            row("events accepted", format!("{} of {}", whole(sending.accepted), whole(sending.events)));
            row("sending took", seconds_text(sending.seconds));
            row("requests answered", format!("{}, {}/s", whole(sending.requests), rate(sending.requests_per_second)));
            row("answered in", sending.answered_in.to_string());
            row("requests sent twice on purpose", whole(sending.repeated));
            row("results that say duplicate", whole(sending.duplicates));
            let retries = &sending.retries;
            for (name, number) in [
                ("retried: throttled", retries.throttled),
                ("retried: unavailable", retries.unavailable),
                ("retried: answer lost", retries.lost),
                ("retried: not connected", retries.not_connected),
            ] {
                row(name, whole(number));
            }
            sending.refusals.iter().for_each(|reason| row("rejected because", reason.clone()));
            row("increases that could not be timed", whole(report.not_followed));
            row("listings that show a wrong quantity", whole(verdict.listings_off));
            row("listings overwritten after an unknown outcome", whole(verdict.healed));
            let records = if verdict.records_pruned { "not compared".to_owned() } else { whole(verdict.records_off) };
            row("listings with wrong records", records);
            (&report.settled, &report.platform)
        }
        Report::Overwrite(report) => {
            row("requested as", if report.timed { "a timed daily run" } else { "a manual sync" }.to_owned());
            row("first receipt after", seconds_text(report.began_after_seconds));
            report.runs.iter().for_each(|(run, count)| row(&format!("runs: {run}"), whole(*count)));
            row("listings compared", whole(report.listings));
            row("listings overwritten more than once", whole(report.overwritten_again));
            (&report.settled, &report.platform)
        }
    };
    rows.extend(of_settling(settled));
    rows.extend(of_platform(platform));
    rows
}

fn of_settling(settled: &Settled) -> Vec<(String, String)> {
    let states = settled.states.iter().map(|(state, count)| (format!("pushes: {state}"), whole(*count)));
    let reasons = settled.reasons.iter().map(|reason| ("a push that was not confirmed".to_owned(), reason.clone()));
    states.chain([("pushes were done after".to_owned(), seconds_text(settled.seconds))]).chain(reasons).collect()
}

fn of_platform(platform: &Stats) -> Vec<(String, String)> {
    let Stats { calls, items, over_limit, repeats, faults } = platform;
    let counted = [
        ("calls to the platform", calls),
        ("changes applied there", items),
        ("calls over its limit", over_limit),
        ("keys answered from its memory", repeats),
    ];
    let counted = counted.map(|(name, count)| (name.to_owned(), whole(*count)));
    counted.into_iter().chain(faults.iter().map(|(name, count)| (format!("faults drawn: {name}"), whole(*count)))).collect()
}
