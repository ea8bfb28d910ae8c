//! The simulated platform itself: many stores, a quantity for each item, faults on demand. In process for tests
//! ([`in_process`]), served over HTTP for demo and load ([`serve`]).
//!
//! It has several faces: the small protocol of its own, and the wire formats of real platforms ([`shopee`], and
//! Shopify's under `/shopify/{shop}`, see `shopify.rs`). Stores, faults, limits and receipts are the same behind all of
//! them.
//!
//! It shares no code with the connectors that talk to it: what it understands is its own.
pub mod args;
mod faces;
pub mod in_process;
pub mod serve;
pub mod shopee;
mod shopify;

use faces::{Asked, Failure};
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Receipts and keys remembered at most.
const MOST_RECEIPTS: usize = 2_000_000;
const MOST_KEYS: usize = 1_000_000;
/// Items in one call at most, as the protocol says; bridges with more say so in their store's settings.
const MOST_ITEMS: usize = 1000;

/// A bucket that every store has for itself, of calls or of points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Calls or points per second.
    pub per_second: f64,
    /// Calls or points at once.
    pub burst: f64,
}

impl std::str::FromStr for Rate {
    type Err = &'static str;
    /// `PER_SECOND` or `PER_SECOND:BURST`; without a burst, what a second brings, and at least one.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "must be PER_SECOND or PER_SECOND:BURST, such as 50:100, each from 0.001 to 1000000";
        let number = |text: &str| text.parse::<f64>().ok().filter(|n| (0.001..=1e6).contains(n)).ok_or(wrong);
        let (per_second, burst) = text.split_once(':').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
        let per_second = number(per_second)?;
        let burst = burst.map(number).transpose()?.unwrap_or(per_second).max(1.0);
        Ok(Self { per_second, burst })
    }
}

/// What goes wrong. Probabilities are from 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Each store's bucket; what goes beyond is answered 429 and counted.
    pub rate_limit: Option<Rate>,
    /// How long each answer takes, in milliseconds.
    pub latency_ms: u64,
    /// Probability of a 429 out of the blue.
    pub throttle: f64,
    /// What `Retry-After` says then, in seconds.
    pub retry_after_s: f64,
    /// All calls are answered 401.
    pub unauthorized: bool,
    /// These stores' calls are answered 401.
    pub unauthorized_stores: Vec<String>,
    /// Probability of a 500 without applying.
    pub error_before: f64,
    /// Probability of a 500 after applying.
    pub error_after: f64,
    /// Probability that the answer is lost after applying.
    pub lose_answer: f64,
    /// Probability that the connection is cut before applying.
    pub cut: f64,
    /// Probability that the answer is lost and the request applied only [`Self::late_ms`] later.
    pub late: f64,
    /// How late, in milliseconds.
    pub late_ms: u64,
    /// Probability that nothing ever comes back (and nothing is applied).
    pub never_answer: f64,
    /// No connection is accepted (in process), or every call is answered 503 (served).
    pub down: bool,
    /// Idempotency keys are honoured.
    pub idempotency: bool,
    /// `expected` is honoured.
    pub compare_and_set: bool,
    /// `/adjust` exists.
    pub adjust: bool,
    /// Items that are refused.
    pub reject_items: Vec<String>,
    /// A call with one of these is answered 400 as a whole.
    pub poison_items: Vec<String>,
    /// The token that callers must have. A renewal at a Shopify shop hands it out.
    pub token: Option<String>,
    /// Each Shopify shop's bucket, in points; what goes beyond is answered THROTTLED and counted.
    pub shopify_points: Rate,
    /// What each row of a Shopify mutation costs beside the mutation itself. Nothing, as far as was recorded.
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
            poison_items: Vec::new(),
            token: None,
            shopify_points: Rate { per_second: 100.0, burst: 2000.0 },
            shopify_points_per_row: 0.0,
        }
    }
}

impl Faults {
    /// Whether a caller has the token that it must have.
    fn lets_in(&self, asked: &Asked, incoming: &Incoming) -> bool {
        let Some(token) = &self.token else { return true };
        match asked {
            Asked::Own { .. } => incoming.authorization.as_deref() == Some(&format!("Bearer {token}")),
            Asked::Shopify(endpoint) => endpoint.renews || incoming.authorization.as_ref() == Some(token),
            // Its own tokens are checked with its signature.
            Asked::Shopee(_) => true,
        }
    }
}

impl Faults {
    /// Checks the bounds of what was given.
    ///
    /// # Errors
    /// Names the fault that is out of its bounds.
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
        if let Some((name, _)) = probabilities.iter().find(|(_, p)| !(0.0..=1.0).contains(p)) {
            return Err(format!("{name} must be from 0 to 1"));
        }
        if !(0.0..=86_400.0).contains(&self.retry_after_s) {
            return Err("retry_after_s must be from 0 to 86400 seconds".to_owned());
        }
        if self.rate_limit.is_some_and(|rate| !(rate.per_second > 0.0 && rate.burst >= 1.0)) {
            return Err("rate_limit needs per_second above 0 and a burst of at least 1".to_owned());
        }
        Ok(())
    }
}

/// One change applied to one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Its number.
    pub seq: u64,
    /// When, in microseconds since 1970.
    pub at_us: i64,
    /// At which store.
    pub store: String,
    /// Which item.
    pub external_id: String,
    /// `adjust` or `set`.
    pub action: String,
    /// What it changed.
    pub change: i64,
    /// What the item shows since.
    pub quantity: i64,
}

/// Counters since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Requests of the protocol, all kinds.
    pub calls: u64,
    /// Changes applied to items, which is also the number of the newest receipt.
    pub items: u64,
    /// Requests beyond a store's bucket.
    pub over_limit: u64,
    /// Repeated idempotency keys that were answered from memory.
    pub repeats: u64,
    /// Faults by name.
    pub faults: BTreeMap<String, u64>,
}

/// A request of the protocol, however it came.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Path and query.
    pub target: String,
    /// Whether it is a POST.
    pub post: bool,
    /// `Authorization`, or Shopify's `X-Shopify-Access-Token`.
    pub authorization: Option<String>,
    /// `Idempotency-Key`.
    pub key: Option<String>,
    /// The body.
    pub body: String,
}

impl Incoming {
    /// The path without its first slash, and the query.
    fn parts(&self) -> (&str, &str) {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        (path.trim_start_matches('/'), query)
    }

    /// The first value of this name in the query.
    fn given(&self, name: &str) -> Option<String> {
        let (_, query) = self.parts();
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| decode(value))
    }
}

/// What comes of a request.
#[derive(Debug, Clone)]
pub enum Decision {
    /// This answer.
    Answer(Answer),
    /// The connection is cut without an answer.
    Cut,
    /// The connection is cut; the request is applied this many milliseconds later, by [`Simulator::apply_late`].
    CutAndApplyLater(u64),
    /// Nothing comes back, ever.
    Silence,
    /// No connection.
    Refuse,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<f64>,
    /// Its body.
    pub body: Value,
}

#[derive(Default)]
struct Store {
    items: BTreeMap<String, i64>,
    tokens: Option<(f64, i64)>,
    calls_at: Vec<i64>,
}

struct State {
    stores: HashMap<String, Store>,
    faults: Faults,
    keys: HashMap<(String, String), Value>,
    key_order: VecDeque<(String, String)>,
    receipts: VecDeque<Receipt>,
    next_seq: u64,
    stats: Stats,
    keep_instants: bool,
    rng: ChaCha8Rng,
    shopee: shopee::Shops,
}

/// The simulated platform. Clones are the same platform.
#[derive(Clone)]
pub struct Simulator(Arc<Mutex<State>>);

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").finish_non_exhaustive()
    }
}

impl Simulator {
    /// A platform without stores; the same seed draws the same faults.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            stores: HashMap::new(),
            faults: Faults::default(),
            keys: HashMap::new(),
            key_order: VecDeque::new(),
            receipts: VecDeque::new(),
            next_seq: 1,
            stats: Stats::default(),
            keep_instants: false,
            rng: ChaCha8Rng::seed_from_u64(seed),
            shopee: shopee::Shops::default(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// What goes wrong now.
    pub fn faults(&self) -> Faults {
        self.state().faults.clone()
    }

    /// What an item shows; 0 for one that was never touched.
    pub fn quantity(&self, store: &str, external_id: &str) -> i64 {
        self.state().stores.get(store).and_then(|s| s.items.get(external_id)).copied().unwrap_or(0)
    }

    /// Makes an item show `quantity`, as the seller could by hand.
    pub fn set_quantity(&self, store: &str, external_id: &str, quantity: i64) {
        self.state().stores.entry(store.to_owned()).or_default().items.insert(external_id.to_owned(), quantity);
    }

    /// The store sells `quantity` by itself.
    pub fn sell(&self, store: &str, external_id: &str, quantity: i64) {
        let mut state = self.state();
        let shown = state.stores.entry(store.to_owned()).or_default().items.entry(external_id.to_owned()).or_default();
        *shown = shown.saturating_sub(quantity);
    }

    /// Up to `limit` items of a store from behind `after`, by name.
    pub fn items(&self, store: &str, after: Option<&str>, limit: usize) -> Vec<(String, i64)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let state = self.state();
        let Some(found) = state.stores.get(store) else { return Vec::new() };
        let from = after.map_or(Unbounded, |a| Excluded(a.to_owned()));
        found.items.range((from, Unbounded)).take(limit).map(|(id, q)| (id.clone(), *q)).collect()
    }

    /// Up to `limit` receipts from behind number `after`.
    pub fn receipts(&self, after: u64, limit: usize) -> Vec<Receipt> {
        let state = self.state();
        let first = state.receipts.front().map_or(0, |r| r.seq);
        let skip = usize::try_from(after.saturating_add(1).saturating_sub(first)).unwrap_or(usize::MAX);
        state.receipts.range(skip.min(state.receipts.len())..).take(limit).cloned().collect()
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.state().stats.clone()
    }

    /// From now on remembers when each call came, for checks of rate limits.
    pub fn keep_call_instants(&self) {
        self.state().keep_instants = true;
    }

    /// When the calls of a store came, in microseconds since 1970.
    pub fn call_instants(&self, store: &str) -> Vec<i64> {
        self.state().stores.get(store).map(|s| s.calls_at.clone()).unwrap_or_default()
    }

    /// How long an answer takes now, in milliseconds.
    pub fn latency_ms(&self) -> u64 {
        self.state().faults.latency_ms
    }

    /// Takes a request at `now_us` (microseconds since 1970).
    pub fn decide(&self, now_us: i64, incoming: &Incoming) -> Decision {
        let mut state = self.state();
        let state = &mut *state;
        if state.faults.down {
            return Decision::Refuse;
        }
        let Some(asked) = Asked::of(incoming) else { return Decision::Answer(problem(404, "no such path")) };
        state.stats.calls += 1;
        if let Asked::Shopee(call) = &asked
            && call.is_about_tokens()
        {
            // Renewals are spared: a lost answer to one costs the shop its authorisation, which no test of other faults means.
            return Decision::Answer(state.shopee(now_us, call, incoming));
        }
        if let Some(over) = state.over_limit(now_us, &asked, incoming) {
            state.stats.over_limit += 1;
            return Decision::Answer(over);
        }
        let faults = state.faults.clone();
        if faults.unauthorized || faults.unauthorized_stores.iter().any(|store| store == asked.store()) || !faults.lets_in(&asked, incoming)
        {
            state.note("unauthorized");
            return Decision::Answer(asked.failure(Failure::Unauthorized));
        }
        if state.draw(faults.throttle, "throttle") {
            return Decision::Answer(Answer { retry_after: Some(faults.retry_after_s), ..asked.failure(Failure::SlowDown) });
        }
        if state.draw(faults.cut, "cut") {
            return Decision::Cut;
        }
        if state.draw(faults.never_answer, "never_answer") {
            return Decision::Silence;
        }
        if state.draw(faults.error_before, "error_before") {
            return Decision::Answer(asked.failure(Failure::Broken));
        }
        if incoming.post && state.draw(faults.late, "late") {
            return Decision::CutAndApplyLater(faults.late_ms);
        }
        let answer = state.answer_to(now_us, &asked, incoming);
        if incoming.post && state.draw(faults.lose_answer, "lose_answer") {
            return Decision::Cut;
        }
        if incoming.post && state.draw(faults.error_after, "error_after") {
            return Decision::Answer(asked.failure(Failure::Broken));
        }
        Decision::Answer(answer)
    }

    /// Applies a request whose answer was lost earlier.
    pub fn apply_late(&self, now_us: i64, incoming: &Incoming) {
        let mut state = self.state();
        if let Some(asked) = Asked::of(incoming) {
            state.answer_to(now_us, &asked, incoming);
        }
    }
}

fn problem(status: u16, error: &str) -> Answer {
    Answer { status, retry_after: None, body: json!({ "error": error }) }
}

/// Undoes percent encoding.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|h| std::str::from_utf8(h).ok())
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        match hex {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[derive(Deserialize)]
struct Body {
    items: Vec<BodyItem>,
}

#[derive(Deserialize)]
struct BodyItem {
    external_id: String,
    delta: Option<i64>,
    quantity: Option<i64>,
    expected: Option<i64>,
}

impl State {
    fn note(&mut self, fault: &str) {
        *self.stats.faults.entry(fault.to_owned()).or_default() += 1;
    }

    fn draw(&mut self, probability: f64, fault: &str) -> bool {
        let hit = probability > 0.0 && self.rng.random::<f64>() < probability;
        if hit {
            self.note(fault);
        }
        hit
    }

    /// The answer to a call beyond the store's bucket.
    fn over_limit(&mut self, now_us: i64, asked: &Asked, incoming: &Incoming) -> Option<Answer> {
        if self.keep_instants {
            self.stores.entry(asked.store().to_owned()).or_default().calls_at.push(now_us);
        }
        if let Asked::Shopify(endpoint) = asked {
            return self.shopify_throttled(now_us, endpoint, incoming);
        }
        let rate = self.faults.rate_limit?;
        let over = self.take_tokens(asked.store(), now_us, rate, 1.0).is_none();
        over.then(|| Answer { retry_after: Some(1.0 / rate.per_second), ..asked.failure(Failure::OverLimit) })
    }

    /// What is left in the store's bucket after so much was taken from it; `None` when there was not enough.
    fn take_tokens(&mut self, store: &str, now_us: i64, rate: Rate, asked: f64) -> Option<f64> {
        let entry = self.stores.entry(store.to_owned()).or_default();
        let (tokens, at) = entry.tokens.unwrap_or((rate.burst, now_us));
        #[expect(clippy::cast_precision_loss, reason = "microseconds between two calls")]
        let refilled = (tokens + (now_us - at).max(0) as f64 / 1e6 * rate.per_second).min(rate.burst);
        let left = (refilled >= asked - 1e-6).then_some(refilled - asked);
        entry.tokens = Some((left.unwrap_or(refilled), now_us));
        left
    }

    fn answer_to(&mut self, now_us: i64, asked: &Asked, incoming: &Incoming) -> Answer {
        match asked {
            Asked::Own { store, action } => self.answer(now_us, store, action, incoming),
            Asked::Shopee(call) => self.shopee(now_us, call, incoming),
            Asked::Shopify(endpoint) => self.shopify_answer(now_us, endpoint, incoming),
        }
    }

    fn answer(&mut self, now_us: i64, store: &str, action: &str, incoming: &Incoming) -> Answer {
        let (_, query) = incoming.parts();
        if !incoming.post && !query.split('&').any(|pair| pair.starts_with("external_id=")) {
            return self.list(store, incoming);
        }
        if !incoming.post {
            let ids: Vec<String> = query.split('&').filter_map(|pair| pair.strip_prefix("external_id=")).map(decode).collect();
            if ids.iter().any(|id| self.faults.poison_items.contains(id)) {
                return problem(400, "bad item");
            }
            let items = self.stores.get(store).map(|s| &s.items);
            let shown = |id: &String| items.and_then(|items| items.get(id)).copied().unwrap_or(0);
            let listed: Vec<Value> = ids
                .iter()
                .map(|id| {
                    if self.faults.reject_items.contains(id) {
                        json!({"external_id": id, "error": "unknown item"})
                    } else {
                        json!({"external_id": id, "quantity": shown(id)})
                    }
                })
                .collect();
            return Answer { status: 200, retry_after: None, body: json!({ "items": listed }) };
        }
        let Ok(body) = serde_json::from_str::<Body>(&incoming.body) else { return problem(400, "not the body of this call") };
        if body.items.len() > MOST_ITEMS || !matches!(action, "adjust" | "set") || (action == "adjust" && !self.faults.adjust) {
            return problem(if body.items.len() > MOST_ITEMS { 400 } else { 404 }, "no such call");
        }
        let poison: HashSet<&String> = self.faults.poison_items.iter().collect();
        if body.items.iter().any(|item| poison.contains(&item.external_id)) {
            return problem(400, "bad item");
        }
        let key = incoming.key.clone().filter(|_| self.faults.idempotency).map(|key| (store.to_owned(), key));
        if let Some(known) = key.as_ref().and_then(|key| self.keys.get(key)) {
            self.stats.repeats += 1;
            return Answer { status: 200, retry_after: None, body: known.clone() };
        }
        let items: Vec<Value> = body.items.iter().map(|item| self.apply(now_us, store, action, item)).collect();
        let answer = json!({ "items": items });
        if let Some(key) = key {
            self.remember(key, answer.clone());
        }
        Answer { status: 200, retry_after: None, body: answer }
    }

    fn remember(&mut self, key: (String, String), answer: Value) {
        if self.keys.insert(key.clone(), answer).is_none() {
            self.key_order.push_back(key);
        }
        while self.key_order.len() > MOST_KEYS {
            self.key_order.pop_front().and_then(|old| self.keys.remove(&old));
        }
    }

    /// The items of a store, for pairing.
    fn list(&self, store: &str, incoming: &Incoming) -> Answer {
        let limit = incoming.given("limit").and_then(|n| n.parse().ok()).unwrap_or(100).clamp(1, MOST_ITEMS);
        let after = incoming.given("after");
        let items = self.stores.get(store).map(|s| &s.items);
        let behind = |id: &&String| after.as_ref().is_none_or(|after| *id > after);
        let ids: Vec<&String> = items.into_iter().flat_map(|items| items.keys()).filter(behind).take(limit).collect();
        let next = (ids.len() == limit).then(|| ids.last()).flatten();
        let listed: Vec<Value> = ids.iter().map(|id| json!({"external_id": id, "sku": id})).collect();
        Answer { status: 200, retry_after: None, body: json!({ "items": listed, "next": next }) }
    }

    fn apply(&mut self, now_us: i64, store: &str, action: &str, item: &BodyItem) -> Value {
        let id = &item.external_id;
        if self.faults.reject_items.contains(id) {
            return json!({"external_id": id, "error": "unknown item"});
        }
        let before = self.stores.get(store).and_then(|s| s.items.get(id)).copied().unwrap_or(0);
        let after = match (action, item.delta, item.quantity) {
            ("adjust", Some(delta), None) => before.saturating_add(delta),
            ("set", None, Some(quantity)) => {
                if self.faults.compare_and_set && item.expected.is_some_and(|expected| expected != before) {
                    return json!({"external_id": id, "error": "stale", "quantity": before});
                }
                quantity
            }
            _ => return json!({"external_id": id, "error": "needs delta for adjust, quantity for set"}),
        };
        self.change(now_us, store, id, action, after);
        json!({"external_id": id, "quantity": after})
    }

    /// Makes an item show `after`, and keeps a receipt.
    fn change(&mut self, now_us: i64, store: &str, id: &str, action: &str, after: i64) {
        let items = &mut self.stores.entry(store.to_owned()).or_default().items;
        let before = items.insert(id.to_owned(), after).unwrap_or(0);
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
        if self.receipts.len() > MOST_RECEIPTS {
            self.receipts.pop_front();
        }
    }
}
