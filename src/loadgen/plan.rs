//! The plan of a run: every option with its default and bounds.
use super::face::Face;
use crate::simulator::Rate;
use crate::simulator::args::FaultArgs;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Bounds of the options: a run keeps everything in memory until the verdict.
const MAX_SELLERS: usize = 10_000;
const MAX_STORES: usize = 100;
const MAX_SKUS: usize = 100_000;
const MAX_LISTINGS: usize = 5_000_000;
const MAX_EVENTS: usize = 10_000_000;
const MAX_BATCH: usize = 10_000;
const MAX_CONNECTIONS: usize = 1_000;
const MAX_ITEMS: usize = 1_000;

/// Kinds of stock events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the kinds of the HTTP interface, documented there")]
pub enum Kind {
    Purchase,
    Return,
    Adjustment,
    Count,
    Sale,
    Cancellation,
    Transfer,
}

impl Kind {
    /// All kinds, in the order of [`Mix`].
    pub const ALL: [Self; 7] =
        [Self::Purchase, Self::Return, Self::Adjustment, Self::Count, Self::Sale, Self::Cancellation, Self::Transfer];

    fn word(self) -> &'static str {
        match self {
            Self::Purchase => "purchase",
            Self::Return => "return",
            Self::Adjustment => "adjustment",
            Self::Count => "count",
            Self::Sale => "sale",
            Self::Cancellation => "cancellation",
            Self::Transfer => "transfer",
        }
    }
}

/// How often each kind is drawn, as weights in the order of [`Kind::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix(pub [u32; 7]);

impl Default for Mix {
    fn default() -> Self {
        Self([25, 10, 15, 5, 30, 5, 10])
    }
}

impl std::fmt::Display for Mix {
    /// As `FromStr` parses it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let drawn = Kind::ALL.iter().zip(self.0).filter(|(_, weight)| *weight > 0);
        f.write_str(&drawn.map(|(kind, weight)| format!("{}={weight}", kind.word())).collect::<Vec<_>>().join(","))
    }
}

impl std::str::FromStr for Mix {
    type Err = String;
    /// Parses `purchase=30,sale=70`; kinds that are not named are never drawn.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut weights = [0; 7];
        for part in text.split(',') {
            let (word, weight) = part.split_once('=').ok_or_else(|| format!("{part:?} is not KIND=WEIGHT"))?;
            let slot = Kind::ALL.iter().position(|kind| kind.word() == word.trim()).and_then(|i| weights.get_mut(i));
            let slot = slot.ok_or_else(|| format!("there is no kind {word:?}"))?;
            *slot = weight.trim().parse().map_err(|_| format!("{weight:?} is not a weight"))?;
        }
        let sum: u64 = weights.iter().map(|w| u64::from(*w)).sum();
        if sum == 0 || sum > u64::from(u32::MAX) {
            Err("the sum of the weights must be from 1 to 4294967295".to_owned())
        } else {
            Ok(Self(weights))
        }
    }
}

/// What the platform offers to apply an increase exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Offers {
    /// It can add, with idempotency keys.
    Keys,
    /// It can only set, on condition that the item shows an expected quantity.
    CompareAndSet,
    /// It can add and be read, with neither keys nor compare-and-set.
    Neither,
    /// It can add but not be read: listings with an unknown outcome are overwritten.
    Blind,
    /// It can only set, unconditionally, and be read.
    SetOnly,
}

/// A platform's abilities, with the names used by store settings and the platform's faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Abilities {
    pub(super) adjust: bool,
    pub(super) idempotency: bool,
    pub(super) compare_and_set: bool,
    pub(super) read: bool,
}

impl Offers {
    pub(super) fn abilities(self) -> Abilities {
        let (adjust, idempotency, compare_and_set, read) = match self {
            Self::Keys => (true, true, false, true),
            Self::CompareAndSet => (false, false, true, true),
            Self::Neither => (true, false, false, true),
            Self::Blind => (true, false, false, false),
            Self::SetOnly => (false, false, false, true),
        };
        Abilities { adjust, idempotency, compare_and_set, read }
    }
}

/// The kind of run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Task {
    /// Send stock events, which the service pushes as increases.
    Events {
        /// Events in total.
        count: usize,
        /// Most events in one request.
        batch: usize,
        /// Events per second; `None` sends as fast as possible.
        rate: Option<f64>,
        /// Zipf exponent for drawing SKUs; 0 draws all SKUs equally often.
        zipf: f64,
        /// How often each kind is drawn.
        mix: Mix,
        /// Fraction of requests to send twice, from 0 to 1.
        repeat: f64,
    },
    /// Overwrite every listing once.
    Overwrite {
        /// By a timed daily run, due about a minute from now, instead of a manual sync.
        timed: bool,
    },
}

/// Everything that defines a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// URL of the service.
    pub service: String,
    /// The service's operator key.
    pub operator_key: SecretString,
    /// URL of the simulated platform.
    pub platform: String,
    /// The same seed draws the same events.
    pub seed: u64,
    /// Sellers to create.
    pub sellers: usize,
    /// Stores per seller.
    pub stores: usize,
    /// SKUs per seller, each paired in all of the seller's stores.
    pub skus: usize,
    /// One or two; with two, every second store is fed by just one of them.
    pub warehouses: usize,
    /// Shares of a seller's stores in percent; the list is repeated as often as needed.
    pub shares: Vec<f64>,
    /// Every Nth seller uses exclusive allocation, with shares scaled down to 100% if necessary; 0 for none.
    pub exclusive_every: usize,
    /// Wire format between the service and the platform.
    pub face: Face,
    /// What the platform offers to apply an increase exactly once.
    pub offers: Offers,
    /// Most items in one call to the platform.
    pub max_items: usize,
    /// Rate limit in the stores' settings; `None` for the connector's default.
    pub store_rate: Option<Rate>,
    /// Faults of the platform during the run.
    pub faults: FaultArgs,
    /// Whether faults are turned off as soon as everything has been sent, instead of at the end.
    pub calm_settling: bool,
    /// Whether the service prunes its records during the run, so that they cannot be compared.
    pub records_pruned: bool,
    /// Connections to the service, each with one request in flight.
    pub connections: usize,
    /// How long an unanswered request is retried, for example while the service restarts, before the run is abandoned.
    pub patience: Duration,
    /// How long to wait, once everything has been sent, until no push is under way.
    pub quiet_within: Duration,
    /// Whether to show progress on stderr.
    pub progress: bool,
    /// The kind of run.
    pub task: Task,
}

impl Plan {
    /// A run of 20,000 events over 100 sellers with 3 stores and 200 SKUs each.
    pub fn events(service: &str, operator_key: SecretString, platform: &str) -> Self {
        Self {
            service: service.to_owned(),
            operator_key,
            platform: platform.to_owned(),
            seed: 1,
            sellers: 100,
            stores: 3,
            skus: 200,
            warehouses: 1,
            shares: vec![100.0, 60.0, 35.0],
            exclusive_every: 3,
            face: Face::Own,
            offers: Offers::Keys,
            max_items: 100,
            store_rate: None,
            faults: FaultArgs::default(),
            calm_settling: false,
            records_pruned: false,
            connections: 8,
            patience: Duration::from_secs(120),
            quiet_within: Duration::from_secs(900),
            progress: true,
            task: Task::Events { count: 20_000, batch: 50, rate: None, zipf: 1.0, mix: Mix::default(), repeat: 0.05 },
        }
    }

    /// One overwrite of the 50,000 listings of a single store that allows 50 calls/s.
    pub fn overwrite(service: &str, operator_key: SecretString, platform: &str) -> Self {
        Self {
            sellers: 1,
            stores: 1,
            skus: 50_000,
            exclusive_every: 0,
            store_rate: Some(Rate { per_second: 50.0, burst: 50.0 }),
            task: Task::Overwrite { timed: false },
            ..Self::events(service, operator_key, platform)
        }
    }

    /// Returns an error that names the first option out of bounds.
    pub fn check(&self) -> Result<(), String> {
        let mut bounds = vec![
            ("sellers", self.sellers, 1, MAX_SELLERS),
            ("stores", self.stores, 1, MAX_STORES),
            ("skus", self.skus, 1, MAX_SKUS),
            ("warehouses", self.warehouses, 1, 2),
            ("max-items", self.max_items, 1, MAX_ITEMS),
            ("connections", self.connections, 1, MAX_CONNECTIONS),
            ("sellers × stores × skus", self.sellers.saturating_mul(self.stores).saturating_mul(self.skus), 1, MAX_LISTINGS),
        ];
        if let Task::Events { count, batch, rate, zipf, repeat, .. } = self.task {
            bounds.extend([("events", count, 1, MAX_EVENTS), ("batch", batch, 1, MAX_BATCH)]);
            if !(0.0..=1.0).contains(&repeat) {
                return Err("repeat must be from 0 to 1".to_owned());
            }
            if !(0.0..=10.0).contains(&zipf) {
                return Err("zipf must be from 0 to 10".to_owned());
            }
            if rate.is_some_and(|rate| !(0.001..=1e6).contains(&rate)) {
                return Err("rate must be from 0.001 to 1000000 events per second".to_owned());
            }
        }
        if self.face != Face::Own && self.offers != Offers::Keys {
            return Err("offers can only be chosen with face own: the other faces offer what the real platforms do".to_owned());
        }
        if let Some((name, _, least, most)) = bounds.into_iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
            return Err(format!("{name} must be from {least} to {most}"));
        }
        let hundredths = |share: &f64| (0.01..=100.0).contains(share) && ((share * 100.0).round() - share * 100.0).abs() < 1e-6;
        if self.shares.is_empty() || !self.shares.iter().all(hundredths) {
            return Err("shares must be from 0.01 to 100, with at most two decimals".to_owned());
        }
        Ok(())
    }

    /// The shares of a seller's stores in hundredths of a percent, and whether allocation is exclusive.
    pub(super) fn shares_of(&self, seller: usize) -> (Vec<i64>, bool) {
        #[expect(clippy::cast_possible_truncation, reason = "`check` allows 0.01 to 100")]
        let hundredths = self.shares.iter().cycle().take(self.stores).map(|share| (share * 100.0).round() as i64);
        let exclusive = self.exclusive_every > 0 && seller % self.exclusive_every == self.exclusive_every - 1;
        let shares: Vec<i64> = hundredths.collect();
        let sum: i64 = shares.iter().sum();
        if exclusive && sum > 10_000 { (shares.iter().map(|share| share * 10_000 / sum).collect(), true) } else { (shares, exclusive) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusive_shares_are_scaled_down_to_one_hundred_percent() {
        let plan = Plan::events("", "".into(), "");
        assert_eq!(plan.shares_of(0), (vec![10_000, 6_000, 3_500], false));
        assert_eq!(plan.shares_of(2), (vec![5_128, 3_076, 1_794], true));
        assert!(plan.check().is_ok());
    }

    #[test]
    fn an_error_names_the_option_that_is_out_of_bounds() {
        let plan = Plan::events("", "".into(), "");
        assert_eq!(Plan { sellers: 0, ..plan.clone() }.check(), Err("sellers must be from 1 to 10000".to_owned()));
        assert!(Plan { shares: vec![33.333], ..plan.clone() }.check().is_err());
        assert!(Plan { sellers: 1000, skus: 10_000, ..plan }.check().unwrap_err().contains('×'));
        assert!(Plan { face: Face::Shopee, offers: Offers::Blind, ..Plan::events("", "".into(), "") }.check().is_err());
        let at = |rate| Plan {
            task: Task::Events { count: 1, batch: 1, rate: Some(rate), zipf: 0.0, mix: Mix::default(), repeat: 0.0 },
            ..Plan::events("", "".into(), "")
        };
        assert!(at(0.001).check().is_ok() && [0.0, 1e-300, f64::NAN, f64::INFINITY].iter().all(|rate| at(*rate).check().is_err()));
        assert!("purchase=1,gift=2".parse::<Mix>().is_err());
        assert_eq!("sale=7".parse::<Mix>().unwrap().0, [0, 0, 0, 0, 7, 0, 0]);
    }
}
