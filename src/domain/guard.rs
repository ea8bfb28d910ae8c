//! Guard rails: a run that would empty a large part of a store, or move very many units, asks before its first push.
//!
//! The commonest accident is a feed that stops: counts of 0 arrive for everything, or a warehouse is renamed, and the next
//! overwrite takes the whole shop off sale. So a run is weighed before its listings become pushes, by what the listings showed
//! last and what they would show now. If it weighs too much it waits for an answer, with nothing sent. Increases, and other
//! runs, go on meanwhile.
use super::limits::MAX_STORES;
use super::{StoreId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The least number of listings that must fall to 0 before the percentage counts. Of a few listings, any share is reached
/// by chance: two of five products sell out on an ordinary day, and a seller who is asked every day soon stops reading.
pub const LEAST_TO_ZERO: i64 = 10;

/// How long a run waits for its answer: over before the next day's run may ask, and long enough for a seller who slept.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(20 * 3600);

/// The most stores that a question names.
const NAMED_STORES: usize = 20;

/// How much a run may change without asking. A limit that is `None` is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Guard)]
pub struct Guard {
    /// The largest part of a store's listings that show something which may be set to 0, in percent; null for no limit.
    #[schema(minimum = 0, maximum = 100)]
    pub zero_percent: Option<i64>,
    /// The most units by which the listings of a store may change, up and down together; null for no limit.
    #[schema(minimum = 0)]
    pub units: Option<i64>,
}

impl Default for Guard {
    fn default() -> Self {
        Self { zero_percent: Some(30), units: None }
    }
}

impl Guard {
    /// Whether no run ever asks.
    pub fn is_off(&self) -> bool {
        self.zero_percent.is_none() && self.units.is_none()
    }

    /// Whether a listing that shows `shown` can weigh anything.
    pub fn concerns(&self, shown: i64) -> bool {
        shown > 0 || self.units.is_some()
    }

    fn is_exceeded_by(&self, weight: &Weight) -> bool {
        let empties =
            |percent: i64| weight.to_zero >= LEAST_TO_ZERO && weight.to_zero.saturating_mul(100) > weight.showing.saturating_mul(percent);
        self.zero_percent.is_some_and(empties) || self.units.is_some_and(|most| weight.units > most)
    }
}

/// A change of the limits; a field that is left out keeps its value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GuardChange {
    /// See [`Guard::zero_percent`].
    pub zero_percent: Option<Option<i64>>,
    /// See [`Guard::units`].
    pub units: Option<Option<i64>>,
}

impl GuardChange {
    /// The limits after it.
    pub fn apply(&self, old: Guard) -> Guard {
        Guard { zero_percent: self.zero_percent.unwrap_or(old.zero_percent), units: self.units.unwrap_or(old.units) }
    }
}

/// What a run would do to the listings of one store, as far as it is known what they show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Weight {
    /// Listings of the store that show more than 0 now, whether or not the run covers them.
    pub showing: i64,
    /// Those of them that the run would set to 0.
    pub to_zero: i64,
    /// Units by which it would change what its listings show, up and down together.
    pub units: i64,
}

/// What a run would do, counted listing by listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Weighing(BTreeMap<StoreId, Weight>);

impl Weighing {
    /// Counts a listing of this store that shows `shown`; `target` is `None` if it is not pushed.
    pub fn add(&mut self, store: StoreId, shown: i64, target: Option<i64>) {
        let Some(target) = target else { return };
        let weight = self.0.entry(store).or_default();
        weight.to_zero += i64::from(shown > 0 && target <= 0);
        weight.units = weight.units.saturating_add_unsigned(shown.abs_diff(target));
    }

    /// The stores of which it matters how many of their listings show something.
    pub fn emptied(&self) -> Vec<StoreId> {
        self.0.iter().filter(|(_, weight)| weight.to_zero >= LEAST_TO_ZERO).map(|(store, _)| *store).collect()
    }

    /// So many listings of this store show something.
    pub fn showing(&mut self, store: StoreId, listings: i64) {
        if let Some(weight) = self.0.get_mut(&store) {
            weight.showing = listings;
        }
    }

    /// What has to be asked before the run may begin; `None` if it may.
    pub fn question(self, guard: Guard, now: Timestamp) -> Option<Question> {
        let mut stores: Vec<(StoreId, Weight)> = self.0.into_iter().filter(|(_, weight)| guard.is_exceeded_by(weight)).collect();
        if stores.is_empty() {
            return None;
        }
        stores.sort_by_key(|(_, weight)| std::cmp::Reverse((weight.to_zero, weight.units)));
        let omitted = stores.len().saturating_sub(NAMED_STORES).min(usize::try_from(MAX_STORES).unwrap_or(usize::MAX));
        stores.truncate(NAMED_STORES);
        let stores = stores.into_iter().map(|(store_id, weight)| Asked { store_id, weight }).collect();
        Some(Question {
            asked_at: now,
            answer_by: now + ANSWER_WITHIN,
            guard,
            stores,
            stores_omitted: omitted,
            go: None,
            answered_at: None,
        })
    }
}

/// A store that a run would change by more than its seller's limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = AskedStore)]
pub struct Asked {
    /// The store.
    pub store_id: StoreId,
    /// What would happen to it.
    #[serde(flatten)]
    pub weight: Weight,
}

/// What a run asks before its first push, and what was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = RunQuestion)]
pub struct Question {
    /// When the run was weighed.
    pub asked_at: Timestamp,
    /// Without an answer by then, the run is cancelled.
    pub answer_by: Timestamp,
    /// The limits that it exceeds.
    pub guard: Guard,
    /// The stores concerned, those with the most listings that would show 0 first.
    pub stores: Vec<Asked>,
    /// How many more there are.
    pub stores_omitted: usize,
    /// The answer: whether to go ahead; null without one.
    pub go: Option<bool>,
    /// When it was given.
    pub answered_at: Option<Timestamp>,
}

impl Question {
    /// In plain words.
    pub fn text(&self) -> String {
        let all = Weight {
            showing: self.stores.iter().map(|store| store.weight.showing).sum(),
            to_zero: self.stores.iter().map(|store| store.weight.to_zero).sum(),
            units: self.stores.iter().fold(0, |sum, store| sum.saturating_add(store.weight.units)),
        };
        let what = if self.guard.zero_percent.is_some() && all.to_zero >= LEAST_TO_ZERO {
            format!("{} of {} listings that show stock now would be set to 0", all.to_zero, all.showing)
        } else {
            format!("quantities would change by {} units", all.units)
        };
        let place = match self.stores.len() + self.stores_omitted {
            1 => String::new(),
            stores if self.stores_omitted == 0 => format!(" in {stores} stores"),
            stores => format!(" in {} of {stores} stores alone", self.stores.len()),
        };
        format!("Nothing has been sent yet: {what}{place}.")
    }
}

/// What an answer does to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// The run goes ahead, or ends.
    Taken,
    /// The same was answered before; nothing changes.
    Repeated,
    /// It does not wait for an answer.
    NotAsked,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000);

    fn store(n: u128) -> StoreId {
        StoreId(uuid::Uuid::from_u128(n))
    }

    /// A store where so many of 100 listings would fall to 0.
    fn weighed(to_zero: usize, showing: i64) -> Weighing {
        let mut weighing = Weighing::default();
        (0..100).for_each(|n| weighing.add(store(1), 5, Some(if n < to_zero { 0 } else { 5 })));
        weighing.showing(store(1), showing);
        weighing
    }

    #[test]
    fn a_run_asks_above_its_percentage_and_not_at_it() {
        let asks = |percent, to_zero| weighed(to_zero, 100).question(Guard { zero_percent: Some(percent), units: None }, NOW).is_some();
        for (percent, to_zero, expected) in
            [(30, 30, false), (30, 31, true), (0, 9, false), (0, 10, true), (100, 100, false), (99, 100, true), (50, 60, true)]
        {
            assert_eq!(asks(percent, to_zero), expected, "{to_zero} of 100 at {percent}%");
        }
        assert_eq!(weighed(100, 100).question(Guard { zero_percent: None, units: None }, NOW), None, "switched off");
    }

    #[test]
    fn a_few_listings_never_ask_whatever_their_share() {
        let mut weighing = Weighing::default();
        (1..LEAST_TO_ZERO).for_each(|_| weighing.add(store(1), 5, Some(0)));
        weighing.showing(store(1), LEAST_TO_ZERO - 1);
        assert_eq!(weighing.emptied(), []);
        assert_eq!(weighing.question(Guard::default(), NOW), None);
    }

    #[test]
    fn the_share_is_one_of_all_that_the_store_shows_not_of_what_the_run_covers() {
        assert!(weighed(40, 100).question(Guard::default(), NOW).is_some());
        assert_eq!(weighed(40, 1_000).question(Guard::default(), NOW), None);
    }

    #[test]
    fn a_listing_that_shows_nothing_or_is_not_pushed_does_not_count() {
        let mut weighing = Weighing::default();
        (0..50).for_each(|_| weighing.add(store(1), 0, Some(0)));
        (0..50).for_each(|_| weighing.add(store(1), 5, None));
        assert_eq!((weighing.emptied(), weighing.question(Guard { zero_percent: Some(0), units: Some(0) }, NOW)), (vec![], None));
    }

    #[test]
    fn units_count_up_and_down() {
        let mut weighing = Weighing::default();
        weighing.add(store(1), 10, Some(4));
        weighing.add(store(1), 0, Some(3));
        let asks = |units| weighing.clone().question(Guard { zero_percent: None, units: Some(units) }, NOW);
        assert_eq!(asks(9), None);
        assert_eq!(asks(8).unwrap().text(), "Nothing has been sent yet: quantities would change by 9 units.");
    }

    #[test]
    fn each_store_is_measured_on_its_own_and_the_worst_comes_first() {
        let mut weighing = Weighing::default();
        for (n, to_zero) in [(1, 20), (2, 40), (3, 0)] {
            (0..50).for_each(|listing| weighing.add(store(n), 1, Some(i64::from(listing >= to_zero))));
            weighing.showing(store(n), 50);
        }
        let question = weighing.question(Guard::default(), NOW).unwrap();
        assert_eq!(
            question.stores.iter().map(|asked| (asked.store_id, asked.weight.to_zero)).collect::<Vec<_>>(),
            [(store(2), 40), (store(1), 20)]
        );
        assert_eq!(question.text(), "Nothing has been sent yet: 60 of 100 listings that show stock now would be set to 0 in 2 stores.");
        assert_eq!(question.answer_by, NOW + ANSWER_WITHIN);
    }

    #[test]
    fn a_question_names_a_limited_number_of_stores() {
        let mut weighing = Weighing::default();
        for n in 0..25 {
            (0..10).for_each(|_| weighing.add(store(n), 1, Some(0)));
        }
        let question = weighing.question(Guard::default(), NOW).unwrap();
        assert_eq!((question.stores.len(), question.stores_omitted), (NAMED_STORES, 5));
        assert!(question.text().ends_with("in 20 of 25 stores alone."), "{}", question.text());
    }

    proptest! {
        #[test]
        fn a_run_that_takes_less_off_sale_never_asks_more(zeros in 0usize..100, fewer in 0usize..100, percent in 0i64..=100) {
            let asks = |to_zero| weighed(to_zero, 100).question(Guard { zero_percent: Some(percent), units: None }, NOW).is_some();
            prop_assert!(!asks(zeros.min(fewer)) || asks(zeros));
        }
    }
}
