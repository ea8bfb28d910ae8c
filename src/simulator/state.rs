//! Everything the simulated platform holds in memory, and the operations that all its faces share.
use super::cache::Cache;
use super::faults::{Faults, Rate};
use super::misbehavior::Misbehavior;
use super::receipt::{Receipt, Stats};
use super::shops::{Shops, Tokens};
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// How many receipts and idempotency keys are remembered; the oldest are forgotten first.
const MAX_RECEIPTS: usize = 2_000_000;
const MAX_KEYS: usize = 1_000_000;

#[derive(Default)]
pub(super) struct Store {
    pub(super) items: BTreeMap<String, i64>,
    /// What its bucket held, and when, in microseconds since 1970; `None` until the first call.
    pub(super) tokens: Option<(f64, i64)>,
    pub(super) calls_at: Vec<i64>,
}

pub(super) struct State {
    pub(super) stores: HashMap<String, Store>,
    pub(super) faults: Faults,
    /// Remembered answers by store and idempotency key.
    pub(super) keys: HashMap<(String, String), Value>,
    key_order: VecDeque<(String, String)>,
    pub(super) receipts: VecDeque<Receipt>,
    pub(super) next_seq: u64,
    pub(super) stats: Stats,
    pub(super) keep_instants: bool,
    pub(super) cache: Cache,
    rng: ChaCha8Rng,
    pub(super) shopee: Shops,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            stores: HashMap::new(),
            faults: Faults::default(),
            keys: HashMap::new(),
            key_order: VecDeque::new(),
            receipts: VecDeque::new(),
            next_seq: 1,
            stats: Stats::default(),
            keep_instants: false,
            cache: Cache::default(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            shopee: Shops::default(),
        }
    }

    pub(super) fn store(&mut self, name: &str) -> &mut Store {
        self.stores.entry(name.to_owned()).or_default()
    }

    pub(super) fn count_fault(&mut self, name: &str) {
        *self.stats.faults.entry(name.to_owned()).or_default() += 1;
    }

    /// Decides whether this fault occurs now, and counts it if so.
    pub(super) fn draw(&mut self, probability: f64, fault: &str) -> bool {
        let hit = probability > 0.0 && self.rng.random::<f64>() < probability;
        if hit {
            self.count_fault(fault);
        }
        hit
    }

    /// The misbehavior that befalls this call, if any; it is counted.
    pub(super) fn draw_misbehavior(&mut self, faults: &Faults, reads: bool) -> Option<Misbehavior> {
        let possible = faults.misbehave.iter().filter(|(kind, _)| kind.befalls(reads));
        possible.map(|(kind, p)| (*kind, *p)).find(|(kind, p)| self.draw(*p, kind.name())).map(|(kind, _)| kind)
    }

    pub(super) fn random_token(&mut self) -> String {
        format!("{:032x}", self.rng.random::<u128>())
    }

    pub(super) fn random_tokens(&mut self) -> Tokens {
        Tokens { access_token: self.random_token(), refresh_token: self.random_token() }
    }

    /// Takes `amount` tokens from the store's bucket and returns how many are left; `None` if there were too few, and
    /// then none are taken.
    pub(super) fn take_tokens(&mut self, store: &str, now_us: i64, rate: Rate, amount: f64) -> Option<f64> {
        let entry = self.store(store);
        let (tokens, at) = entry.tokens.unwrap_or((rate.burst, now_us));
        #[expect(clippy::cast_precision_loss, reason = "microseconds between two calls")]
        let refilled = (tokens + (now_us - at).max(0) as f64 / 1e6 * rate.per_second).min(rate.burst);
        let left = (refilled >= amount - 1e-6).then_some(refilled - amount);
        entry.tokens = Some((left.unwrap_or(refilled), now_us));
        left
    }

    /// Remembers the answer to a request with an idempotency key.
    pub(super) fn remember(&mut self, key: (String, String), answer: Value) {
        if self.keys.insert(key.clone(), answer).is_none() {
            self.key_order.push_back(key);
        }
        while self.key_order.len() > MAX_KEYS {
            self.key_order.pop_front().and_then(|old| self.keys.remove(&old));
        }
    }

    /// Sets what an item shows, and keeps a receipt. `action` is `adjust` or `set`, as the caller asked for.
    pub(super) fn change(&mut self, now_us: i64, store: &str, id: &str, action: &str, after: i64) {
        let before = self.store(store).items.insert(id.to_owned(), after).unwrap_or(0);
        self.stats.items += 1;
        let receipt = Receipt {
            seq: self.next_seq,
            at_us: now_us,
            store: store.to_owned(),
            external_id: id.to_owned(),
            action: action.to_owned(),
            change: after.saturating_sub(before),
            quantity: after,
        };
        self.next_seq += 1;
        self.receipts.push_back(receipt);
        if self.receipts.len() > MAX_RECEIPTS {
            self.receipts.pop_front();
        }
    }
}
