//! Shares of the pool: parsed from percentages, shown as percentages, and limited to 100% in total.
use crate::db::stores::Store;
use crate::db::{Error, Tenant};
use crate::domain::allocation::{AllocationMode, Share};
use crate::domain::limits::MAX_STORES;
use crate::domain::settings::{SyncSettings, check_exclusive_shares};
use serde::Serializer;

/// Serializes a percentage; a whole number has no fraction: 30, not 30.0.
///
/// # Errors
/// If the serializer fails.
pub fn percent<S: Serializer>(share: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    match share {
        None => to.serialize_none(),
        #[expect(clippy::cast_possible_truncation, reason = "a share is from 0 to 100")]
        Some(share) if share.fract() == 0.0 => to.serialize_i64(*share as i64),
        Some(share) => to.serialize_f64(*share),
    }
}

/// Reads a percentage.
///
/// # Errors
/// What a valid percentage is, for people.
pub fn share_of(percent: f64) -> Result<Share, &'static str> {
    Share::from_percent(percent).ok_or("must be from 0 to 100, with at most two decimals")
}

/// Refuses shares that sum to more than 100% of an exclusive seller's pool; `pointer` is the field to report.
pub(super) fn check_shares(t: &mut Tenant<'_>, settings: &SyncSettings, pointer: &str) -> Result<(), Error> {
    check_shares_of(t, settings, None, pointer)
}

/// [`check_shares`] where only the shares of these SKUs have changed.
pub(super) fn check_shares_of(t: &mut Tenant<'_>, settings: &SyncSettings, skus: Option<&[String]>, pointer: &str) -> Result<(), Error> {
    if settings.allocation_mode != AllocationMode::Exclusive {
        return Ok(());
    }
    let stores: Vec<_> = t.stores(None, MAX_STORES)?.iter().map(Store::rules).collect();
    let rules = match skus {
        Some(skus) => t.rules_of(skus)?,
        None => t.rules_with_shares()?,
    };
    check_exclusive_shares(settings, &stores, &rules.into_iter().collect(), pointer).map_err(|error| Error::Invalid(vec![error]))
}

/// The default share of a new store, in percent: all stock or, in exclusive mode, what is unallocated. `None` if that is nothing:
/// with a share of 0% the store would be set to 0, without a share it is left alone.
///
/// # Errors
/// If the rows cannot be read.
pub fn free_share(t: &mut Tenant<'_>) -> Result<Option<f64>, Error> {
    if t.sync_settings()?.allocation_mode == AllocationMode::Shared {
        return Ok(Some(100.0));
    }
    let taken: f64 = t.stores(None, MAX_STORES)?.iter().filter_map(|store| store.share).map(Share::percent).sum();
    Ok(Some(100.0 - taken).filter(|free| *free >= 0.01))
}
