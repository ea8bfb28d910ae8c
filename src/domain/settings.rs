//! A seller's settings: auto-sync, its frequency, and the allocation rules.
//!
//! Each field of a rule resolves separately: listing (SKU and store) over SKU over store over seller. A store's own share
//! and switch count as a rule for that store, and the buffer in the settings as a rule of the seller's.
mod store;

use super::Timestamp;
use super::allocation::{AllocationMode, DecidedBy, ListingRules, Share};
use super::drift::Policy;
use super::frequency::Frequency;
use super::guard::Guard;
use super::units::UnitsEach;
use super::{FieldError, Sku, StoreId};
use chrono::NaiveTime;
use std::collections::HashMap;

pub use store::StoreRules;

/// The largest buffer, threshold or maximum to show, in units.
pub const MAX_RULE_UNITS: i64 = super::stock::MAX_QUANTITY;
/// The longest catch-up window, in hours.
pub const MAX_CATCH_UP_HOURS: i64 = 23;

/// A seller's sync settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncSettings {
    /// Whether *Auto-sync inventory* is on.
    pub auto_sync: bool,
    /// The frequency that applies while auto-sync is on; what was chosen while it was off is kept.
    pub frequency: Frequency,
    /// The time of the daily run, in `timezone`.
    pub daily_at: NaiveTime,
    /// The seller's time zone.
    pub timezone: chrono_tz::Tz,
    /// By how many hours a daily run may start late; after that it is skipped.
    pub catch_up_hours: i64,
    /// How stores share the pool.
    pub allocation_mode: AllocationMode,
    /// The seller's safety buffer, in units.
    pub buffer: i64,
    /// Whether a cancelled order triggers increases, as a return does.
    pub trigger_on_cancellation: bool,
    /// Whether stock events create SKUs that do not exist.
    pub create_skus: bool,
    /// How much a run may change without asking.
    pub guard: Guard,
    /// What the daily check of the listings does about those that differ.
    pub drift: Policy,
    /// When the schedule last changed; no run is due for a time before that.
    pub timed_since: Timestamp,
    /// Whether the seller has bundles. That is not set, but follows from what is saved about SKUs.
    pub has_bundles: bool,
}

impl SyncSettings {
    /// The settings of a new seller: auto-sync is off, and incremental once it is switched on, unless something else is chosen.
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
            create_skus: true,
            guard: Guard::default(),
            drift: Policy::default(),
            timed_since: now,
            has_bundles: false,
        }
    }

    /// Whether stock events trigger increases.
    pub fn is_incremental(&self) -> bool {
        self.auto_sync && self.frequency.sends_increases()
    }

    /// Whether there is a daily run.
    pub fn is_timed(&self) -> bool {
        self.auto_sync && self.frequency.overwrites_daily()
    }
}

/// Parses a local time in the form `HH:MM`.
pub fn parse_daily_at(text: &str) -> Result<NaiveTime, String> {
    let shape = text.len() == 5 && text.bytes().enumerate().all(|(i, b)| if i == 2 { b == b':' } else { b.is_ascii_digit() });
    NaiveTime::parse_from_str(text, "%H:%M")
        .ok()
        .filter(|_| shape)
        .ok_or_else(|| "must be a local time from 00:00 to 23:59, such as 03:30".to_owned())
}

/// Parses the name of a time zone in the IANA database.
pub fn parse_timezone(text: &str) -> Result<chrono_tz::Tz, String> {
    text.parse().map_err(|_| "unknown time zone; try \"Asia/Taipei\"".to_owned())
}

/// An allocation rule. With both `sku` and `store_id` it applies to one listing; with neither, to the whole seller.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rule {
    /// Limits the rule to this SKU.
    pub sku: Option<Sku>,
    /// Limits the rule to this store.
    pub store_id: Option<StoreId>,
    /// The part of the pool to show.
    pub share: Option<Share>,
    /// Units withheld from the pool.
    pub buffer: Option<i64>,
    /// Below this the target is 0.
    pub threshold: Option<i64>,
    /// The largest target. Increases are added to what is shown, so it does not limit that.
    pub max_shown: Option<i64>,
    /// Whether to push to the listings the rule applies to.
    pub sync_enabled: Option<bool>,
}

/// A seller's rules, each found by what it applies to: however many there are, resolving those of a listing is a few
/// lookups. If two rules apply to the same, the first counts.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    by_seller: Option<Rule>,
    by_store: HashMap<StoreId, Rule>,
    by_sku: HashMap<Sku, OfSku>,
}

#[derive(Debug, Clone, Default)]
struct OfSku {
    own: Option<Rule>,
    by_store: HashMap<StoreId, Rule>,
}

impl FromIterator<Rule> for Rules {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        let mut all = Self::default();
        all.extend(rules);
        all
    }
}

impl Extend<Rule> for Rules {
    fn extend<I: IntoIterator<Item = Rule>>(&mut self, rules: I) {
        for rule in rules {
            let (own, by_store) = match &rule.sku {
                None => (&mut self.by_seller, &mut self.by_store),
                Some(sku) => {
                    let of_sku = self.by_sku.entry(sku.clone()).or_default();
                    (&mut of_sku.own, &mut of_sku.by_store)
                }
            };
            match rule.store_id {
                None => {
                    own.get_or_insert(rule);
                }
                Some(store) => {
                    by_store.entry(store).or_insert(rule);
                }
            }
        }
    }
}

impl Rules {
    /// The rules of a listing of this SKU that is so many units of it: each field comes from the most specific rule that sets it.
    pub fn resolve(&self, settings: &SyncSettings, store: &StoreRules, sku: &str, units: UnitsEach) -> ListingRules {
        let of_sku = self.by_sku.get(sku);
        let listing = of_sku.and_then(|of_sku| of_sku.by_store.get(&store.store_id));
        let by_sku = of_sku.and_then(|of_sku| of_sku.own.as_ref());
        let (by_store, by_seller) = (self.by_store.get(&store.store_id), self.by_seller.as_ref());
        macro_rules! first {
            ($field:ident) => {
                [listing, by_sku, by_store].into_iter().flatten().find_map(|rule| rule.$field)
            };
        }
        ListingRules {
            store_id: store.store_id,
            share: first!(share).or(store.share).or(by_seller.and_then(|r| r.share)),
            buffer: first!(buffer).or(by_seller.and_then(|r| r.buffer)).unwrap_or(settings.buffer),
            threshold: first!(threshold).or(by_seller.and_then(|r| r.threshold)),
            max_shown: first!(max_shown).or(by_seller.and_then(|r| r.max_shown)),
            // A more specific rule cannot turn on a store or a seller that is switched off.
            sync_enabled: store.sync_enabled
                && by_seller.and_then(|r| r.sync_enabled) != Some(false)
                && first!(sync_enabled).unwrap_or(true),
            warehouses: store.warehouses.clone(),
            units,
        }
    }

    /// The most specific of the rules that [`Self::resolve`] uses.
    pub fn decided_by(&self, store: &StoreRules, sku: &str) -> DecidedBy {
        let of_sku = self.by_sku.get(sku);
        if of_sku.is_some_and(|of_sku| of_sku.by_store.contains_key(&store.store_id)) {
            DecidedBy::Listing
        } else if of_sku.is_some_and(|of_sku| of_sku.own.is_some()) {
            DecidedBy::Sku
        } else if store.share.is_some() || self.by_store.contains_key(&store.store_id) {
            DecidedBy::Store
        } else {
            DecidedBy::Seller
        }
    }
}

/// In exclusive mode, checks that the stores' shares add up to at most 100%, both in general and for each SKU that has its
/// own shares. If not, the error is about the field at `pointer` and gives the total. `rules` may leave out rules without
/// a share, and those of SKUs that are known to fit.
pub fn check_exclusive_shares(settings: &SyncSettings, stores: &[StoreRules], rules: &Rules, pointer: &str) -> Result<(), FieldError> {
    if settings.allocation_mode != AllocationMode::Exclusive {
        return Ok(());
    }
    let refuse = |sum: i64, whose: String| {
        let percent = match (sum / 100, sum % 100) {
            (whole, 0) => whole.to_string(),
            (whole, hundredths) => format!("{whole}.{hundredths:02}"),
        };
        FieldError::new(pointer, format!("in exclusive mode, the shares of {whose} may add up to at most 100%; these add up to {percent}%"))
    };
    let by_seller = rules.by_seller.as_ref().and_then(|rule| rule.share);
    let general = |store: &StoreRules| {
        let by_store = rules.by_store.get(&store.store_id).and_then(|rule| rule.share);
        (store.store_id, by_store.or(store.share).or(by_seller).map_or(0, Share::hundredths))
    };
    let general: HashMap<StoreId, i64> = stores.iter().map(general).collect();
    let all: i64 = general.values().sum();
    if all > 10_000 {
        return Err(refuse(all, "all stores".to_owned()));
    }
    let mut skus: Vec<(&Sku, &OfSku)> = rules.by_sku.iter().collect();
    skus.sort_unstable_by_key(|(sku, _)| *sku);
    for (sku, of_sku) in skus {
        // Every store has the share of the SKU's rule or the general one, except those with a rule for this very listing.
        let own = of_sku.own.as_ref().and_then(|rule| rule.share).map(Share::hundredths);
        let count = i64::try_from(stores.len()).unwrap_or(i64::MAX);
        let mut sum = own.map_or(all, |own| own.saturating_mul(count));
        for (store, rule) in &of_sku.by_store {
            if let (Some(share), Some(general)) = (rule.share, general.get(store)) {
                sum += share.hundredths() - own.unwrap_or(*general);
            }
        }
        if sum > 10_000 {
            return Err(refuse(sum, format!("SKU {sku} across all stores")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings() -> SyncSettings {
        SyncSettings { buffer: 2, ..SyncSettings::new(chrono_tz::UTC, Timestamp::default()) }
    }
    fn store() -> StoreRules {
        let store_id = StoreId(uuid::Uuid::from_u128(1));
        let (falls, restocks) = Default::default();
        StoreRules {
            store_id,
            share: Share::from_hundredths(5000),
            sync_enabled: true,
            warehouses: None,
            has_multiples: false,
            falls,
            restocks,
            repeats_skus: false,
        }
    }

    fn resolve(settings: &SyncSettings, store: &StoreRules, sku: &str, rules: &[Rule]) -> ListingRules {
        rules.iter().cloned().collect::<Rules>().resolve(settings, store, sku, UnitsEach::ONE)
    }

    fn check_exclusive_shares(settings: &SyncSettings, stores: &[StoreRules], rules: &[Rule], pointer: &str) -> Result<(), FieldError> {
        super::check_exclusive_shares(settings, stores, &rules.iter().cloned().collect(), pointer)
    }

    #[test]
    fn rules_resolve_listing_over_sku_over_store_over_seller() {
        let (sku, store_id) = (Sku::parse("A").ok(), Some(store().store_id));
        let mut rules = vec![Rule { buffer: Some(3), max_shown: Some(9), ..Rule::default() }];
        let buffer = |rules: &[Rule]| resolve(&settings(), &store(), "A", rules).buffer;
        let without_share = StoreRules { share: None, ..store() };
        let by = |rules: &[Rule]| rules.iter().cloned().collect::<Rules>().decided_by(&without_share, "A");
        assert_eq!(Rules::default().decided_by(&store(), "A"), DecidedBy::Store, "by its share");
        let mut decided = vec![by(&rules)];
        assert_eq!(buffer(&[]), 2);
        assert_eq!(buffer(&rules), 3);
        rules.push(Rule { store_id, buffer: Some(4), ..Rule::default() });
        assert_eq!(buffer(&rules), 4);
        decided.push(by(&rules));
        rules.push(Rule { sku: sku.clone(), buffer: Some(5), ..Rule::default() });
        assert_eq!(buffer(&rules), 5);
        decided.push(by(&rules));
        rules.push(Rule { sku, store_id, buffer: Some(6), ..Rule::default() });
        assert_eq!(buffer(&rules), 6);
        decided.push(by(&rules));
        assert_eq!(decided, [DecidedBy::Seller, DecidedBy::Store, DecidedBy::Sku, DecidedBy::Listing]);
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
        assert_eq!((of(true, Frequency::IncrementalAndDaily), of(false, Frequency::IncrementalAndDaily)), ((true, true), (false, false)));
    }

    #[test]
    fn a_stores_own_share_overrides_the_sellers_rule_but_not_the_stores() {
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
    fn a_more_specific_rule_does_not_turn_on_a_store_or_seller_that_is_off() {
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
    fn the_threshold_comes_from_the_most_specific_rule_and_time_zones_have_iana_names() {
        let by_seller = Rule { threshold: Some(3), ..Rule::default() };
        let by_sku = Rule { sku: Sku::parse("A").ok(), threshold: Some(4), ..Rule::default() };
        let threshold = |rules: &[Rule]| resolve(&settings(), &store(), "A", rules).threshold;
        assert_eq!((threshold(std::slice::from_ref(&by_seller)), threshold(&[by_seller, by_sku])), (Some(3), Some(4)));
        assert_eq!(parse_timezone("Asia/Taipei"), Ok(chrono_tz::Asia::Taipei));
        assert!(parse_timezone("Taipei").unwrap_err().contains("Asia/Taipei"));
    }

    #[test]
    fn exclusive_shares_above_100_percent_are_refused_even_for_one_sku() {
        let exclusive = SyncSettings { allocation_mode: AllocationMode::Exclusive, ..settings() };
        let other = StoreRules { store_id: StoreId(uuid::Uuid::from_u128(2)), ..store() };
        let stores = [store(), other];
        assert!(check_exclusive_shares(&exclusive, &stores, &[], "/x").is_ok());
        let of = |hundredths| Rule { sku: Sku::parse("A").ok(), share: Share::from_hundredths(hundredths), ..Rule::default() };
        assert!(check_exclusive_shares(&exclusive, &stores, &[of(5000)], "/x").is_ok(), "exactly 100% is allowed");
        let more = Rule { share: Share::from_hundredths(7000), store_id: Some(store().store_id), ..Rule::default() };
        let refused = check_exclusive_shares(&exclusive, &stores, &[more], "/x").unwrap_err();
        assert!(refused.detail.contains("these add up to 120%"), "{refused}");
        let refused = check_exclusive_shares(&exclusive, &stores, &[of(5001)], "/x").unwrap_err();
        assert!(refused.detail.contains("100.02%"), "{refused}");
        assert!(check_exclusive_shares(&settings(), &stores, &[of(5001)], "/x").is_ok());
    }

    #[test]
    fn local_times_are_strict() {
        assert!(parse_daily_at("03:30").is_ok());
        for bad in ["25:00", "3:30", "03:60", "24:00", "03:30:00", "+3:30", " 3:30", "3: 30", "03:3", ""] {
            assert!(parse_daily_at(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn shares_are_refused_exactly_when_those_of_some_listings_of_one_sku_exceed_100_percent(
            own in proptest::collection::vec(proptest::option::of(0i64..6000), 1..4),
            rules in proptest::collection::vec((proptest::option::of(0usize..2), proptest::option::of(0usize..4), proptest::option::of(0i64..6000)), 0..12),
        ) {
            let id = |n: usize| StoreId(uuid::Uuid::from_u128(n as u128));
            let share = |hundredths: Option<i64>| hundredths.and_then(Share::from_hundredths);
            let stores: Vec<StoreRules> =
                own.iter().enumerate().map(|(n, own)| StoreRules { store_id: id(n), share: share(*own), ..store() }).collect();
            let rule = |(sku, store, given): (Option<usize>, Option<usize>, Option<i64>)| Rule {
                sku: sku.map(|n| Sku::parse(["A", "B"][n]).unwrap()), store_id: store.map(id), share: share(given), ..Rule::default()
            };
            let rules: Rules = rules.into_iter().map(rule).collect();
            let exclusive = SyncSettings { allocation_mode: AllocationMode::Exclusive, ..settings() };
            let sum = |sku: &str| -> i64 {
                stores.iter().filter_map(|store| rules.resolve(&exclusive, store, sku, UnitsEach::ONE).share).map(Share::hundredths).sum()
            };
            let is_ok = super::check_exclusive_shares(&exclusive, &stores, &rules, "/x").is_ok();
            prop_assert_eq!(is_ok, ["", "A", "B"].into_iter().all(|sku| sum(sku) <= 10_000));
        }
    }
}
