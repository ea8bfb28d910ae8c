//! What the operator allows one seller in the place of what all sellers may: fewer or more stock events, SKUs and stores, and records
//! that are kept for a shorter time.
use super::FieldError;
use super::limits::MAX_STORES;
use super::problem::Checks;
use serde::Serialize;
use std::time::Duration;

/// The most stock events per second that a seller can be allowed.
pub const MAX_EVENTS_PER_SECOND: i64 = 1_000_000;
/// The most SKUs that a seller can be allowed.
pub const MAX_SKUS: i64 = 10_000_000;
/// The longest time for which a seller's records can be kept, in days.
pub const MAX_RECORDS_KEPT_DAYS: i64 = 3_650;

const DAY: Duration = Duration::from_secs(86_400);

/// The limits of one seller; null is the same as for all sellers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = OwnLimits)]
pub struct SellerLimits {
    /// Stock events and rows of other bulk requests per second, on each node; bursts may be twice as large.
    pub events_per_second: Option<i64>,
    /// The most SKUs.
    pub skus: Option<i64>,
    /// The most stores.
    pub stores: Option<i64>,
    /// Days for which finished updates, runs and the audit log are kept.
    pub records_kept_days: Option<i64>,
}

/// What all sellers may who have no limits of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommonLimits {
    /// See [`SellerLimits::events_per_second`].
    pub events_per_second: i64,
    /// See [`SellerLimits::skus`].
    pub skus: i64,
    /// How long finished updates, runs and the audit log are kept.
    pub records_kept_for: Duration,
}

/// What a seller may.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = LimitsAnswer)]
pub struct Allowed {
    /// Stock events and rows of other bulk requests per second, on each node; bursts may be twice as large.
    pub events_per_second: i64,
    /// The most SKUs.
    pub skus: i64,
    /// The most stores.
    pub stores: i64,
    /// Days for which finished updates, runs and the audit log are kept.
    pub records_kept_days: f64,
}

impl SellerLimits {
    /// What a seller with these limits may.
    pub fn over(&self, common: &CommonLimits) -> Allowed {
        #[expect(clippy::cast_precision_loss, reason = "a number of days is far below 2^52")]
        let own_days = self.records_kept_days.map(|days| days as f64);
        Allowed {
            events_per_second: self.events_per_second.unwrap_or(common.events_per_second),
            skus: self.skus.unwrap_or(common.skus),
            stores: self.max_stores(),
            records_kept_days: own_days.unwrap_or_else(|| common.records_kept_for.as_secs_f64() / DAY.as_secs_f64()),
        }
    }

    /// How many stores a seller with these limits may have.
    pub fn max_stores(&self) -> i64 {
        self.stores.unwrap_or(MAX_STORES)
    }
}

/// A change of a seller's limits; a field that is left out keeps its value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LimitsChange {
    /// See [`SellerLimits::events_per_second`].
    pub events_per_second: Option<Option<i64>>,
    /// See [`SellerLimits::skus`].
    pub skus: Option<Option<i64>>,
    /// See [`SellerLimits::stores`].
    pub stores: Option<Option<i64>>,
    /// See [`SellerLimits::records_kept_days`].
    pub records_kept_days: Option<Option<i64>>,
}

impl LimitsChange {
    /// Whether each limit is within its bounds.
    ///
    /// # Errors
    /// Every invalid field. Records may not be kept for longer than those of all sellers: they would have to be stepped over whenever
    /// those are deleted.
    pub fn check(&self, common: &CommonLimits) -> Result<(), Vec<FieldError>> {
        let mut checks = Checks::default();
        checks.within("/events_per_second", self.events_per_second.flatten(), 1, MAX_EVENTS_PER_SECOND);
        checks.within("/skus", self.skus.flatten(), 1, MAX_SKUS);
        checks.within("/stores", self.stores.flatten(), 1, MAX_STORES);
        checks.within("/records_kept_days", self.records_kept_days.flatten(), 1, MAX_RECORDS_KEPT_DAYS);
        checks.done()?;
        let longest = i64::try_from(common.records_kept_for.as_secs() / DAY.as_secs()).unwrap_or(i64::MAX);
        match self.records_kept_days.flatten() {
            Some(days) if days > longest => {
                let detail = format!("must be at most {longest}, the days for which the records of all sellers are kept");
                Err(vec![FieldError::new("/records_kept_days", detail)])
            }
            _ => Ok(()),
        }
    }

    /// The limits after it.
    pub fn apply(&self, old: SellerLimits) -> SellerLimits {
        SellerLimits {
            events_per_second: self.events_per_second.unwrap_or(old.events_per_second),
            skus: self.skus.unwrap_or(old.skus),
            stores: self.stores.unwrap_or(old.stores),
            records_kept_days: self.records_kept_days.unwrap_or(old.records_kept_days),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: CommonLimits =
        CommonLimits { events_per_second: 10_000, skus: 100_000, records_kept_for: Duration::from_secs(30 * 86_400) };

    #[test]
    fn what_a_seller_has_no_limit_of_its_own_for_is_the_same_as_for_all() {
        let all = SellerLimits::default().over(&COMMON);
        assert_eq!(all, Allowed { events_per_second: 10_000, skus: 100_000, stores: MAX_STORES, records_kept_days: 30.0 });
        let own = SellerLimits { events_per_second: Some(5), skus: Some(7), stores: Some(2), records_kept_days: Some(1) }.over(&COMMON);
        assert_eq!(own, Allowed { events_per_second: 5, skus: 7, stores: 2, records_kept_days: 1.0 });
    }

    #[test]
    fn a_change_is_checked_field_by_field_and_null_takes_a_limit_away() {
        let change = |value| LimitsChange {
            events_per_second: Some(Some(value)),
            skus: Some(Some(value)),
            stores: Some(Some(value)),
            records_kept_days: Some(Some(value)),
        };
        for (value, wrong) in [(0, 4), (1, 0), (30, 0), (31, 1), (1001, 1), (i64::MAX, 4), (-1, 4)] {
            assert_eq!(change(value).check(&COMMON).err().map_or(0, |errors| errors.len()), wrong, "{value}");
        }
        let old = SellerLimits { events_per_second: Some(5), skus: Some(7), stores: Some(2), records_kept_days: Some(1) };
        let new = LimitsChange { skus: Some(None), stores: Some(Some(3)), ..LimitsChange::default() }.apply(old);
        assert_eq!(new, SellerLimits { skus: None, stores: Some(3), ..old });
    }
}
