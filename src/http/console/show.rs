//! How values are shown: times in the seller's zone, units, states in words. Small pieces of HTML are templates of
//! their own, so what stands in them is escaped like everywhere.
use crate::domain::Timestamp;
use crate::domain::push::{PushKind, PushState};
use askama::Template;
use askama::filters::HtmlSafe;
use chrono::{Datelike, Offset, TimeDelta};
use chrono_tz::Tz;

/// An instant: short to read, whole and with its zone as a title.
#[derive(Debug, Clone, Template)]
#[template(source = r#"<time datetime="{{ iso }}" title="{{ whole }}">{{ short }}</time>"#, ext = "html")]
pub(super) struct Stamp {
    iso: String,
    whole: String,
    short: String,
}
impl HtmlSafe for Stamp {}

impl Stamp {
    /// Its date alone, for what is long ago or hardly needs a time.
    pub fn day(at: Timestamp, zone: Tz) -> Self {
        let local = at.in_zone(zone);
        Self { iso: iso(at), whole: whole(at, zone), short: local.format("%-d %b %Y").to_string() }
    }

    /// As it is read in this zone, on this day.
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
        Self { iso: iso(at), whole: whole(at, zone), short: short.to_string() }
    }
}

fn iso(at: Timestamp) -> String {
    at.to_utc().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// An instant with its date, its zone and its distance from UTC.
pub(super) fn whole(at: Timestamp, zone: Tz) -> String {
    let local = at.in_zone(zone);
    format!("{}, {}", local.format("%a %-d %b %Y, %H:%M:%S"), zone_name(zone, at))
}

/// A zone and its distance from UTC at this instant: `Europe/Berlin (UTC+02:00)`.
pub(super) fn zone_name(zone: Tz, at: Timestamp) -> String {
    let offset = at.in_zone(zone).offset().fix();
    if zone == Tz::UTC || zone == Tz::Etc__UTC { "UTC".to_owned() } else { format!("{} (UTC{offset})", zone.name()) }
}

/// Units with their thousands apart.
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

/// A count and what is counted: "1 listing", "2,400 listings".
pub(super) fn count(number: i64, one: &str, many: &str) -> String {
    format!("{} {}", units(number), if number == 1 { one } else { many })
}

/// With its first letter as a capital.
pub(super) fn sentence_case(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A change, with its sign.
pub(super) fn change(value: i64) -> String {
    match value {
        0 => "0".to_owned(),
        1.. => format!("+{}", units(value)),
        _ => units(value),
    }
}

/// What a push does: "+3" or "set to 12".
pub(super) fn effect(kind: PushKind, quantity: Option<i64>) -> String {
    match (kind, quantity) {
        (PushKind::Increase, Some(units_)) => format!("+{}", units(units_)),
        (PushKind::Overwrite, Some(units_)) => format!("set to {}", units(units_)),
        (PushKind::Overwrite, None) => "set to target".to_owned(),
        (PushKind::Increase, None) => "+?".to_owned(),
    }
}

/// A share or another percentage, without a needless fraction.
pub(super) fn percent(value: f64) -> String {
    let text = format!("{value:.2}");
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// How long something takes, in one unit.
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

/// A value in an address's query.
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

/// A state, in a word and a colour.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(source = r#"<span class="badge {{ tone }}">{{ word }}</span>"#, ext = "html")]
pub(super) struct Badge {
    word: &'static str,
    tone: &'static str,
}
impl HtmlSafe for Badge {}

impl Badge {
    /// The word.
    pub fn word(&self) -> &'static str {
        self.word
    }

    /// Of this word; the tone is a class of the style sheet.
    pub fn new(word: &'static str, tone: &'static str) -> Self {
        Self { word, tone }
    }
}

/// The state of a push.
pub(super) fn push_state(state: PushState) -> Badge {
    match state {
        PushState::Queued => Badge::new("Queued", "wait"),
        PushState::Sending => Badge::new("Sending", "wait"),
        PushState::Confirmed => Badge::new("Confirmed", "good"),
        PushState::Retrying => Badge::new("Retrying", "warn"),
        PushState::Uncertain => Badge::new("Checking", "warn"),
        PushState::Rejected => Badge::new("Rejected", "bad"),
        PushState::Held => Badge::new("Held", "warn"),
        PushState::Superseded => Badge::new("Superseded", "quiet"),
        PushState::Cancelled => Badge::new("Cancelled", "quiet"),
    }
}

/// What a state means, for whoever wonders.
pub(super) fn push_state_meaning(state: PushState) -> &'static str {
    match state {
        PushState::Queued => "It waits for its turn.",
        PushState::Sending => "It is on its way to the store.",
        PushState::Confirmed => "The store applied it.",
        PushState::Retrying => "The store surely did not apply it; it is tried again by itself.",
        PushState::Uncertain => "The store gave no clear answer. Whether it was applied is being found out; it is never applied twice.",
        PushState::Rejected => "It is not tried again by itself.",
        PushState::Held => "It waits until the store is resumed or authorised again.",
        PushState::Superseded => "A later push took its place.",
        PushState::Cancelled => "It was called off.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_percentages_read_well() {
        assert_eq!([0, 7, -1234, 1_000_000].map(units), ["0", "7", "−1,234", "1,000,000"]);
        assert_eq!([30.0, 33.33, 12.5].map(percent), ["30 %", "33.33 %", "12.5 %"]);
        assert_eq!([3, 0, -3].map(change), ["+3", "0", "−3"]);
        assert_eq!(query_value("a b&ü"), "a%20b%26%C3%BC");
    }

    #[test]
    fn times_are_in_the_zone_and_name_it() {
        let at = "2026-03-29T01:00:00Z".parse().unwrap();
        let stamp = Stamp::new(at, Tz::Europe__Berlin, at);
        assert_eq!(
            stamp.to_string(),
            r#"<time datetime="2026-03-29T01:00:00.000Z" title="Sun 29 Mar 2026, 03:00:00, Europe/Berlin (UTC+02:00)">03:00:00</time>"#
        );
    }
}
