//! What a run is to do: every option once, with its default and its bounds.
use super::face::Face;
use crate::simulator::Rate;
use crate::simulator::args::FaultArgs;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Bounds of what one run may be told. All of it is kept in memory until the verdict.
const MAX_SELLERS: usize = 10_000;
const MAX_STORES: usize = 100;
const MAX_SKUS: usize = 100_000;
const MAX_LISTINGS: usize = 5_000_000;
const MAX_EVENTS: usize = 10_000_000;
const MAX_BATCH: usize = 10_000;
const MAX_CONNECTIONS: usize = 1_000;
const MAX_ITEMS: usize = 1_000;

/// What kinds of stock events there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are the kinds of the interface")]
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
    /// All of them, in the order of [`Mix`].
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

/// How often each kind comes, as weights in the order of [`Kind::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix(pub [u32; 7]);

impl Default for Mix {
    fn default() -> Self {
        Self([25, 10, 15, 5, 30, 5, 10])
    }
}

impl std::str::FromStr for Mix {
    type Err = String;
    /// `purchase=30,sale=70`; what is not named does not come.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut weights = [0; 7];
        for part in text.split(',') {
            let (word, weight) = part.split_once('=').ok_or_else(|| format!("{part:?} is not KIND=WEIGHT"))?;
            let slot = Kind::ALL.iter().position(|kind| kind.word() == word.trim()).and_then(|i| weights.get_mut(i));
            let slot = slot.ok_or_else(|| format!("there is no kind {word:?}"))?;
            *slot = weight.trim().parse().map_err(|_| format!("{weight:?} is not a weight"))?;
        }
        let sum: u64 = weights.iter().map(|w| u64::from(*w)).sum();
        if sum == 0 || sum > u64::from(u32::MAX) { Err("the weights must sum to something".to_owned()) } else { Ok(Self(weights)) }
    }
}

/// What the platform offers for bringing an increase there exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Offers {
    /// Adds, under idempotency keys.
    Keys,
    /// Only sets, and only if what is shown is what was expected.
    CompareAndSet,
    /// Adds and can be read, with neither keys nor compare-and-set.
    Neither,
    /// Adds, with nothing to read back: what is unknown is overwritten.
    Blind,
    /// Only sets, unconditionally, and can be read.
    SetOnly,
}

/// The abilities of a platform, as a store's settings and the platform's switches name them.
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

/// What kind of run it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Task {
    /// Stock events, pushed as increases.
    Events {
        /// How many.
        count: usize,
        /// In requests of so many.
        batch: usize,
        /// Per second; as fast as it goes when `None`.
        rate: Option<f64>,
        /// Zipf's exponent for drawing SKUs; 0 draws all alike.
        zipf: f64,
        /// The kinds.
        mix: Mix,
        /// The part of the requests that is sent twice, from 0 to 1.
        repeat: f64,
    },
    /// One overwrite of every listing.
    Overwrite {
        /// By a timed daily run in the next minute, instead of a manual sync.
        timed: bool,
    },
}

/// A run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The service's address.
    pub service: String,
    /// Opens `/admin`.
    pub operator_key: SecretString,
    /// The simulated platform's address, for the stores and for its control face.
    pub platform: String,
    /// The same seed draws the same events.
    pub seed: u64,
    /// How many sellers.
    pub sellers: usize,
    /// How many stores each has.
    pub stores: usize,
    /// How many SKUs each has, all paired in each store.
    pub skus: usize,
    /// One or two; with two, every second store is fed by one of them alone.
    pub warehouses: usize,
    /// Shares of the stores in percent, over and over.
    pub shares: Vec<f64>,
    /// Every so many sellers share exclusively, with these shares scaled to the whole; 0 for none.
    pub exclusive_every: usize,
    /// Whose wire format is spoken.
    pub face: Face,
    /// What the platform offers.
    pub offers: Offers,
    /// Items in one call at most.
    pub max_items: usize,
    /// The rate limit in the stores' settings; the connector's default when `None`.
    pub store_rate: Option<Rate>,
    /// Faults switched on at the platform during the run.
    pub faults: FaultArgs,
    /// Switches the faults off when everything is sent, instead of when everything is quiet.
    pub calm_settling: bool,
    /// The service prunes records while the run goes on, so that they cannot be compared.
    pub records_pruned: bool,
    /// Connections to the service, each with one request under way.
    pub connections: usize,
    /// How long one request may go unanswered (the service may be restarting) before the run is given up.
    pub patience: Duration,
    /// How long to wait for quiet after everything is sent.
    pub quiet_within: Duration,
    /// Whether to tell on stderr how far it is.
    pub progress: bool,
    /// What to do.
    pub task: Task,
}

impl Plan {
    /// Events, with sound defaults for the rest: 100 sellers, 3 stores each, 200 SKUs, 20,000 events.
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

    /// One overwrite of 50,000 listings of one store with 50 calls/s.
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

    /// Checks the bounds.
    ///
    /// # Errors
    /// The first option that is out of its bounds, in words.
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
            return Err("offers is for the simulated platform's own face; a real platform's offers what it does".to_owned());
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

    /// The shares of a seller's stores, in hundredths of a percent, and whether they split one pool.
    pub(super) fn shares_of(&self, seller: usize) -> (Vec<i64>, bool) {
        #[expect(clippy::cast_possible_truncation, reason = "checked to be from 0.01 to 100")]
        let plain = self.shares.iter().cycle().take(self.stores).map(|share| (share * 100.0).round() as i64);
        let exclusive = self.exclusive_every > 0 && seller % self.exclusive_every == self.exclusive_every - 1;
        let plain: Vec<i64> = plain.collect();
        let sum: i64 = plain.iter().sum();
        if exclusive && sum > 10_000 { (plain.iter().map(|share| share * 10_000 / sum).collect(), true) } else { (plain, exclusive) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exclusive_shares_are_scaled_to_the_whole() {
        let plan = Plan::events("", "".into(), "");
        assert_eq!(plan.shares_of(0), (vec![10_000, 6_000, 3_500], false));
        assert_eq!(plan.shares_of(2), (vec![5_128, 3_076, 1_794], true));
        assert!(plan.check().is_ok());
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
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
