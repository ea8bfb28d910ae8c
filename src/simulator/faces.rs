//! The faces of the simulated platform: which wire format a request speaks, and how that format words an answer.
use super::exchange::{Answer, Incoming, decode, problem};
use super::faults::{Failure, Faults};
use super::state::State;
use super::{shopee, shopify};

/// The face and the store that a request addresses.
pub(super) enum Route {
    Own { store: String, action: String },
    Shopee(shopee::Call),
    Shopify(shopify::Endpoint),
}

impl Route {
    /// `None` if no face has this path.
    pub(super) fn of(incoming: &Incoming) -> Option<Self> {
        let (path, _) = incoming.parts();
        if let Some(call) = shopee::Call::of(incoming) {
            return Some(Self::Shopee(call));
        }
        let parts: Vec<String> = path.split('/').map(decode).collect();
        match parts.as_slice() {
            [stores, store, action] if stores == "stores" => Some(Self::Own { store: store.clone(), action: action.clone() }),
            [face, shop, rest @ ..] if face == "shopify" => shopify::Endpoint::of(shop, rest).map(Self::Shopify),
            _ => None,
        }
    }

    pub(super) fn store(&self) -> &str {
        match self {
            Self::Own { store, .. } => store,
            Self::Shopee(call) => &call.shop,
            Self::Shopify(endpoint) => &endpoint.shop,
        }
    }

    /// Whether the caller presents the token that `faults` demand.
    pub(super) fn is_authorized(&self, faults: &Faults, incoming: &Incoming) -> bool {
        if faults.unauthorized || faults.unauthorized_stores.iter().any(|store| store == self.store()) {
            return false;
        }
        let Some(token) = &faults.token else { return true };
        match self {
            Self::Own { .. } => incoming.authorization.as_deref() == Some(&format!("Bearer {token}")),
            Self::Shopify(endpoint) => endpoint.renews || incoming.authorization.as_ref() == Some(token),
            // This face has tokens of its own and checks them together with the signature.
            Self::Shopee(_) => true,
        }
    }

    /// Whether the call changes nothing.
    pub(super) fn reads(&self, incoming: &Incoming) -> bool {
        match self {
            Self::Shopify(endpoint) => !endpoint.renews && !shopify::writes(incoming),
            Self::Own { .. } | Self::Shopee(_) => !incoming.post,
        }
    }

    /// Takes the call from the store's bucket, and returns an answer if the bucket is empty.
    pub(super) fn over_limit(&self, state: &mut State, now_us: i64, incoming: &Incoming) -> Option<Answer> {
        if state.keep_instants {
            state.store(self.store()).calls_at.push(now_us);
        }
        if let Self::Shopify(endpoint) = self {
            return state.shopify_throttled(now_us, endpoint, incoming);
        }
        let rate = state.faults.rate_limit?;
        let over = state.take_tokens(self.store(), now_us, rate, 1.0).is_none();
        over.then(|| Answer { retry_after: Some(1.0 / rate.per_second), ..self.failure(Failure::OverLimit) })
    }

    /// Applies the request and answers it.
    pub(super) fn answer(&self, state: &mut State, now_us: i64, incoming: &Incoming) -> Answer {
        match self {
            Self::Own { store, action } => state.answer_own(now_us, store, action, incoming),
            Self::Shopee(call) => state.answer_shopee(now_us, call, incoming),
            Self::Shopify(endpoint) => state.answer_shopify(now_us, endpoint, incoming),
        }
    }

    /// Answers a read, unless a cache does.
    pub(super) fn read(&self, state: &mut State, now_us: i64, incoming: &Incoming) -> Answer {
        let seconds = state.faults.cache_s;
        if seconds <= 0.0 {
            return self.answer(state, now_us, incoming);
        }
        if let Some((age_s, mut kept)) = state.cache.find(incoming, now_us, seconds) {
            state.count_fault("cached");
            if state.faults.says_cached {
                kept.headers.push(("age", age_s.max(1).to_string()));
            }
            return kept;
        }
        let answer = self.answer(state, now_us, incoming);
        if answer.status == 200 {
            state.cache.keep(incoming, now_us, &answer);
        }
        answer
    }

    pub(super) fn failure(&self, failure: Failure) -> Answer {
        match self {
            Self::Shopify(_) if matches!(failure, Failure::ReadOnly) => shopify::read_only(),
            Self::Own { .. } | Self::Shopify(_) => match failure {
                Failure::OverLimit => problem(429, "over the limit"),
                Failure::Throttled => problem(429, "slow down"),
                Failure::Unauthorized => problem(401, "unauthorized"),
                Failure::ReadOnly => problem(403, "this token may only read"),
                Failure::Internal => problem(500, "error"),
            },
            Self::Shopee(_) => shopee::failure(failure),
        }
    }
}
