//! What platforms can do and what their answers mean: the vocabulary shared by connectors and the rules of delivery.
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a platform is trusted to remember an idempotency key. Shopify forgets one after 24 h, and a call whose key
/// was forgotten would be applied a second time; one hour is left for clock differences and for calls in flight.
pub const KEYS_TRUSTED_FOR: Duration = Duration::from_secs(23 * 3600);

/// What a store's platform can do. A connector states it as data; the rules of delivery choose the method from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abilities {
    /// Can add a signed number to what is shown.
    pub adjust: bool,
    /// Answers a repeated idempotency key with the first result instead of applying it again.
    pub idempotency: bool,
    /// Sets a quantity only if the listing shows the expected one.
    pub compare_and_set: bool,
    /// Says what a listing shows.
    pub read: bool,
    /// The most items in one call.
    pub max_items: usize,
}

/// What leaves for a platform, for one listing. Made by [`Push::begin`](super::push::Push::begin) from a push that has
/// every number it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Add this many units to what is shown.
    Add(i64),
    /// Show this many units.
    Set(i64),
    /// Show `to` units if the listing shows `expected` now.
    SetIf {
        /// What must be shown before.
        expected: i64,
        /// What to show.
        to: i64,
    },
}

/// How an increase is applied, depending on what the platform offers; best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Add, under an idempotency key: after an unknown outcome, repeat the same call.
    KeyedAdjust,
    /// Read, then set if unchanged: after an unknown outcome, repeat the same call.
    CompareAndSet,
    /// Read, then add: after an unknown outcome, read back and decide.
    ReadAndAdjust,
    /// Read, then set, which leaves the shortest window possible; after an unknown outcome, read back and decide. Also
    /// where keys are honored: repeating the call would set a quantity that is out of date and bring back what was sold
    /// since.
    ReadAndSet,
    /// Add, with no way to read back: after an unknown outcome, overwrite.
    BlindAdjust,
}

impl Abilities {
    /// How increases are sent; `None` when an increase would be a guess, so that only overwrites work.
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
    /// Whether the listing is read before sending.
    pub fn reads_first(self) -> bool {
        !matches!(self, Self::KeyedAdjust | Self::BlindAdjust)
    }

    /// How an unknown outcome of this method is determined.
    pub fn resolution(self) -> Resolution {
        match self {
            Self::KeyedAdjust | Self::CompareAndSet => Resolution::SameCallAgain,
            Self::ReadAndAdjust | Self::ReadAndSet => Resolution::ReadBack,
            Self::BlindAdjust => Resolution::Overwrite,
        }
    }
}

/// How an unknown outcome is determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// Repeat the very same call: the platform recognizes it by its key or by the quantity that it expects.
    SameCallAgain,
    /// After the settle time, read what is shown and compare it with what was shown before.
    ReadBack,
    /// The platform has accepted it and applies it later: read until the listing shows it.
    AwaitShown,
    /// After the settle time, overwrite with the target (an overwrite is repeated with a fresh target).
    Overwrite,
}

/// What a platform says about one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemResult {
    /// Done; what the listing shows now, where the answer says so. For a read: what is shown.
    Applied {
        /// Units shown after it.
        shown: Option<i64>,
    },
    /// Compare-and-set found another quantity: this request was not applied.
    Stale {
        /// Units shown instead.
        shown: i64,
    },
    /// Accepted, and applied later: a read shows it after a while.
    Accepted,
    /// Permanently not applied, until somebody changes something.
    Rejected {
        /// Why, in plain words.
        reason: String,
        /// What the seller can do about it.
        next_step: String,
    },
    /// Not applied; a later attempt may succeed.
    TryAgain {
        /// Why, in plain words.
        reason: String,
    },
    /// Not applied, because the platform refused another item of the same call: sent again at once, in a smaller call.
    RefusedWithOthers {
        /// Why, in plain words.
        reason: String,
    },
    /// Applied neither by this sending nor by an earlier one of the very same call (the platform recognizes the call by
    /// its key and says that it failed): it is sent again in another call.
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

/// What is known after a call as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The platform answered for each item: as many results as items, in the order of the call.
    Answered(Vec<ItemResult>),
    /// The call as a whole was refused because of its content: nothing was applied. It is split until the bad item is
    /// alone in its call.
    Refused {
        /// Why, in plain words.
        reason: String,
        /// What the seller can do about it.
        next_step: String,
    },
    /// Nothing was applied: no connection, or throttled.
    TryAgain {
        /// Why, in plain words.
        reason: String,
        /// The shortest pause the platform asked for.
        after: Option<Duration>,
        /// The platform throttled the call: the whole store waits, and it does not count as a failure for the circuit.
        throttled: bool,
    },
    /// The credentials do not work (401, 403): nothing was applied.
    Unauthorized {
        /// Why, in plain words.
        reason: String,
    },
    /// The access token has expired (nothing was applied): it is renewed and the call repeated.
    TokenExpired {
        /// Why, in plain words.
        reason: String,
    },
    /// The store accepts nothing until somebody acts there (frozen, banned, a permission is missing); nothing was
    /// applied. Its pushes are held.
    Closed {
        /// Why, in plain words.
        reason: String,
        /// What the seller can do about it.
        next_step: String,
    },
    /// Something that is not the platform answered (a maintenance page, a PHP notice), so it may have been applied. The
    /// store is held and tried again from time to time, as after [`Outcome::Closed`].
    Obscured {
        /// What answered, in plain words.
        reason: String,
        /// What the seller can do about it.
        next_step: String,
    },
    /// It may have been applied: timeout, cut connection, 5xx, an unreadable answer.
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
