//! A second implementation of the rules, as simple as possible, to compare the service with. Shares no code with it.
use crate::journal::{Component, Listing, Rule, Settings, Store};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// A run that starts this late still counts as on time, even if nothing is caught up.
pub const ON_TIME_MS: i64 = 15 * 60_000;

/// One seller's ledger and settings.
#[derive(Debug, Clone, Default)]
pub struct Seller {
    pub settings: Option<Settings>,
    /// By SKU and warehouse.
    pub available: BTreeMap<(String, String), i64>,
    /// By id, and therefore by age.
    pub stores: BTreeMap<String, Store>,
    pub rules: Vec<Rule>,
    pub listings: BTreeMap<String, Listing>,
    pub paused_skus: BTreeSet<String>,
    /// By bundle, how many of each component it takes.
    pub bundles: BTreeMap<String, BTreeMap<String, i64>>,
}

/// An event as it was sent.
#[derive(Debug, Clone)]
pub struct Event {
    pub sku: String,
    pub kind: String,
    pub quantity: i64,
    pub warehouse: String,
    pub to_warehouse: Option<String>,
    /// The store that is named, for a sale.
    pub sold_by: Option<String>,
}

impl Event {
    /// Whether the service has to take this for a repetition of the other.
    pub fn repeats(&self, other: &Self) -> bool {
        let substance = |e: &Self| (e.sku.clone(), e.kind.clone(), e.quantity, e.warehouse.clone(), e.to_warehouse.clone());
        substance(self) == substance(other)
    }
}

/// The rules that apply to one listing.
#[derive(Debug, Clone)]
pub struct Resolved {
    pub share: Option<i64>,
    pub buffer: i64,
    pub threshold: Option<i64>,
    pub max_shown: Option<i64>,
    pub enabled: bool,
}

impl Seller {
    fn settings(&self) -> &Settings {
        self.settings.as_ref().unwrap()
    }

    pub fn apply(&mut self, event: &Event) {
        if let Some(components) = self.bundles.get(&event.sku).cloned() {
            for (sku, each) in components {
                self.apply(&Event { sku, quantity: each * event.quantity, ..event.clone() });
            }
            return;
        }
        let here = (event.sku.clone(), event.warehouse.clone());
        let level = self.available.entry(here).or_default();
        match event.kind.as_str() {
            "purchase" | "return" | "cancellation" | "adjustment" => *level += event.quantity,
            "sale" => *level -= event.quantity,
            "count" => *level = event.quantity,
            "transfer" => {
                *level -= event.quantity;
                let there = (event.sku.clone(), event.to_warehouse.clone().unwrap());
                *self.available.entry(there).or_default() += event.quantity;
            }
            other => panic!("no such event: {other}"),
        }
    }

    /// Whether an event of this kind currently triggers increases.
    pub fn triggers(&self, kind: &str) -> bool {
        let settings = self.settings();
        settings.auto_sync && settings.incremental && (kind != "sale" && (kind != "cancellation" || settings.cancellations))
    }

    /// Whether an event that moves the target of a listing by so many units is sent to it. The event's store is named as in the journal.
    pub fn sends(&self, event: &Event, listing: &Listing, units: i64) -> bool {
        let (settings, store) = (self.settings(), &self.stores[&listing.store]);
        let by_this = event.sku == listing.sku && event.sold_by.as_ref() == Some(&store.id);
        if units > 0 {
            let is_back = event.kind == "return" && store.restocks && event.sku == listing.sku && (by_this || event.sold_by.is_none());
            return self.triggers(&event.kind) && !is_back;
        }
        let reason = match event.kind.as_str() {
            "adjustment" => 1,
            "count" => 2,
            "transfer" => 4,
            "sale" if event.sold_by.is_none() => 8,
            "sale" if !by_this => 16,
            _ => 0,
        };
        settings.auto_sync && settings.incremental && store.falls & reason != 0
    }

    fn rule(&self, sku: Option<&str>, store: Option<&str>) -> Option<&Rule> {
        self.rules.iter().find(|r| r.sku.as_deref() == sku && r.store.as_deref() == store)
    }

    pub fn resolved(&self, store: &Store, sku: &str) -> Resolved {
        let narrow = [self.rule(Some(sku), Some(&store.id)), self.rule(Some(sku), None), self.rule(None, Some(&store.id))];
        let wide = self.rule(None, None);
        fn first<T>(rules: &[Option<&Rule>], field: impl Fn(&Rule) -> Option<T>) -> Option<T> {
            rules.iter().find_map(|rule| rule.and_then(&field))
        }
        let all = [narrow[0], narrow[1], narrow[2], wide];
        Resolved {
            share: first(&narrow, |r| r.share).or(store.share).or_else(|| wide.and_then(|r| r.share)),
            buffer: first(&all, |r| r.buffer).unwrap_or(self.settings().buffer),
            threshold: first(&all, |r| r.threshold),
            max_shown: first(&all, |r| r.max_shown),
            enabled: store.enabled && wide.and_then(|r| r.enabled).unwrap_or(true) && first(&narrow, |r| r.enabled).unwrap_or(true),
        }
    }

    /// A bundle takes so many of a SKU from now on, or none of it.
    pub fn takes(&mut self, Component { bundle, sku, quantity }: Component, deleted: bool) {
        let components = self.bundles.entry(bundle).or_default();
        if deleted {
            components.remove(&sku);
        } else {
            components.insert(sku, quantity);
        }
        self.bundles.retain(|_, components| !components.is_empty());
    }

    /// What is there in the warehouses that feed a store, or in all.
    pub fn there(&self, store: Option<&Store>, sku: &str) -> i64 {
        if let Some(components) = self.bundles.get(sku) {
            // Bundle by bundle, as long as there is enough of everything.
            let enough_for = |made: &i64| components.iter().all(|(component, each)| made * each <= self.there(store, component));
            return (1..).take_while(enough_for).last().unwrap_or(0);
        }
        let feeds = |warehouse: &String| store.and_then(|store| store.warehouses.as_ref()).is_none_or(|all| all.contains(warehouse));
        self.available.iter().filter(|((s, w), _)| s == sku && feeds(w)).map(|(_, n)| n).sum()
    }

    fn pool(&self, store: &Store, rules: &Resolved, sku: &str) -> i64 {
        (self.there(Some(store), sku) - rules.buffer).max(0)
    }

    /// The SKUs of which an event of this one changes what is there.
    pub fn touched_by(&self, sku: &str) -> BTreeSet<String> {
        let moved: BTreeSet<String> = match self.bundles.get(sku) {
            Some(components) => components.keys().cloned().collect(),
            None => BTreeSet::from([sku.to_owned()]),
        };
        let has_moved = |components: &BTreeMap<String, i64>| components.keys().any(|component| moved.contains(component));
        let bundles = self.bundles.iter().filter(|(_, components)| has_moved(components)).map(|(bundle, _)| bundle.clone());
        bundles.chain(moved.iter().cloned()).collect()
    }

    /// What each listing of a SKU should show, by its id; `None` if it must not be pushed.
    pub fn targets(&self, sku: &str) -> BTreeMap<String, Option<i64>> {
        let mut listed: Vec<(&Listing, &Store)> =
            self.listings.values().filter(|l| l.sku == sku).map(|l| (l, &self.stores[&l.store])).collect();
        listed.sort_by_key(|(listing, store)| (&store.id, &listing.id));
        let rules: Vec<Resolved> = listed.iter().map(|(_, store)| self.resolved(store, sku)).collect();
        // A store is counted once.
        let shares: BTreeMap<&str, i64> =
            listed.iter().zip(&rules).map(|((_, store), rules)| (store.id.as_str(), rules.share.unwrap_or(0))).collect();
        let (stores, shares): (Vec<&str>, Vec<i64>) = shares.into_iter().unzip();
        let mut targets = BTreeMap::new();
        for ((listing, store), rules) in listed.iter().zip(&rules) {
            let place = stores.iter().position(|id| *id == store.id).unwrap();
            let target = rules.share.filter(|_| rules.enabled).map(|share| {
                let pool = self.pool(store, rules, sku);
                let part = if self.settings().exclusive { split(pool, &shares)[place] } else { pool * share / 10_000 };
                let part = if rules.threshold.is_some_and(|t| part < t) { 0 } else { part };
                let units = rules.max_shown.map_or(part, |most| part.min(most));
                // Pack by pack, as long as there are enough units.
                (1..).take_while(|packs| packs * listing.units <= units).last().unwrap_or(0)
            });
            targets.insert(listing.id.clone(), target);
        }
        targets
    }
}

/// When the daily time of a date occurs.
pub struct DailyTime {
    pub at_ms: i64,
    /// The clock skips it.
    pub skipped: bool,
    /// The clock shows it twice.
    pub repeated: bool,
}

/// Reads a clock in the seller's zone minute by minute, and returns the first instant at which it shows the time or has
/// skipped it.
pub fn daily_time(settings: &Settings, date: &str) -> DailyTime {
    let (zone, date) = (settings.zone.parse::<chrono_tz::Tz>().unwrap(), date.parse::<NaiveDate>().unwrap());
    let time = settings.daily_at.get(..5).and_then(|text| NaiveTime::parse_from_str(text, "%H:%M").ok()).unwrap();
    let wanted = date.and_time(time);
    let shown = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local();
    // No zone is further from UTC.
    let mut at = wanted.and_utc() - TimeDelta::hours(15);
    while shown(at) < wanted {
        at += TimeDelta::minutes(1);
    }
    let again = (1..=180).any(|minutes| shown(at + TimeDelta::minutes(minutes)) == wanted);
    DailyTime { at_ms: at.timestamp_millis(), skipped: shown(at) != wanted, repeated: again }
}

pub fn local_date(settings: &Settings, at_ms: i64) -> NaiveDate {
    let zone: chrono_tz::Tz = settings.zone.parse().unwrap();
    DateTime::from_timestamp_millis(at_ms).unwrap().with_timezone(&zone).date_naive()
}

/// Sainte-Laguë, one unit at a time; the share that no listing has is one more party.
fn split(pool: i64, shares: &[i64]) -> Vec<i64> {
    let mut weights = shares.to_vec();
    weights.push((10_000 - shares.iter().sum::<i64>()).max(0));
    let mut parts = vec![0; weights.len()];
    for _ in 0..pool {
        let best = (0..weights.len()).filter(|i| weights[*i] > 0).reduce(|a, b| {
            // The larger quotient wins; if they are equal, the earlier party.
            if weights[b] * (2 * parts[a] + 1) > weights[a] * (2 * parts[b] + 1) { b } else { a }
        });
        let Some(best) = best else { break };
        parts[best] += 1;
    }
    assert_eq!(parts.iter().sum::<i64>(), if weights.iter().any(|w| *w > 0) { pool } else { 0 });
    parts.pop();
    parts
}
