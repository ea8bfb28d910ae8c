//! [`Timestamp`]: the one type for instants, from a database row to a JSON answer.
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

/// An instant in UTC, in milliseconds since 1970. Arithmetic saturates.
///
/// Its JSON form is RFC 3339. For calendar computations, use [`Timestamp::to_utc`] or [`Timestamp::in_zone`].
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Earlier than any instant stored in a row.
    pub const MIN: Self = Self(i64::MIN);

    /// `ms` milliseconds after the start of 1970, UTC.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the start of 1970, UTC.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The same instant as a calendar date and time, or the nearest that chrono can represent.
    pub fn to_utc(self) -> DateTime<Utc> {
        let nearest = if self.0 < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
        DateTime::from_timestamp_millis(self.0).unwrap_or(nearest)
    }

    /// The same instant in local time.
    pub fn in_zone(self, zone: Tz) -> DateTime<Tz> {
        self.to_utc().with_timezone(&zone)
    }
}

/// Whole milliseconds, saturating.
fn millis_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis_of(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis_of(duration)))
    }
}

impl Add<TimeDelta> for Timestamp {
    type Output = Self;
    fn add(self, delta: TimeDelta) -> Self {
        Self(self.0.saturating_add(delta.num_milliseconds()))
    }
}

impl Sub<TimeDelta> for Timestamp {
    type Output = Self;
    fn sub(self, delta: TimeDelta) -> Self {
        Self(self.0.saturating_sub(delta.num_milliseconds()))
    }
}

impl Sub for Timestamp {
    type Output = TimeDelta;
    /// The time from `earlier` to `self`; negative if `self` is the earlier one.
    fn sub(self, earlier: Self) -> TimeDelta {
        // `i64::MIN` is the only number of milliseconds that a `TimeDelta` cannot hold.
        TimeDelta::try_milliseconds(self.0.saturating_sub(earlier.0)).unwrap_or(TimeDelta::MIN)
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at.timestamp_millis())
    }
}

impl FromStr for Timestamp {
    type Err = chrono::ParseError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<DateTime<Utc>>().map(Self::from)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_utc().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        DateTime::<Utc>::deserialize(from).map(Self::from)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.to_utc().serialize(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_text_form_is_rfc_3339_in_both_directions() {
        for text in ["2026-11-29T09:26:17Z", "2026-11-29T09:26:17.250Z"] {
            let at: Timestamp = text.parse().unwrap();
            assert_eq!(at.to_string(), text);
            assert_eq!(serde_json::to_value(at).unwrap(), text);
            assert_eq!(serde_json::from_value::<Timestamp>(text.into()).unwrap(), at);
            assert_eq!(format!("{at:?}"), text);
            assert_eq!(Timestamp::from(at.to_utc()), at);
        }
    }

    #[test]
    fn arithmetic_saturates() {
        let (early, late) = (Timestamp::from_millis(1_000), Timestamp::from_millis(3_500));
        assert_eq!(early + Duration::from_millis(2_500), late);
        assert_eq!(late - Duration::from_millis(2_500), early);
        assert_eq!(early + TimeDelta::milliseconds(2_500), late);
        assert_eq!(late - TimeDelta::milliseconds(2_500), early);
        assert_eq!((late - early, early - late), (TimeDelta::milliseconds(2_500), TimeDelta::milliseconds(-2_500)));
        assert_eq!(early - early, TimeDelta::zero());
        let (first, last) = (Timestamp::MIN, Timestamp::from_millis(i64::MAX));
        assert_eq!(
            (last - early - (last - late), first - last < TimeDelta::zero(), last - first > TimeDelta::zero()),
            (late - early, true, true)
        );
        assert_eq!((late + Duration::MAX).as_millis(), i64::MAX);
        assert_eq!(Timestamp::MIN - Duration::from_millis(1), Timestamp::MIN);
        assert_eq!(
            (Timestamp::from_millis(i64::MAX).to_utc(), Timestamp::MIN.to_utc()),
            (DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::MIN_UTC)
        );
    }
}
