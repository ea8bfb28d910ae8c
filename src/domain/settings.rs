//! What a seller has set: auto-sync, its frequency, and the rules from listing up to seller.
//!
//! Rules resolve field by field: listing (SKU and store) over SKU over store over seller. A store's own share and
//! switch are its rule, and the buffer in the settings is the seller's.
use super::Timestamp;
use super::allocation::{AllocationMode, ListingRules, Share};
use super::{FieldError, Sku, StoreId, WarehouseCode};
use chrono::NaiveTime;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The largest buffer, threshold or maximum to show, in units.
pub const MAX_RULE_UNITS: i64 = super::stock::MAX_QUANTITY;
/// The longest catch-up window, in hours.
pub const MAX_CATCH_UP_HOURS: i64 = 23;

/// How often stores are written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Frequency {
    /// Each increase at once.
    Incremental,
    /// Once a day, every listing overwritten.
    TimedFull,
}

/// A seller's sync settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncSettings {
    /// The switch of *Auto-sync inventory*.
    pub auto_sync: bool,
    /// Incremental or timed full coverage.
    pub frequency: Frequency,
    /// Local time of the daily run.
    pub daily_at: NaiveTime,
    /// The seller's zone.
    pub timezone: chrono_tz::Tz,
    /// How late a missed daily run is still caught up, in hours.
    pub catch_up_hours: i64,
    /// How stores share the pool.
    pub allocation_mode: AllocationMode,
    /// The seller's safety buffer, in units.
    pub buffer: i64,
    /// Whether a cancellation triggers increases like a return.
    pub trigger_on_cancellation: bool,
    /// When the daily time last changed: earlier times are not due.
    pub timed_since: Timestamp,
}

impl SyncSettings {
    /// What a new seller has: auto-sync off, and incremental once it is switched on.
    pub fn new(timezone: chrono_tz::Tz, now: Timestamp) -> Self {
        Self {
            auto_sync: false,
            frequency: Frequency::Incremental,
            daily_at: NaiveTime::from_hms_opt(3, 30, 0).unwrap_or(NaiveTime::MIN),
            timezone,
            catch_up_hours: 4,
            allocation_mode: AllocationMode::Shared,
            buffer: 0,
            trigger_on_cancellation: false,
            timed_since: now,
        }
    }

    /// Whether increases are computed now.
    pub fn is_incremental(&self) -> bool {
        self.auto_sync && self.frequency == Frequency::Incremental
    }

    /// Whether the daily run happens.
    pub fn is_timed(&self) -> bool {
        self.auto_sync && self.frequency == Frequency::TimedFull
    }
}

/// Reads `HH:MM`.
///
/// # Errors
/// What is wrong, in words.
pub fn parse_daily_at(text: &str) -> Result<NaiveTime, String> {
    let shape = text.len() == 5 && text.bytes().enumerate().all(|(i, b)| if i == 2 { b == b':' } else { b.is_ascii_digit() });
    NaiveTime::parse_from_str(text, "%H:%M")
        .ok()
        .filter(|_| shape)
        .ok_or_else(|| "must be a local time from 00:00 to 23:59, such as 03:30".to_owned())
}

/// Reads an IANA zone.
///
/// # Errors
/// What is wrong, in words.
pub fn parse_timezone(text: &str) -> Result<chrono_tz::Tz, String> {
    text.parse().map_err(|_| "is not a time zone of the IANA database, such as Asia/Taipei".to_owned())
}

/// One rule. Where both `sku` and `store_id` are given it is a listing's; with neither it is the seller's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rule {
    /// For this SKU only.
    pub sku: Option<Sku>,
    /// For this store only.
    pub store_id: Option<StoreId>,
    /// Part of the pool.
    pub share: Option<Share>,
    /// Units kept back.
    pub buffer: Option<i64>,
    /// Below this the target is 0.
    pub threshold: Option<i64>,
    /// The most to show.
    pub max_shown: Option<i64>,
    /// Whether to push.
    pub sync_enabled: Option<bool>,
}

/// What the store itself says about allocation.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreRules {
    /// The store.
    pub store_id: StoreId,
    /// Its own share.
    pub share: Option<Share>,
    /// Its own switch.
    pub sync_enabled: bool,
    /// The warehouses that feed it; all when `None`.
    pub warehouses: Option<Vec<WarehouseCode>>,
}

/// The rules of one listing, each field from the most particular rule that gives it. `rules` may hold others' too.
pub fn resolve(settings: &SyncSettings, store: &StoreRules, sku: &str, rules: &[Rule]) -> ListingRules {
    let of = |want_sku: bool, want_store: bool| {
        rules.iter().find(|rule| {
            rule.sku.is_some() == want_sku
                && rule.store_id.is_some() == want_store
                && rule.sku.as_ref().is_none_or(|s| s.as_str() == sku)
                && rule.store_id.is_none_or(|id| id == store.store_id)
        })
    };
    let (listing, by_sku, by_store, by_seller) = (of(true, true), of(true, false), of(false, true), of(false, false));
    macro_rules! first {
        ($field:ident) => {
            [listing, by_sku, by_store].into_iter().flatten().find_map(|rule| rule.$field)
        };
    }
    ListingRules {
        share: first!(share).or(store.share).or(by_seller.and_then(|r| r.share)),
        buffer: first!(buffer).or(by_seller.and_then(|r| r.buffer)).unwrap_or(settings.buffer),
        threshold: first!(threshold).or(by_seller.and_then(|r| r.threshold)),
        max_shown: first!(max_shown).or(by_seller.and_then(|r| r.max_shown)),
        // A store or a seller switched off stays off whatever a narrower rule says of itself.
        sync_enabled: store.sync_enabled && by_seller.and_then(|r| r.sync_enabled) != Some(false) && first!(sync_enabled).unwrap_or(true),
        warehouses: store.warehouses.clone(),
    }
}

/// Refuses shares of an exclusive seller's stores above 100 %, for the stores themselves and for every SKU that has
/// shares of its own.
///
/// # Errors
/// The field at `pointer`, with the sum that would arise.
pub fn check_exclusive_shares(settings: &SyncSettings, stores: &[StoreRules], rules: &[Rule], pointer: &str) -> Result<(), FieldError> {
    if settings.allocation_mode != AllocationMode::Exclusive {
        return Ok(());
    }
    let mut general: Vec<Rule> = Vec::new();
    let mut of_skus: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
    for rule in rules.iter().filter(|rule| rule.share.is_some()) {
        match &rule.sku {
            None => general.push(rule.clone()),
            Some(sku) => of_skus.entry(sku.as_str()).or_default().push(rule),
        }
    }
    let sum = |sku: &str, rules: &[Rule]| -> i64 {
        stores.iter().filter_map(|store| resolve(settings, store, sku, rules).share).map(Share::hundredths).sum()
    };
    let refuse = |sum: i64, whose: String| {
        let percent = match (sum / 100, sum % 100) {
            (whole, 0) => whole.to_string(),
            (whole, hundredths) => format!("{whole}.{hundredths:02}"),
        };
        FieldError::new(pointer, format!("in exclusive mode the shares of {whose} may sum to at most 100 %, these sum to {percent} %"))
    };
    let all = sum("", &general);
    if all > 10_000 {
        return Err(refuse(all, "all stores".to_owned()));
    }
    for (sku, particular) in of_skus {
        // The particular ones first: there are few of them, and of the general ones at most one for each store.
        let applicable: Vec<Rule> = particular.into_iter().cloned().chain(general.iter().cloned()).collect();
        let of_sku = sum(sku, &applicable);
        if of_sku > 10_000 {
            return Err(refuse(of_sku, format!("SKU {sku} over all stores")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> SyncSettings {
        SyncSettings { buffer: 2, ..SyncSettings::new(chrono_tz::UTC, Timestamp::default()) }
    }
    fn store() -> StoreRules {
        StoreRules {
            store_id: StoreId(uuid::Uuid::from_u128(1)),
            share: Share::from_hundredths(5000),
            sync_enabled: true,
            warehouses: None,
        }
    }

    #[test]
    fn rules_resolve_listing_over_sku_over_store_over_seller() {
        let (sku, store_id) = (Sku::parse("A").ok(), Some(store().store_id));
        let mut rules = vec![Rule { buffer: Some(3), max_shown: Some(9), ..Rule::default() }];
        let buffer = |rules: &[Rule]| resolve(&settings(), &store(), "A", rules).buffer;
        assert_eq!(buffer(&[]), 2);
        assert_eq!(buffer(&rules), 3);
        rules.push(Rule { store_id, buffer: Some(4), ..Rule::default() });
        assert_eq!(buffer(&rules), 4);
        rules.push(Rule { sku: sku.clone(), buffer: Some(5), ..Rule::default() });
        assert_eq!(buffer(&rules), 5);
        rules.push(Rule { sku, store_id, buffer: Some(6), ..Rule::default() });
        assert_eq!(buffer(&rules), 6);
        assert_eq!(resolve(&settings(), &store(), "B", &rules).buffer, 4);
        assert_eq!(resolve(&settings(), &store(), "A", &rules).max_shown, Some(9));
    }

    #[test]
    fn auto_sync_is_incremental_or_timed_or_off() {
        let of = |auto_sync, frequency| {
            let settings = SyncSettings { auto_sync, frequency, ..settings() };
            (settings.is_incremental(), settings.is_timed())
        };
        assert_eq!((of(true, Frequency::Incremental), of(true, Frequency::TimedFull)), ((true, false), (false, true)));
        assert_eq!((of(false, Frequency::Incremental), of(false, Frequency::TimedFull)), ((false, false), (false, false)));
    }

    #[test]
    fn a_stores_own_share_stands_between_its_rules_and_the_sellers() {
        let share = |own: Option<i64>, rules: &[Rule]| {
            let store = StoreRules { share: own.and_then(Share::from_hundredths), ..store() };
            resolve(&settings(), &store, "A", rules).share.map(Share::hundredths)
        };
        let by_seller = Rule { share: Share::from_hundredths(1000), ..Rule::default() };
        let by_store = Rule { store_id: Some(store().store_id), share: Share::from_hundredths(3000), ..Rule::default() };
        let others = Rule { store_id: Some(StoreId(uuid::Uuid::from_u128(9))), share: Share::from_hundredths(7000), ..Rule::default() };
        assert_eq!(share(None, &[]), None);
        assert_eq!(share(None, &[others.clone(), by_seller.clone()]), Some(1000));
        assert_eq!(share(Some(2000), std::slice::from_ref(&by_seller)), Some(2000));
        assert_eq!(share(Some(2000), &[by_seller, others, by_store]), Some(3000));
    }

    #[test]
    fn what_is_switched_off_stays_off_whatever_a_narrower_rule_says() {
        let enabled =
            |own: bool, rules: &[Rule]| resolve(&settings(), &StoreRules { sync_enabled: own, ..store() }, "A", rules).sync_enabled;
        let by_seller = |enabled| Rule { sync_enabled: Some(enabled), ..Rule::default() };
        let by_sku = |enabled| Rule { sku: Sku::parse("A").ok(), ..by_seller(enabled) };
        assert!(enabled(true, &[]) && enabled(true, &[by_seller(true)]) && enabled(true, &[by_sku(true)]));
        assert!(!enabled(true, &[by_sku(false)]));
        assert!(!enabled(false, &[by_seller(true), by_sku(true)]));
        assert!(!enabled(true, &[by_seller(false), by_sku(true)]));
    }

    #[test]
    fn a_threshold_is_taken_from_the_narrowest_rule_and_a_zone_from_the_database() {
        let by_seller = Rule { threshold: Some(3), ..Rule::default() };
        let by_sku = Rule { sku: Sku::parse("A").ok(), threshold: Some(4), ..Rule::default() };
        let threshold = |rules: &[Rule]| resolve(&settings(), &store(), "A", rules).threshold;
        assert_eq!((threshold(std::slice::from_ref(&by_seller)), threshold(&[by_seller, by_sku])), (Some(3), Some(4)));
        assert_eq!(parse_timezone("Asia/Taipei"), Ok(chrono_tz::Asia::Taipei));
        assert!(parse_timezone("Taipei").unwrap_err().contains("IANA"));
    }

    #[test]
    fn exclusive_shares_above_the_whole_are_refused_also_for_one_sku() {
        let exclusive = SyncSettings { allocation_mode: AllocationMode::Exclusive, ..settings() };
        let other = StoreRules { store_id: StoreId(uuid::Uuid::from_u128(2)), ..store() };
        let stores = [store(), other];
        assert!(check_exclusive_shares(&exclusive, &stores, &[], "/x").is_ok());
        let just = Rule { sku: Sku::parse("A").ok(), share: Share::from_hundredths(5000), ..Rule::default() };
        assert!(check_exclusive_shares(&exclusive, &stores, &[just], "/x").is_ok(), "the whole may be given away");
        let more = Rule { share: Share::from_hundredths(7000), store_id: Some(store().store_id), ..Rule::default() };
        let refused = check_exclusive_shares(&exclusive, &stores, &[more], "/x").unwrap_err();
        assert!(refused.detail.contains("these sum to 120 %"), "{refused}");
        let greedy = Rule { sku: Sku::parse("A").ok(), share: Share::from_hundredths(5001), ..Rule::default() };
        let refused = check_exclusive_shares(&exclusive, &stores, std::slice::from_ref(&greedy), "/x").unwrap_err();
        assert!(refused.detail.contains("100.02 %"), "{refused}");
        assert!(check_exclusive_shares(&settings(), &stores, &[greedy], "/x").is_ok());
    }

    #[test]
    fn local_times_are_strict() {
        assert!(parse_daily_at("03:30").is_ok());
        for bad in ["25:00", "3:30", "03:60", "24:00", "03:30:00", "+3:30", " 3:30", "3: 30", "03:3", ""] {
            assert!(parse_daily_at(bad).is_err(), "{bad}");
        }
    }
}
