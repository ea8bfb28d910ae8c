//! What goes wrong at the simulated platform, and what it offers: the switches that `PUT /control/faults` sets.
use super::misbehavior::Misbehavior;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest that a cache may keep an answer without saying so, in seconds: what the service can allow for.
pub(super) const LONGEST_CACHE_S: f64 = 300.0;

/// A token bucket; every store has one of its own, counted in calls or, at the Shopify face, in points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Tokens refilled per second.
    pub per_second: f64,
    /// Capacity of the bucket.
    pub burst: f64,
}

impl std::str::FromStr for Rate {
    type Err = &'static str;
    /// Parses `PER_SECOND` or `PER_SECOND:BURST`. The burst defaults to one second's worth, and is at least 1.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "must be PER_SECOND or PER_SECOND:BURST, such as 50:100, each from 0.001 to 1000000";
        let number = |text: &str| text.parse::<f64>().ok().filter(|n| (0.001..=1e6).contains(n)).ok_or(wrong);
        let (per_second, burst) = text.split_once(':').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
        let per_second = number(per_second)?;
        let burst = burst.map(number).transpose()?.unwrap_or(per_second).max(1.0);
        Ok(Self { per_second, burst })
    }
}

/// The faults and abilities of the whole platform. Probabilities are from 0 to 1 and apply to each call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Each store's bucket; calls beyond it are answered 429 and counted.
    pub rate_limit: Option<Rate>,
    /// Delay before each answer, in milliseconds.
    pub latency_ms: u64,
    /// Probability of a 429 although the bucket is not empty.
    pub throttle: f64,
    /// `Retry-After` of these 429 answers, in seconds.
    pub retry_after_s: f64,
    /// All calls are answered 401.
    pub unauthorized: bool,
    /// Calls to these stores are answered 401.
    pub unauthorized_stores: Vec<String>,
    /// Probability of a 500 without applying the request.
    pub error_before: f64,
    /// Probability of a 500 after applying the request.
    pub error_after: f64,
    /// Probability that the request is applied and its answer lost.
    pub lose_answer: f64,
    /// Probability that the connection is cut and the request not applied.
    pub cut: f64,
    /// Probability that the connection is cut and the request applied only [`Self::late_ms`] later.
    pub late: f64,
    /// How much later, in milliseconds.
    pub late_ms: u64,
    /// Probability that the request is neither answered nor applied.
    pub never_answer: f64,
    /// No connection is accepted (in process), or every call is answered 503 (over HTTP).
    pub down: bool,
    /// Idempotency keys are honored.
    pub idempotency: bool,
    /// `expected` is honored.
    pub compare_and_set: bool,
    /// `/adjust` exists.
    pub adjust: bool,
    /// Items that are refused, one by one.
    pub reject_items: Vec<String>,
    /// Items whose stock is not tracked. The Shopify face accepts changes of them, which have no effect; the others refuse
    /// them, one by one.
    pub untracked_items: Vec<String>,
    /// Probability of each kind of misbehavior; at most one befalls a call.
    pub misbehave: BTreeMap<Misbehavior, f64>,
    /// How much each row that is written delays the answer, in milliseconds.
    pub row_ms: u64,
    /// How much longer each row makes an answer, in bytes.
    pub row_bytes: usize,
    /// How long a cache repeats its first answer to a read, in seconds.
    pub cache_s: f64,
    /// Whether that cache says in its answers that it is one.
    pub says_cached: bool,
    /// The token may read but not write.
    pub read_only: bool,
    /// Items that make a whole call fail with 400.
    pub poison_items: Vec<String>,
    /// Every answer over HTTP repeats the headers and the body of its request: in headers of its own, beside the data, and as
    /// the text of every error.
    pub repeat: bool,
    /// The token that callers must present. At the Shopify face, renewing a token returns it.
    pub token: Option<String>,
    /// Each Shopify shop's bucket, in points; calls beyond it are answered THROTTLED and counted.
    pub shopify_points: Rate,
    /// What each row of a Shopify mutation costs on top of the mutation itself; nothing, according to the recordings.
    pub shopify_points_per_row: f64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            rate_limit: None,
            latency_ms: 0,
            throttle: 0.0,
            retry_after_s: 1.0,
            unauthorized: false,
            unauthorized_stores: Vec::new(),
            error_before: 0.0,
            error_after: 0.0,
            lose_answer: 0.0,
            cut: 0.0,
            late: 0.0,
            late_ms: 0,
            never_answer: 0.0,
            down: false,
            idempotency: true,
            compare_and_set: true,
            adjust: true,
            reject_items: Vec::new(),
            untracked_items: Vec::new(),
            misbehave: BTreeMap::new(),
            row_ms: 0,
            row_bytes: 0,
            cache_s: 0.0,
            says_cached: false,
            read_only: false,
            poison_items: Vec::new(),
            repeat: false,
            token: None,
            shopify_points: Rate { per_second: 100.0, burst: 2000.0 },
            shopify_points_per_row: 0.0,
        }
    }
}

impl Faults {
    /// Whether this item is refused for its own sake.
    pub(super) fn refuses(&self, item: &String) -> bool {
        self.reject_items.contains(item) || self.untracked_items.contains(item)
    }

    /// Returns an error that names the first value out of bounds.
    pub fn check(&self) -> Result<(), String> {
        let probabilities = [
            ("throttle", self.throttle),
            ("error_before", self.error_before),
            ("error_after", self.error_after),
            ("lose_answer", self.lose_answer),
            ("cut", self.cut),
            ("late", self.late),
            ("never_answer", self.never_answer),
        ];
        let misbehaviors = self.misbehave.iter().map(|(kind, p)| (kind.name(), *p));
        if let Some((name, _)) = probabilities.into_iter().chain(misbehaviors).find(|(_, p)| !(0.0..=1.0).contains(p)) {
            return Err(format!("{name} must be from 0 to 1"));
        }
        if !(0.0..=86_400.0).contains(&self.retry_after_s) {
            return Err("retry_after_s must be from 0 to 86400 seconds".to_owned());
        }
        if !(0.0..=LONGEST_CACHE_S).contains(&self.cache_s) {
            return Err(format!("cache_s must be from 0 to {LONGEST_CACHE_S} seconds"));
        }
        if self.rate_limit.is_some_and(|rate| !(rate.per_second > 0.0 && rate.burst >= 1.0)) {
            return Err("rate_limit needs per_second above 0 and a burst of at least 1".to_owned());
        }
        Ok(())
    }
}

/// A failure that has nothing to do with the content of a call; each face words it in its own way.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failure {
    OverLimit,
    Throttled,
    Unauthorized,
    ReadOnly,
    Internal,
}
