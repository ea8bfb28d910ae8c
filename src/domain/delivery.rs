//! What platforms can do and what an answer of theirs means: the words between connectors and the rules of delivery.
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a platform is trusted to know an idempotency key. Shopify forgets after 24 h, and a key that was forgotten
/// would be applied a second time; an hour of that is left for clocks and for what is on its way.
pub const KEYS_TRUSTED_FOR: Duration = Duration::from_secs(23 * 3600);

/// What a store's platform can do. Data, not code: a connector states it, the rules of delivery choose by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// Can add a signed number to what is shown.
    pub adjust: bool,
    /// Answers a repeated idempotency key with the first result instead of applying it again.
    pub idempotency: bool,
    /// Sets only if what is shown is what we expect.
    pub compare_and_set: bool,
    /// Can be asked what is shown.
    pub read: bool,
    /// The most items in one call.
    pub max_items: usize,
}

/// How an increase is brought to a platform, by what it offers; best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Add, under an idempotency key: after an unknown outcome the same call again.
    KeyedAdjust,
    /// Read, then set if unchanged: after an unknown outcome the same call again.
    CompareAndSet,
    /// Read, then add: after an unknown outcome read back and decide.
    ReadAndAdjust,
    /// Read, then set: the shortest window that can be had; read back and decide. Also where keys are honoured: the same
    /// call again would set what was true when it was sent, and bring back what was sold since.
    ReadAndSet,
    /// Add, with nothing to read back: an unknown outcome is overwritten.
    BlindAdjust,
}

impl Abilities {
    /// How increases go out; `None` when nothing can be added to without guessing, so only overwrites work.
    pub fn increase_method(&self) -> Option<Method> {
        match *self {
            Self { adjust: true, idempotency: true, .. } => Some(Method::KeyedAdjust),
            Self { compare_and_set: true, read: true, .. } => Some(Method::CompareAndSet),
            Self { adjust: true, read: true, .. } => Some(Method::ReadAndAdjust),
            Self { read: true, .. } => Some(Method::ReadAndSet),
            Self { adjust: true, .. } => Some(Method::BlindAdjust),
            _ => None,
        }
    }
}

impl Method {
    /// Whether what is shown is read before sending.
    pub fn reads_first(self) -> bool {
        !matches!(self, Self::KeyedAdjust | Self::BlindAdjust)
    }

    /// How an unknown outcome of this method is found out.
    pub fn resolution(self) -> Resolution {
        match self {
            Self::KeyedAdjust | Self::CompareAndSet => Resolution::SameCallAgain,
            Self::ReadAndAdjust | Self::ReadAndSet => Resolution::ReadBack,
            Self::BlindAdjust => Resolution::Overwrite,
        }
    }
}

/// How an unknown outcome is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Repeat the very same call: the platform knows it by its key, or by the quantity that it expects.
    SameCallAgain,
    /// After the settle time read what is shown, and decide by what was shown before.
    ReadBack,
    /// The platform has accepted it and applies it later: read until it shows.
    AwaitShown,
    /// After the settle time overwrite with the target (an overwrite is simply repeated, with a fresh target).
    Overwrite,
}

/// What a platform says of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemResult {
    /// Done; what the listing shows now, where the answer says so. For a read: what is shown.
    Applied {
        /// Units shown after it.
        shown: Option<i64>,
    },
    /// Compare-and-set found another quantity: surely not applied by this request.
    Stale {
        /// Units shown instead.
        shown: i64,
    },
    /// Taken, and applied later: a read shows it after a while.
    Accepted,
    /// Never will be, until somebody changes something.
    Rejected {
        /// Why, in plain words.
        reason: String,
        /// What the seller can do about it.
        next_step: String,
    },
    /// Surely not applied; later it may be.
    TryAgain {
        /// Why, in plain words.
        reason: String,
    },
    /// Surely not applied, neither by this sending nor by an earlier one of the very same call (the platform knows the
    /// call by its key, and says that it failed): it goes out again in another call.
    NeverApplied {
        /// Why, in plain words.
        reason: String,
    },
    /// The answer does not say.
    Unknown {
        /// Why, in plain words.
        reason: String,
    },
}

/// What is known after a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The platform answered item by item: as many results as items, in the order of the call.
    Answered(Vec<ItemResult>),
    /// The call as a whole was refused because of what is in it: nothing was applied. It is split until the bad item
    /// stands alone.
    Refused {
        /// Why, in plain words.
        reason: String,
        /// What the seller can do about it.
        next_step: String,
    },
    /// Surely nothing was applied: no connection, throttled.
    TryAgain {
        /// Why, in plain words.
        reason: String,
        /// Not before this pause.
        after: Option<Duration>,
        /// The platform throttled us, so the whole store waits and its circuit is not to blame.
        throttled: bool,
    },
    /// The credentials do not work (401, 403): surely nothing was applied.
    Unauthorized {
        /// Why, in plain words.
        reason: String,
    },
    /// The access token has ended (surely nothing was applied): it is renewed, and the call repeated.
    TokenExpired {
        /// Why, in plain words.
        reason: String,
    },
    /// The store takes nothing until somebody acts there (frozen, banned, a right is missing); surely nothing was
    /// applied. Its pushes are held.
    Closed {
        /// Why, in plain words.
        reason: String,
        /// What the seller can do about it.
        next_step: String,
    },
    /// Perhaps applied: timeout, cut connection, 5xx, an answer that cannot be read.
    Unknown {
        /// Why, in plain words.
        reason: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_increase_goes_the_best_way_that_a_platform_offers() {
        let way = |adjust, idempotency, compare_and_set, read| {
            let method = Abilities { adjust, idempotency, compare_and_set, read, max_items: 1 }.increase_method()?;
            Some((method, method.reads_first()))
        };
        let ways = [
            (way(true, true, true, true), Some((Method::KeyedAdjust, false))),
            (way(true, true, false, false), Some((Method::KeyedAdjust, false))),
            (way(true, false, true, true), Some((Method::CompareAndSet, true))),
            (way(false, true, true, true), Some((Method::CompareAndSet, true))),
            (way(true, false, false, true), Some((Method::ReadAndAdjust, true))),
            (way(false, true, false, true), Some((Method::ReadAndSet, true))),
            (way(true, false, true, false), Some((Method::BlindAdjust, false))),
            (way(false, true, true, false), None),
            (way(false, false, false, false), None),
        ];
        for (found, expected) in ways {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_key_is_trusted_for_less_than_the_day_that_platforms_remember_it() {
        assert_eq!(KEYS_TRUSTED_FOR, Duration::from_secs(82_800));
    }
}
