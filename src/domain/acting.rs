//! Who must act on a trouble, and what they do next: one table for mails, webhooks, the console and the operator's list.
use serde::Serialize;

/// Who can end a trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MustAct {
    /// The seller.
    Seller,
    /// Whoever runs the shop or its platform.
    Shop,
    /// The operator of this service.
    Operator,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A store's credentials cannot be opened with the key that the service was started with.
    CredentialsUnreadable,
    /// A store refuses its credentials.
    NeedsReauthorization,
    /// A store keeps failing.
    NotResponding,
    /// A store has refused or failed an update, which is tried again.
    Retrying,
    /// A daily run has not begun.
    RunOverdue,
    /// Updates wait, and nothing is sent.
    NotAttempted,
    /// The seller has paused a store, or a frozen window is on.
    Paused,
    /// The operator has paused a platform.
    PlatformPaused,
    /// A run waits for the seller's answer.
    WaitingForAnswer,
    /// A store has refused updates for good.
    PushesRejected,
    /// Listings show something other than expected.
    Drift,
    /// A daily run was missed.
    RunMissed,
    /// A run has ended without overwriting all of its listings.
    RunIncomplete,
}

impl Trouble {
    /// Who can end it.
    pub fn must_act(self) -> MustAct {
        match self {
            Self::NeedsReauthorization
            | Self::Paused
            | Self::WaitingForAnswer
            | Self::PushesRejected
            | Self::Drift
            | Self::RunIncomplete => MustAct::Seller,
            Self::NotResponding | Self::Retrying => MustAct::Shop,
            Self::CredentialsUnreadable | Self::RunOverdue | Self::NotAttempted | Self::PlatformPaused | Self::RunMissed => {
                MustAct::Operator
            }
        }
    }

    /// What whoever must act does next.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::CredentialsUnreadable => {
                "Start the service with the key under which the credentials were encrypted, as credential_key or \
                 credential_key_previous. Entering the credentials again helps, too."
            }
            Self::NeedsReauthorization => "Open the store in the console and connect it again, or enter new credentials.",
            Self::NotResponding => "Find out why the shop fails. Updates are kept, and sent when it responds again.",
            Self::Retrying => "Find out why the shop does not take the update. It is tried again automatically.",
            Self::RunOverdue => "Check that a node works for this seller.",
            Self::NotAttempted => "Check that a node works for this seller, and whether its platform's quota is used up.",
            Self::Paused => "Resume the store when it should be updated again, or let the frozen window end.",
            Self::PlatformPaused => "Resume the platform when its stores should be updated again.",
            Self::WaitingForAnswer => "Open the sync in the console and answer it. It sends nothing until then.",
            Self::PushesRejected => "Open the rejected updates in the console. Each says why and what to do. Then retry them.",
            Self::Drift => "Open the page Drift in the console, find out what changed these listings, and overwrite those that are wrong.",
            Self::RunMissed => "Find out why the service was not running at the daily time. A manual sync makes up for it.",
            Self::RunIncomplete => "Open the sync in the console to see which listings were not updated, and why.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_has_somebody_who_can_end_it_and_a_step_that_is_a_sentence() {
        for (trouble, who) in [
            (Trouble::CredentialsUnreadable, MustAct::Operator),
            (Trouble::NeedsReauthorization, MustAct::Seller),
            (Trouble::NotResponding, MustAct::Shop),
            (Trouble::Retrying, MustAct::Shop),
            (Trouble::RunOverdue, MustAct::Operator),
            (Trouble::NotAttempted, MustAct::Operator),
            (Trouble::Paused, MustAct::Seller),
            (Trouble::PlatformPaused, MustAct::Operator),
            (Trouble::WaitingForAnswer, MustAct::Seller),
            (Trouble::PushesRejected, MustAct::Seller),
            (Trouble::Drift, MustAct::Seller),
            (Trouble::RunMissed, MustAct::Operator),
            (Trouble::RunIncomplete, MustAct::Seller),
        ] {
            let step = trouble.next_step();
            assert_eq!(trouble.must_act(), who, "{trouble:?}");
            assert!(step.ends_with('.') && step.starts_with(char::is_uppercase) && !step.contains("  "), "{step}");
        }
    }
}
