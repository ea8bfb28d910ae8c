//! Unseen sales: units that a store has sold and that nobody has reported yet. An overwrite with the bare target would put them
//! on sale again.
//!
//! Of each listing of a protected store, an [`Expectation`] is kept: what the listing would show if every sale of the store had
//! been reported. Whatever is sent to the listing moves it as it moves what is shown, and a reported sale lowers it. So what is
//! missing when the listing is read, just before an overwrite, are the unseen sales, and they are taken off the target.
//!
//! All of this is in units of the SKU, because sales are reported in those, and a part of a pack may be reported before the rest. What
//! a listing shows, and what is sent to it, are in units of the listing ([`UnitsEach`]).
//!
//! Where two explanations are possible, the one with fewer sales is taken: whoever buys nothing must not empty a shop.
use super::Timestamp;
use super::units::UnitsEach;
use std::time::Duration;

/// How long, in hours, units may be missing before they count as drift instead of as sales.
pub const HOURS: std::ops::RangeInclusive<i64> = 1..=720;
/// The same where nothing else is set.
pub const DEFAULT_HOURS: i64 = 72;

/// Checks a number of hours that somebody has entered.
///
/// # Errors
/// The bounds, in words.
pub fn check_hours(hours: i64) -> Result<(), String> {
    if HOURS.contains(&hours) { Ok(()) } else { Err(format!("must be from {} to {}", HOURS.start(), HOURS.end())) }
}

/// For how long units may be missing until they are drift.
pub fn for_hours(hours: i64) -> Duration {
    Duration::from_secs(u64::try_from(hours).unwrap_or(0) * 3600)
}

/// The most that a listing may show, or be changed by, for anything to be expected of it: any more is an error of the platform's, and
/// would not fit once it is multiplied.
const MOST: i64 = 100_000_000_000_000;

/// Whether something can be expected of a listing that shows so much, or is changed by so much.
pub fn is_plausible(of_listing: i64) -> bool {
    (-MOST..=MOST).contains(&of_listing)
}

/// What is expected of a listing, in units of its SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expectation {
    /// What it would show if every sale of its store had been reported; `None` where that is not kept.
    pub units: Option<i64>,
    /// The same if a push of unknown outcome was applied.
    pub otherwise: Option<i64>,
    /// Units that were found to be missing, less those reported since.
    pub unseen: i64,
    /// Since when.
    pub unseen_since: Option<Timestamp>,
    /// When it was last learned what the listing shows.
    pub shown_at: Option<Timestamp>,
    /// How many units of the SKU one of the listing is.
    pub each: UnitsEach,
    /// How many sales of its store were reported. Where nothing is expected yet, only this tells that one was.
    pub reports: i64,
    /// How many units of the SKU those were.
    pub sold: i64,
    /// Units reported as sold by its store, less those reported as put back, of which it is not known which listing of the SKU has sold
    /// them, where there are several: see [`siblings`](super::siblings). They are not taken off `units` yet.
    pub unattributed: i64,
}

/// What a read has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Units of the listing that were sold and not all reported yet.
    pub unseen: i64,
    /// The same in units of the SKU.
    pub missing: i64,
    /// What is expected from now on.
    pub expectation: Expectation,
}

impl Expectation {
    /// The unseen sales of a listing that shows this, and to which nothing is on its way; with `left_late`, an earlier request that
    /// was given up explains that number exactly. Units that have been missing for `limit` are drift.
    pub fn read(self, shown: i64, left_late: bool, limit: Duration, now: Timestamp) -> Found {
        let is_plausible = is_plausible(shown);
        let (missing, shown) = (self.missing(shown, left_late), self.each.of_sku(shown));
        let found = |unseen: i64, known: i64, since: Option<Timestamp>| Found {
            unseen: self.each.needed_for(unseen),
            missing: unseen,
            expectation: Self {
                units: is_plausible.then(|| shown.saturating_add(unseen)),
                otherwise: None,
                unseen: known,
                unseen_since: since.filter(|_| known > 0),
                ..self
            },
        };
        if self.is_left_late(shown, left_late) {
            // What was sold before and after the late request is not known any more; what was found before is, until it is drift.
            let is_drift = self.unseen_since.is_some_and(|since| since <= now && now >= since + limit);
            let unseen = if is_drift { 0 } else { self.unseen };
            return found(unseen, unseen, self.unseen_since);
        }
        let old = self.unseen.min(missing);
        if old == 0 {
            return found(missing, missing, Some(now));
        }
        // If the clock was set back, nobody knows how long ago that was.
        let since = self.unseen_since.filter(|since| *since <= now).unwrap_or(now);
        if now >= since + limit {
            let fresh = missing - old;
            return found(fresh, fresh, Some(now));
        }
        found(missing, old, Some(since))
    }

    /// Units of the SKU that are missing from a listing that shows this, however long ago they were sold.
    pub fn missing(&self, shown: i64, left_late: bool) -> i64 {
        let shown = self.each.of_sku(shown);
        if self.is_left_late(shown, left_late) {
            return self.unseen;
        }
        // Nothing but the push of unknown outcome explains a higher number.
        let expected = self.units.into_iter().chain(self.otherwise).filter(|units| *units >= shown).min();
        expected.map_or(0, |units| units.saturating_sub(shown))
    }

    /// Whether nothing but a late request explains what is shown, in units of the SKU.
    fn is_left_late(&self, shown: i64, left_late: bool) -> bool {
        left_late && self.otherwise.is_none() && self.units != Some(shown)
    }

    /// Units of the SKU that a listing shows in excess of what is expected of it.
    fn surplus(&self, shown: i64) -> i64 {
        let most = self.units.into_iter().chain(self.otherwise).max();
        most.map_or(0, |units| self.each.of_sku(shown).saturating_sub(units).max(0))
    }

    /// Of so many units that were reported, those that what this listing shows can be due to: sold, or put back if below 0.
    pub fn explained_by(&self, reported: i64, shown: i64, left_late: bool) -> i64 {
        if reported < 0 { -self.surplus(shown).min(reported.saturating_neg()) } else { self.missing(shown, left_late).min(reported) }
    }

    /// What is expected after so many units of the listing were reported as sold, or as put back if below 0. Units that were missing are
    /// those that are reported first.
    #[must_use]
    pub fn reported(self, units: i64) -> Self {
        let less = |expected: i64| expected.saturating_sub(units);
        let unseen = self.unseen.saturating_sub(units.max(0)).max(0);
        Self { units: self.units.map(less), otherwise: self.otherwise.map(less), unseen, ..self }
    }
}

/// What is sent to a listing with this target.
pub fn quantity(target: i64, unseen: i64) -> i64 {
    target.saturating_sub(unseen).max(target.min(0))
}

/// How the number of an overwrite came about from which so many units were taken off; `None` if there were none.
pub fn text(quantity: i64, unseen: i64) -> Option<String> {
    let sold = if unseen == 1 { "1 unit".to_owned() } else { format!("{unseen} units") };
    match (quantity, unseen) {
        (_, ..=0) => None,
        // The target may have been less than that.
        (0, _) => Some(format!("{sold} sold in the store and not reported yet, so nothing is left of the target")),
        _ => Some(format!("{} by the rules, less {sold} sold in the store and not reported yet", quantity.saturating_add(unseen))),
    }
}

#[cfg(test)]
mod tests;
