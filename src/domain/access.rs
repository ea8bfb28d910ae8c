//! Whether a store lets the service in, by the outcome of a call.
//!
//! A store that has refused a write proves nothing by answering reads: a token may have half its permissions. Only a write
//! that it accepts proves that it may be written to again, so one held push is sent to find out, and not all of them.
use super::delivery::{ItemResult, Outcome};
use super::push::RECONNECT;

/// The problem of a store whose credentials cannot be opened. Such a store is recognized by this text.
pub const CREDENTIALS_UNREADABLE: &str = "Its credentials cannot be opened: they were encrypted under another key than the one that the \
    service was started with. Enter the credentials again, or have the operator give the earlier key as credential_key_previous.";

/// What the outcome of a call says about its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// It lets nobody in until somebody acts.
    Refused {
        /// Why, and what to do, in plain words.
        problem: String,
        /// It was a write that was refused.
        write: bool,
    },
    /// It has accepted a write.
    Written,
    /// It has refused a write for the sake of its listing, so another one may be accepted.
    TriedInVain,
    /// It says nothing about that.
    Unknown,
}

impl Access {
    /// What the outcome says; `write` tells whether the call was one.
    pub fn after(outcome: &Outcome, write: bool) -> Self {
        match outcome {
            Outcome::Unauthorized { reason } => Self::Refused { problem: format!("{reason} {RECONNECT}"), write },
            Outcome::Closed { reason, next_step } => Self::Refused { problem: format!("{reason} {next_step}"), write },
            // It is not the store that has answered.
            Outcome::Obscured { reason, next_step } => Self::Refused { problem: format!("{reason} {next_step}"), write: false },
            Outcome::Answered(results) if write => {
                let accepted =
                    |result: &ItemResult| matches!(result, ItemResult::Applied { .. } | ItemResult::Accepted | ItemResult::Stale { .. });
                match results.iter().any(accepted) {
                    true => Self::Written,
                    false if results.iter().any(|result| matches!(result, ItemResult::Rejected { .. })) => Self::TriedInVain,
                    false => Self::Unknown,
                }
            }
            Outcome::Refused { .. } if write => Self::TriedInVain,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_accepted_write_proves_that_a_store_may_be_written_to() {
        let text = |text: &str| text.to_owned();
        let (applied, rejected) =
            (ItemResult::Applied { shown: None }, ItemResult::Rejected { reason: text("no"), next_step: text("fix it") });
        let after = |outcome: &Outcome| (Access::after(outcome, true), Access::after(outcome, false));
        let unauthorized = Outcome::Unauthorized { reason: text("No.") };
        let refused = |write| Access::Refused { problem: format!("No. {RECONNECT}"), write };
        assert_eq!(after(&unauthorized), (refused(true), refused(false)));
        let closed = Outcome::Closed { reason: text("Frozen."), next_step: text("Pay.") };
        assert!(matches!(after(&closed), (Access::Refused { write: true, .. }, Access::Refused { write: false, .. })));
        let obscured = Outcome::Obscured { reason: text("A page."), next_step: text("Wait.") };
        assert!(matches!(after(&obscured), (Access::Refused { write: false, .. }, Access::Refused { write: false, .. })));
        for (results, write) in [
            (vec![applied.clone()], Access::Written),
            (vec![rejected.clone(), applied], Access::Written),
            (vec![ItemResult::Accepted], Access::Written),
            (vec![ItemResult::Stale { shown: 3 }], Access::Written),
            (vec![rejected], Access::TriedInVain),
            (vec![ItemResult::Unknown { reason: text("?") }], Access::Unknown),
            (vec![], Access::Unknown),
        ] {
            assert_eq!(after(&Outcome::Answered(results)), (write, Access::Unknown));
        }
        let in_vain = Outcome::Refused { reason: text("Bad."), next_step: text("Fix it.") };
        assert_eq!(after(&in_vain), (Access::TriedInVain, Access::Unknown));
        assert_eq!(after(&Outcome::Unknown { reason: text("?") }), (Access::Unknown, Access::Unknown));
    }
}
