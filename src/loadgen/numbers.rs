//! Numbers as a report's page shows them.

/// A whole number with its thousands separated.
pub(super) fn whole(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number per second.
pub(super) fn rate(per_second: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and far below 2^64")]
    if per_second >= 100.0 { whole(per_second.round() as u64) } else { format!("{per_second:.1}") }
}

/// A number in a few characters.
pub(super) fn short(value: f64) -> String {
    let trimmed = |value: f64| {
        let text = if value < 1.0 { format!("{value:.3}") } else { format!("{value:.2}") };
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match value {
        v if v >= 1e15 => format!("{v:.0e}"),
        v if v >= 1e9 => format!("{} G", trimmed(v / 1e9)),
        v if v >= 1e6 => format!("{} M", trimmed(v / 1e6)),
        v if v >= 1e4 => format!("{} k", trimmed(v / 1e3)),
        v if v >= 100.0 => format!("{v:.0}"),
        v => trimmed(v),
    }
}

/// A duration in a few characters.
pub(super) fn ms_text(ms: f64) -> String {
    match ms {
        ms if ms >= 1000.0 => seconds_text(ms / 1000.0),
        ms => format!("{} ms", short(ms)),
    }
}

pub(super) fn seconds_text(seconds: f64) -> String {
    match seconds {
        s if s >= 7200.0 => format!("{} h", short(s / 3600.0)),
        s if s >= 300.0 => format!("{} min", short(s / 60.0)),
        s => format!("{} s", short(s)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_short() {
        let numbers = [0.0, 0.125, 7.5, 100.4, 9_999.0, 12_500.0, 3e6, 2.5e9, 1.8e19].map(short);
        assert_eq!(numbers, ["0", "0.125", "7.5", "100", "9999", "12.5 k", "3 M", "2.5 G", "2e19"]);
        let durations = [0.1, 38.0, 1400.0, 600_000.0, 7_200_000.0].map(ms_text);
        assert_eq!(durations, ["0.1 ms", "38 ms", "1.4 s", "10 min", "2 h"]);
    }

    #[test]
    fn whole_numbers_have_separated_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(whole), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 7.26, 99.94, 12_345.6].map(rate), ["0.0", "7.3", "99.9", "12,346"]);
    }
}
