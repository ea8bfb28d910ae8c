//! The faces of the simulated platform: whose wire format a request speaks, and how that one words a failure.
use super::{Answer, Incoming, decode, problem, shopee, shopify};

/// Who is asked for what.
pub(super) enum Asked {
    /// The simulated platform's own protocol.
    Own { store: String, action: String },
    /// Shopee's.
    Shopee(shopee::Call),
    /// Shopify's.
    Shopify(shopify::Endpoint),
}

impl Asked {
    /// `None` when there is no such path.
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

    /// A failure as this face words it.
    pub(super) fn failure(&self, failure: Failure) -> Answer {
        match self {
            Self::Own { .. } | Self::Shopify(_) => match failure {
                Failure::OverLimit => problem(429, "over the limit"),
                Failure::SlowDown => problem(429, "slow down"),
                Failure::Unauthorized => problem(401, "unauthorized"),
                Failure::Broken => problem(500, "error"),
            },
            Self::Shopee(_) => shopee::failure(failure),
        }
    }
}

/// What goes wrong before or after a call itself.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failure {
    OverLimit,
    SlowDown,
    Unauthorized,
    Broken,
}
