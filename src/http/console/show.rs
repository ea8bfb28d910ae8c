//! How values are formatted: times in the seller's zone, units, states. Small pieces of HTML are templates of their
//! own, so their contents are escaped as on every page.
use crate::domain::Timestamp;
use crate::domain::acting::MustAct;
use crate::domain::push::{PushKind, PushState};
use crate::domain::units::UnitsEach;
use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{Datelike, Offset, TimeDelta};
use chrono_tz::Tz;
use std::borrow::Cow;

/// An instant in short, with the full date, time and zone as its tooltip.
#[derive(Debug, Clone, Template)]
#[template(source = r#"<time datetime="{{ iso }}" title="{{ full }}">{{ short }}</time>"#, ext = "html")]
pub(super) struct Stamp {
    iso: String,
    full: String,
    short: String,
}
impl HtmlSafe for Stamp {}

impl Stamp {
    /// Shows only the date.
    pub fn day(at: Timestamp, zone: Tz) -> Self {
        let local = at.in_zone(zone);
        Self { iso: iso(at), full: full(at, zone), short: local.format("%-d %b %Y").to_string() }
    }

    /// Omits the date if it is today and the year if it is this year, in this zone.
    pub fn new(at: Timestamp, zone: Tz, now: Timestamp) -> Self {
        let local = at.in_zone(zone);
        let today = now.in_zone(zone);
        let short = if local.date_naive() == today.date_naive() {
            local.format("%H:%M:%S")
        } else if local.year() == today.year() {
            local.format("%-d %b, %H:%M")
        } else {
            local.format("%-d %b %Y, %H:%M")
        };
        Self { iso: iso(at), full: full(at, zone), short: short.to_string() }
    }
}

fn iso(at: Timestamp) -> String {
    at.to_utc().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// An instant with its date, its zone and the zone's offset from UTC.
pub(super) fn full(at: Timestamp, zone: Tz) -> String {
    let local = at.in_zone(zone);
    format!("{}, {}", local.format("%a %-d %b %Y, %H:%M:%S"), zone_name(zone, at))
}

/// A zone and its offset from UTC at this instant: `Europe/Berlin (UTC+02:00)`.
pub(super) fn zone_name(zone: Tz, at: Timestamp) -> String {
    let offset = at.in_zone(zone).offset().fix();
    if zone == Tz::UTC || zone == Tz::Etc__UTC { "UTC".to_owned() } else { format!("{} (UTC{offset})", zone.name()) }
}

/// A number with thousands separators.
pub(super) fn units(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if value < 0 {
        text.push('−');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun: "1 listing", "2,400 listings".
pub(super) fn count(number: i64, one: &str, many: &str) -> String {
    format!("{} {}", units(number), if number == 1 { one } else { many })
}

/// "6 units each", of a listing that is more than one unit of its SKU.
pub(super) fn units_each(each: UnitsEach) -> Option<String> {
    (!each.is_one()).then(|| format!("{} units each", units(each.get())))
}

pub(super) fn sentence_case(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// Who can end a trouble, to a seller.
pub(super) fn must_act(must_act: MustAct) -> &'static str {
    match must_act {
        MustAct::Seller => "You must act.",
        MustAct::Shop => "The shop must act.",
        MustAct::Operator => "The operator of this service must act.",
    }
}

/// A difference with its sign.
pub(super) fn change(value: i64) -> String {
    match value {
        0 => "0".to_owned(),
        1.. => format!("+{}", units(value)),
        _ => units(value),
    }
}

/// What a push does: "+3", "-3" or "set to 12".
pub(super) fn effect(kind: PushKind, quantity: Option<i64>) -> String {
    match (kind, quantity) {
        (PushKind::Increase, Some(quantity)) => change(quantity),
        (PushKind::Overwrite, Some(quantity)) => format!("set to {}", units(quantity)),
        (PushKind::Overwrite, None) => "set to target".to_owned(),
        (PushKind::Increase, None) => "+?".to_owned(),
    }
}

/// A percentage with at most two decimals: "33.33%".
pub(super) fn percent(value: f64) -> String {
    format!("{}%", percent_number(value))
}

/// The same without its sign, for number fields.
pub(super) fn percent_number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A duration in its largest suitable unit.
pub(super) fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds();
    match seconds {
        ..=0 => format!("{} ms", span.num_milliseconds().max(0)),
        1..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Percent-encodes a value for a query string.
pub(super) fn query_value(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").ok();
        }
        out
    })
}

/// A state as a colored word.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(source = r#"<span class="badge {{ tone }}">{{ word }}</span>"#, ext = "html")]
pub(super) struct Badge {
    word: Cow<'static, str>,
    tone: &'static str,
}
impl HtmlSafe for Badge {}

impl Badge {
    pub fn word(&self) -> &str {
        &self.word
    }

    pub fn is_bad(&self) -> bool {
        self.tone == "bad"
    }

    /// `tone` is a class of the style sheet: good, quiet, wait, warn or bad.
    pub fn new(word: impl Into<Cow<'static, str>>, tone: &'static str) -> Self {
        Self { word: word.into(), tone }
    }
}

pub(super) fn push_state(state: PushState) -> Badge {
    match state {
        PushState::Queued => Badge::new("Queued", "wait"),
        PushState::Sending => Badge::new("Sending", "wait"),
        PushState::Confirmed => Badge::new("Confirmed", "good"),
        PushState::Retrying => Badge::new("Retrying", "warn"),
        PushState::Uncertain => Badge::new("Checking", "warn"),
        PushState::Rejected => Badge::new("Rejected", "bad"),
        PushState::Held => Badge::new("Held", "warn"),
        PushState::Superseded => Badge::new("Replaced", "quiet"),
        PushState::Cancelled => Badge::new("Canceled", "quiet"),
    }
}

pub(super) fn push_state_meaning(state: PushState) -> &'static str {
    match state {
        PushState::Queued => "Waiting to be sent.",
        PushState::Sending => "Being sent to the store.",
        PushState::Confirmed => "The store applied it.",
        PushState::Retrying => "Not applied by the store. It will be retried automatically.",
        PushState::Uncertain => "The store gave no clear answer. We are checking whether it was applied, so it is never applied twice.",
        PushState::Rejected => "It will not be retried automatically.",
        PushState::Held => "Waiting until the store is resumed or reauthorized.",
        PushState::Superseded => "A later update replaced it.",
        PushState::Cancelled => "It will not be sent.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_percentages_and_changes_are_formatted() {
        assert_eq!([0, 7, -1234, 1_000_000].map(units), ["0", "7", "−1,234", "1,000,000"]);
        assert_eq!([30.0, 33.33, 12.5].map(percent), ["30%", "33.33%", "12.5%"]);
        assert_eq!([3, 0, -3].map(change), ["+3", "0", "−3"]);
        assert_eq!(query_value("a b&ü"), "a%20b%26%C3%BC");
    }

    #[test]
    fn times_are_shown_in_the_zone_and_name_it() {
        let at = "2026-03-29T01:00:00Z".parse().unwrap();
        let stamp = Stamp::new(at, Tz::Europe__Berlin, at);
        assert_eq!(
            stamp.to_string(),
            r#"<time datetime="2026-03-29T01:00:00.000Z" title="Sun 29 Mar 2026, 03:00:00, Europe/Berlin (UTC+02:00)">03:00:00</time>"#
        );
    }
}
