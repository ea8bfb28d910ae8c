//! What the outcome of a call means for each of its pushes.
use crate::domain::delivery::{ItemResult, Outcome};
use std::time::Duration;

/// What the seller of a store that refuses its credentials does next.
pub const RECONNECT: &str = "Enter the store's credentials again; everything that waits is sent then.";

/// What an outcome says about each of `items` pushes, in the order of the call.
pub fn verdicts(outcome: &Outcome, items: usize) -> Vec<Verdict> {
    let all = |verdict: Verdict| vec![verdict; items];
    match outcome {
        Outcome::Answered(results) if results.len() == items => results.iter().cloned().map(Verdict::Item).collect(),
        Outcome::Answered(_) => {
            all(Verdict::Item(ItemResult::Unknown { reason: "The platform's answer does not match the request.".to_owned() }))
        }
        Outcome::Refused { reason, next_step } => all(Verdict::Refused { reason: reason.clone(), next_step: next_step.clone() }),
        Outcome::TryAgain { reason, after, .. } => all(Verdict::TryAgain { reason: reason.clone(), after: *after }),
        Outcome::TokenExpired { reason } => all(Verdict::TryAgain { reason: reason.clone(), after: None }),
        Outcome::Unauthorized { reason } => all(Verdict::Held { reason: reason.clone(), next_step: RECONNECT.to_owned() }),
        Outcome::Closed { reason, next_step } => all(Verdict::Held { reason: reason.clone(), next_step: next_step.clone() }),
        Outcome::Unknown { reason } | Outcome::Obscured { reason, .. } => {
            all(Verdict::Item(ItemResult::Unknown { reason: reason.clone() }))
        }
    }
}

/// What is known about one push after its call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The platform answered for this item.
    Item(ItemResult),
    /// Its call was refused as a whole.
    Refused {
        /// Why.
        reason: String,
        /// What to do.
        next_step: String,
    },
    /// Its call did not arrive, or was throttled.
    TryAgain {
        /// Why.
        reason: String,
        /// The shortest pause the platform asked for.
        after: Option<Duration>,
    },
    /// The store accepts nothing until somebody acts: refused credentials, a frozen shop.
    Held {
        /// Why.
        reason: String,
        /// What to do.
        next_step: String,
    },
}
