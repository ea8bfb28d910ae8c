//! The simulated platform as its users hold it: decides what becomes of each request, and lets tests look inside.
use super::exchange::{Answer, Decision, Incoming, problem};
use super::faces::Route;
use super::faults::{Failure, Faults};
use super::misbehavior::Part;
use super::receipt::{Receipt, Stats};
use super::shops::{NewShop, Shop, Tokens};
use super::state::State;
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many rows an answer has: the length of its longest list.
fn longest_list(body: &Value) -> usize {
    match body {
        Value::Array(list) => list.iter().map(longest_list).max().unwrap_or(0).max(list.len()),
        Value::Object(members) => members.values().map(longest_list).max().unwrap_or(0),
        _ => 0,
    }
}

/// The simulated platform. Clones share one state.
#[derive(Clone)]
pub struct Simulator(Arc<Mutex<State>>);

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").finish_non_exhaustive()
    }
}

impl Simulator {
    /// A platform without stores or faults. The same seed draws the same faults.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State::new(seed))))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces all faults, from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// The faults in force.
    pub fn faults(&self) -> Faults {
        self.state().faults.clone()
    }

    /// What an item shows; 0 if it was never touched.
    pub fn quantity(&self, store: &str, external_id: &str) -> i64 {
        self.state().stores.get(store).and_then(|s| s.items.get(external_id)).copied().unwrap_or(0)
    }

    /// Makes an item show `quantity`, as the seller could by hand; there is no receipt.
    pub fn set_quantity(&self, store: &str, external_id: &str, quantity: i64) {
        self.state().store(store).items.insert(external_id.to_owned(), quantity);
    }

    /// Lowers what an item shows, as a sale in the store does; there is no receipt.
    pub fn sell(&self, store: &str, external_id: &str, quantity: i64) {
        let mut state = self.state();
        let shown = state.store(store).items.entry(external_id.to_owned()).or_default();
        *shown = shown.saturating_sub(quantity);
    }

    /// Up to `limit` items of a store, in order of name, starting after the name `after`.
    pub fn items(&self, store: &str, after: Option<&str>, limit: usize) -> Vec<(String, i64)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let state = self.state();
        let Some(found) = state.stores.get(store) else { return Vec::new() };
        let from = after.map_or(Unbounded, |a| Excluded(a.to_owned()));
        found.items.range((from, Unbounded)).take(limit).map(|(id, q)| (id.clone(), *q)).collect()
    }

    /// Up to `limit` receipts with numbers above `after`.
    pub fn receipts(&self, after: u64, limit: usize) -> Vec<Receipt> {
        let state = self.state();
        let first = state.receipts.front().map_or(0, |r| r.seq);
        let skip = usize::try_from(after.saturating_add(1).saturating_sub(first)).unwrap_or(usize::MAX);
        state.receipts.range(skip.min(state.receipts.len())..).take(limit).cloned().collect()
    }

    /// The counters so far.
    pub fn stats(&self) -> Stats {
        self.state().stats.clone()
    }

    /// Starts recording when each call arrives, so that tests can check rate limits.
    pub fn keep_call_instants(&self) {
        self.state().keep_instants = true;
    }

    /// When calls to this store arrived, in microseconds since 1970; empty before [`Self::keep_call_instants`].
    pub fn call_instants(&self, store: &str) -> Vec<i64> {
        self.state().stores.get(store).map(|s| s.calls_at.clone()).unwrap_or_default()
    }

    /// How long the transport must delay an answer, in milliseconds.
    pub fn latency_ms(&self) -> u64 {
        self.state().faults.latency_ms
    }

    /// Whether the transport must repeat each request in its answer.
    pub fn repeats(&self) -> bool {
        self.state().faults.repeat
    }

    /// Processes a request that arrives at `now_us` (microseconds since 1970).
    pub fn decide(&self, now_us: i64, incoming: &Incoming) -> Decision {
        let mut state = self.state();
        let state = &mut *state;
        if state.faults.down {
            return Decision::Refuse;
        }
        let Some(route) = Route::of(incoming) else { return Decision::Answer(problem(404, "no such path")) };
        state.stats.calls += 1;
        if let Route::Shopee(call) = &route
            && call.is_about_tokens()
        {
            // Exempt from faults: losing the answer to a renewal costs the shop its authorization, which tests of other
            // faults do not intend.
            return Decision::Answer(route.answer(state, now_us, incoming));
        }
        if let Some(over) = route.over_limit(state, now_us, incoming) {
            state.stats.over_limit += 1;
            return Decision::Answer(over);
        }
        let faults = state.faults.clone();
        if !route.is_authorized(&faults, incoming) {
            state.count_fault("unauthorized");
            return Decision::Answer(route.failure(Failure::Unauthorized));
        }
        let reads = route.reads(incoming);
        if faults.read_only && !reads {
            state.count_fault("read_only");
            return Decision::Answer(route.failure(Failure::ReadOnly));
        }
        let misbehavior = state.draw_misbehavior(&faults, reads);
        if let Some(answer) = misbehavior.filter(|kind| kind.part() == Part::Way).and_then(|kind| kind.instead(now_us)) {
            return Decision::Answer(answer);
        }
        if state.draw(faults.throttle, "throttle") {
            return Decision::Answer(Answer { retry_after: Some(faults.retry_after_s), ..route.failure(Failure::Throttled) });
        }
        if state.draw(faults.cut, "cut") {
            return Decision::Cut;
        }
        if state.draw(faults.never_answer, "never_answer") {
            return Decision::Silence;
        }
        if state.draw(faults.error_before, "error_before") {
            return Decision::Answer(route.failure(Failure::Internal));
        }
        if incoming.post && state.draw(faults.late, "late") {
            return Decision::CutAndApplyLater(faults.late_ms);
        }
        let written = state.stats.items;
        let answer = if reads { route.read(state, now_us, incoming) } else { route.answer(state, now_us, incoming) };
        let after_ms = (state.stats.items - written).saturating_mul(faults.row_ms);
        if incoming.post && state.draw(faults.lose_answer, "lose_answer") {
            return Decision::Cut;
        }
        if incoming.post && state.draw(faults.error_after, "error_after") {
            return Decision::Answer(route.failure(Failure::Internal));
        }
        let answer = match misbehavior {
            None => answer,
            Some(kind) => kind.instead(now_us).unwrap_or_else(|| kind.disguise(answer)),
        };
        let padding = if faults.row_bytes == 0 { 0 } else { faults.row_bytes.saturating_mul(longest_list(&answer.body)) };
        Decision::Answer(Answer { after_ms, padding, ..answer })
    }

    /// What a cache has kept so far is gone.
    pub fn forget_cached(&self) {
        self.state().cache.forget();
    }

    /// Applies a request for which [`Self::decide`] returned [`Decision::CutAndApplyLater`].
    pub fn apply_late(&self, now_us: i64, incoming: &Incoming) {
        if let Some(route) = Route::of(incoming) {
            route.answer(&mut self.state(), now_us, incoming);
        }
    }

    /// Opens a Shopee shop, or opens it again with new tokens: the seller has authorized the app.
    pub fn open_shopee_shop(&self, now_us: i64, shop_id: u64, shop: NewShop) -> Tokens {
        let mut state = self.state();
        let tokens = state.random_tokens();
        let (expires_at_s, refresh_ends_at_s) = (now_us / 1_000_000 + shop.access_lives_s, now_us / 1_000_000 + shop.refresh_lives_s);
        state
            .shopee
            .0
            .insert(shop_id.to_string(), Shop { opened: shop, tokens: tokens.clone(), expires_at_s, refresh_ends_at_s, code: None });
        tokens
    }

    /// Authorizes the app again and returns a code to exchange for tokens; all earlier tokens stop working. `None` if
    /// there is no such shop.
    pub fn shopee_code(&self, shop_id: u64) -> Option<String> {
        let mut state = self.state();
        let (code, tokens) = (state.random_token(), state.random_tokens());
        let shop = state.shopee.0.get_mut(&shop_id.to_string())?;
        (shop.code, shop.tokens) = (Some(code.clone()), tokens);
        Some(code)
    }

    /// Withdraws the app's authorization: no token of the shop works any more.
    pub fn close_shopee_shop(&self, shop_id: u64) {
        let mut state = self.state();
        let tokens = state.random_tokens();
        if let Some(shop) = state.shopee.0.get_mut(&shop_id.to_string()) {
            (shop.tokens, shop.code) = (tokens, None);
        }
    }
}
