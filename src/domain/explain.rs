//! Why a listing shows what it shows: the formula of its target with its inputs, what was sent to it, and the events behind
//! what is available, each with what it left.
//!
//! Events are kept without the levels that they led to. So the levels are followed backwards, from what is available now: each
//! event is taken off again. A count says what there was, not what there had been, so before the newest count of a warehouse
//! its levels are not known any more, and nothing is claimed about them.
use super::allocation::{AllocationMode, ListingRules, Target, targets};
use super::bundle::Stock;
use super::ledger::InCount;
use super::push::{Push, Record};
use super::stock::{EventKind, Levels, StockEvent};
use super::undo::Restored;
use super::units::UnitsEach;
use super::{StoreId, Timestamp, WarehouseCode, unseen};
use std::collections::BTreeMap;

/// The inputs of a target and what they lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formula {
    /// Units available in the warehouses that the store ships from; of a bundle, in each of them alone.
    pub available: Levels,
    /// Units available in these warehouses together.
    pub together: i64,
    /// Units kept back.
    pub buffer: i64,
    /// `together` less `buffer`, not below 0.
    pub pool: i64,
    /// What the allocation gives to the listing's store, what the threshold and the maximum leave of that, and what the listing should
    /// show.
    pub target: Target,
    /// How many units of the SKU one of the listing is.
    pub units: UnitsEach,
}

/// The formulas of all listings of one SKU, in the order given.
pub fn formulas<'a>(mode: AllocationMode, stock: impl Into<Stock<'a>>, listings: &[ListingRules]) -> Vec<Formula> {
    let stock = stock.into();
    let levels = stock.by_warehouse();
    let formula = |(rules, target): (&ListingRules, Target)| {
        let feeds = |code: &WarehouseCode| rules.warehouses.as_ref().is_none_or(|codes| codes.contains(code));
        Formula {
            available: levels.iter().filter(|(code, _)| feeds(code)).map(|(code, level)| (code.clone(), *level)).collect(),
            together: stock.within(rules.warehouses.as_deref()),
            buffer: rules.buffer,
            pool: rules.pool(&stock),
            target,
            units: rules.units,
        }
    };
    listings.iter().zip(targets(mode, stock.clone(), listings)).map(formula).collect()
}

/// An event as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastEvent {
    /// The event.
    pub event: StockEvent,
    /// When it was recorded.
    pub accepted_at: Timestamp,
    /// What it did not do to the levels of its own SKU.
    pub in_count: InCount,
    /// The store whose order it was about, where the event names it.
    pub store: Option<StoreId>,
    /// It is what an event of a bundle did to this component.
    pub of_bundle: bool,
}

impl PastEvent {
    /// How it changed available by warehouse; empty for a count, which has set it, and for a bundle, which has none.
    pub fn effect(&self) -> Vec<(WarehouseCode, i64)> {
        if self.event.kind == EventKind::Count || self.in_count.in_components {
            return Vec::new();
        }
        let in_count = |code: &WarehouseCode| if *code == self.event.warehouse { self.in_count.here } else { self.in_count.there };
        let mut deltas = self.event.deltas(&Levels::new());
        deltas.retain(|(code, _)| !in_count(code));
        deltas
    }

    /// The warehouse in which it has set available to what was counted.
    fn sets(&self) -> Option<&WarehouseCode> {
        (self.event.kind == EventKind::Count && !self.in_count.here).then_some(&self.event.warehouse)
    }
}

/// Available by warehouse at some time; `None` where that is not known any more.
pub type KnownLevels = BTreeMap<WarehouseCode, Option<i64>>;

/// Follows the levels of one SKU backwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay(KnownLevels);

impl Replay {
    /// Starts with what is available now.
    pub fn new(now: &Levels) -> Self {
        Self(now.iter().map(|(code, level)| (code.clone(), Some(*level))).collect())
    }

    /// The levels at the time that it has come back to.
    pub fn levels(&self) -> &KnownLevels {
        &self.0
    }

    /// The same, if all of them are known.
    pub fn all_levels(&self) -> Option<Levels> {
        self.0.iter().map(|(code, level)| Some((code.clone(), (*level)?))).collect()
    }

    /// Goes back to before these events, which were recorded in the same instant, in an order that is not known any more.
    pub fn go_back_over(&mut self, together: &[PastEvent]) {
        for (code, delta) in together.iter().flat_map(PastEvent::effect) {
            let level = self.0.entry(code).or_insert(Some(0));
            *level = level.map(|level| level.saturating_sub(delta));
        }
        for code in together.iter().filter_map(PastEvent::sets) {
            self.0.insert(code.clone(), None);
        }
    }
}

/// What was sent to a listing, and what it showed last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// The number that the newest confirmed overwrite has set; `None` if there was none, or it is not kept any more.
    pub set_to: Option<i64>,
    /// Units that were taken off its target, because the store had sold them and nobody had reported that yet.
    pub unseen: i64,
    /// How that number came about, if it has taken back another one.
    pub restored: Option<Restored>,
    /// When that was confirmed.
    pub set_at: Option<Timestamp>,
    /// The sum of the increases that were confirmed since, less what was taken off.
    pub increased_by: i64,
    /// How many those were.
    pub increases: i64,
    /// Units of the SKU that events report as sold by its store since then.
    pub reported_sales: i64,
    /// How many of these one of the listing is.
    pub units: UnitsEach,
    /// What the listing showed last.
    pub shown: Option<i64>,
    /// What it should show.
    pub target: i64,
    /// Whether it is pushed to at all.
    pub pushed: bool,
}

impl Sent {
    /// What these confirmed pushes to one listing have sent, as far as they come after the newest overwrite among them.
    pub fn of(confirmed: Vec<Push>) -> Self {
        let with_change = |push: Push| (push.change_of_shown().unwrap_or_default(), push.into_record());
        let mut records: Vec<(i64, Record)> = confirmed.into_iter().map(with_change).collect();
        // One after the other is sent to a listing, so they were confirmed in the order in which they were applied.
        records.sort_unstable_by_key(|(_, push)| (push.confirmed_at, push.id));
        let mut sent = Self::default();
        for (change, push) in records {
            let units = push.quantity.unwrap_or_default();
            if push.kind.is_overwrite() {
                let unseen = push.unseen.unwrap_or(0);
                let restored = push.undo.and_then(|undo| undo.restored);
                sent = Self { set_to: Some(units), unseen, restored, set_at: push.confirmed_at, ..Self::default() };
            } else {
                (sent.increased_by, sent.increases) = (sent.increased_by.saturating_add(change), sent.increases + 1);
            }
        }
        sent
    }

    /// What the listing would show if nothing but the service had changed it.
    pub fn sum(&self) -> Option<i64> {
        self.set_to.map(|set_to| set_to.saturating_add(self.increased_by))
    }

    /// By how much the store itself has changed it since: below 0 for sales.
    pub fn changed_in_store(&self) -> Option<i64> {
        Some(self.shown?.saturating_sub(self.sum()?))
    }

    /// Why it shows what it shows, in plain words.
    pub fn text(&self) -> String {
        let units = |number: i64| if number.abs() == 1 { format!("{number} unit") } else { format!("{number} units") };
        let Some(shown) = self.shown else {
            return "What the store shows is not known: it was neither overwritten nor read yet.".to_owned();
        };
        let increased = format!("{} by {}", if self.increased_by < 0 { "decreased" } else { "increased" }, self.increased_by.abs());
        let increases = match self.increases {
            0 => String::new(),
            1 => format!(", then {increased} once"),
            times => format!(", then {increased} in {times} steps"),
        };
        let mut text = match self.set_to {
            Some(set_to) => {
                let arithmetic = self.restored.map(|restored| restored.text(self.unseen));
                let why = arithmetic.or_else(|| unseen::text(set_to, self.unseen));
                let why = why.map(|text| format!(" ({text})")).unwrap_or_default();
                format!("It was set to {set_to}{why}{increases}.")
            }
            None if self.increases > 0 => {
                format!("It was never overwritten, as far as records go back, and has been {increased}.")
            }
            None => "Nothing was sent to it, as far as records go back.".to_owned(),
        };
        match self.changed_in_store() {
            Some(0) | None => {}
            Some(fall @ ..0) => {
                text.push_str(&format!(" The store itself has lowered that by {} since, as sales do", units(-fall)));
                text.push_str(&match self.reported_sales {
                    0 => ".".to_owned(),
                    reported if self.units.is_one() => format!("; its reported sales since are {}.", units(reported)),
                    reported => {
                        format!("; its reported sales since are {} of the SKU, of which each is {}.", units(reported), self.units.get())
                    }
                });
            }
            Some(rise) => text.push_str(&format!(" The store itself has raised that by {} since.", units(rise))),
        }
        text.push_str(&format!(" It showed {shown} when last known."));
        if self.pushed && shown != self.target {
            let more = if shown < self.target { "below" } else { "above" };
            text.push_str(&format!(
                " That is {} {more} its target; an overwrite would set it.",
                units((shown.saturating_sub(self.target)).abs())
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::allocation::Share;
    use crate::domain::push::{Addressee, PushState};
    use crate::domain::{EventId, ListingId, Sku};
    use proptest::prelude::*;

    fn code(name: &str) -> WarehouseCode {
        WarehouseCode::parse(name).unwrap()
    }

    fn event(kind: EventKind, quantity: i64, in_count: InCount) -> PastEvent {
        let to_warehouse = (kind == EventKind::Transfer).then(|| code("east"));
        let event = StockEvent {
            event_id: EventId::parse("e").unwrap(),
            sku: Sku::parse("A").unwrap(),
            kind,
            quantity,
            warehouse: WarehouseCode::main(),
            to_warehouse,
            occurred_at: None,
            note: None,
        };
        PastEvent { event, accepted_at: Timestamp::default(), in_count, store: None, of_bundle: false }
    }

    fn rules(share: i64) -> ListingRules {
        let share = Share::from_hundredths(share);
        ListingRules {
            store_id: StoreId::new(Timestamp::default()),
            share,
            buffer: 2,
            threshold: None,
            max_shown: None,
            sync_enabled: true,
            warehouses: None,
            units: UnitsEach::ONE,
        }
    }

    #[test]
    fn a_formula_has_every_number_that_leads_to_the_target() {
        let levels = Levels::from([(WarehouseCode::main(), 40), (code("east"), 12)]);
        let east_only = ListingRules { warehouses: Some(vec![code("east")]), max_shown: Some(4), ..rules(10_000) };
        let found = formulas(AllocationMode::Shared, &levels, &[rules(3000), east_only]);
        let target = Target { part: 15, limited: 15, shown: 15 };
        assert_eq!((found[0].pool, found[0].target), (50, target));
        let target = Target { part: 10, limited: 4, shown: 4 };
        let available = Levels::from([(code("east"), 12)]);
        let expected = Formula { available, together: 12, buffer: 2, pool: 10, target, units: UnitsEach::ONE };
        assert_eq!(found[1], expected);
    }

    #[test]
    fn the_levels_of_the_past_follow_from_those_of_the_present_back_to_the_newest_count() {
        let mut replay = Replay::new(&Levels::from([(WarehouseCode::main(), 7), (code("east"), 5)]));
        let main = |replay: &Replay| replay.levels()[&WarehouseCode::main()];
        let none = InCount::default();
        replay.go_back_over(&[event(EventKind::Sale, 3, none)]);
        assert_eq!(main(&replay), Some(10));
        replay.go_back_over(&[event(EventKind::Transfer, 4, none)]);
        assert_eq!((main(&replay), replay.levels()[&code("east")]), (Some(14), Some(1)));
        replay.go_back_over(&[
            event(EventKind::Purchase, 9, InCount { here: true, there: false, ..InCount::default() }),
            event(EventKind::Count, 2, InCount { here: true, there: false, ..InCount::default() }),
        ]);
        assert_eq!(replay.all_levels(), Some(Levels::from([(WarehouseCode::main(), 14), (code("east"), 1)])), "a count had these already");
        replay.go_back_over(&[event(EventKind::Count, 14, none)]);
        assert_eq!((main(&replay), replay.levels()[&code("east")], replay.all_levels()), (None, Some(1), None));
        replay.go_back_over(&[event(EventKind::Sale, 1, none)]);
        assert_eq!(main(&replay), None, "and stays unknown");
    }

    #[test]
    fn what_a_listing_shows_is_explained_in_a_few_sentences() {
        let sent = Sent { set_to: Some(10), increased_by: 5, increases: 2, shown: Some(12), target: 20, pushed: true, ..Sent::default() };
        assert_eq!((sent.sum(), sent.changed_in_store()), (Some(15), Some(-3)));
        assert_eq!(
            sent.text(),
            "It was set to 10, then increased by 5 in 2 steps. The store itself has lowered that by 3 units since, as sales do. \
             It showed 12 when last known. That is 8 units below its target; an overwrite would set it."
        );
        let reported = Sent { reported_sales: 2, ..sent };
        assert!(reported.text().contains("lowered that by 3 units since, as sales do; its reported sales since are 2 units. It"));
        let packs = Sent { units: UnitsEach::check(6).unwrap(), reported_sales: 12, ..sent };
        assert!(packs.text().contains("as sales do; its reported sales since are 12 units of the SKU, of which each is 6. It"));
        let back = Restored { shown: 12, sold: 2, increased: 0 };
        let undone = Sent { set_to: Some(10), restored: Some(back), shown: Some(10), target: 10, ..Sent::default() };
        assert!(undone.text().starts_with("It was set to 10 (12 shown before the run, less 2 units sold since)."), "{}", undone.text());
        let exact = Sent { set_to: Some(4), shown: Some(4), target: 4, pushed: true, ..Sent::default() };
        assert_eq!(exact.text(), "It was set to 4. It showed 4 when last known.");
        let raised = Sent { shown: Some(5), increases: 1, increased_by: 1, target: 5, ..exact };
        assert_eq!(raised.text(), "It was set to 4, then increased by 1 once. It showed 5 when last known.");
        let lowered = Sent { shown: Some(1), increases: 2, increased_by: -3, target: 1, ..exact };
        assert_eq!(lowered.text(), "It was set to 4, then decreased by 3 in 2 steps. It showed 1 when last known.");
        let edited = Sent { shown: Some(5), pushed: false, ..exact };
        assert_eq!(edited.text(), "It was set to 4. The store itself has raised that by 1 unit since. It showed 5 when last known.");
        assert!(Sent::default().text().contains("not known"));
        let blind = Sent { shown: Some(3), increases: 3, increased_by: 3, target: 3, ..Sent::default() };
        assert!(blind.text().starts_with("It was never overwritten") && blind.sum().is_none());
    }

    #[test]
    fn what_was_sent_counts_from_the_newest_overwrite_on() {
        let shop = StoreId::new(Timestamp::default());
        let to = || Addressee {
            store_id: shop,
            listing_id: ListingId::new(Timestamp::default()),
            sku: "A".into(),
            external_id: "A".into(),
            extra: None,
        };
        let confirmed = |overwrites: bool, units: i64, at: i64| {
            let at = Timestamp::from_millis(at);
            let made = if overwrites { Push::overwrite(to(), at, None, None, false) } else { Push::increase(to(), units, at, false) };
            Push::from_record(Record {
                state: PushState::Confirmed,
                quantity: Some(units),
                due_at: None,
                confirmed_at: Some(at),
                ..made.into_record()
            })
            .unwrap()
        };
        let sent = Sent::of(vec![
            confirmed(false, 4, 7),
            confirmed(false, 1, 3),
            confirmed(true, 10, 5),
            confirmed(true, 9, 2),
            confirmed(false, 2, 8),
        ]);
        assert_eq!((sent.set_to, sent.set_at, sent.increased_by, sent.increases), (Some(10), Some(Timestamp::from_millis(5)), 6, 2));
        let never_set = Sent::of(vec![confirmed(false, 4, 7)]);
        assert_eq!((never_set.set_to, never_set.increased_by), (None, 4));
    }

    fn any_event() -> impl Strategy<Value = PastEvent> {
        use EventKind::{Adjustment, Cancellation, Purchase, Return, Sale, Transfer};
        let kind = prop_oneof![Just(Adjustment), Just(Cancellation), Just(Purchase), Just(Return), Just(Sale), Just(Transfer)];
        (kind, 1i64..50, any::<bool>(), any::<bool>())
            .prop_map(|(kind, quantity, here, there)| event(kind, quantity, InCount { here, there, ..InCount::default() }))
    }

    proptest! {
        #[test]
        fn going_back_over_what_was_applied_leads_to_where_it_began(main in -50i64..50, events in proptest::collection::vec(any_event(), 0..12)) {
            let began = Levels::from([(WarehouseCode::main(), main), (code("east"), 3)]);
            let mut levels = began.clone();
            for (code, delta) in events.iter().flat_map(PastEvent::effect) {
                *levels.entry(code).or_default() += delta;
            }
            let mut replay = Replay::new(&levels);
            events.iter().rev().for_each(|event| replay.go_back_over(std::slice::from_ref(event)));
            prop_assert_eq!(replay.all_levels(), Some(began));
        }
    }
}
