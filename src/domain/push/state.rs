//! The kinds and states of a push, and what each state allows.
use serde::{Deserialize, Serialize};

/// Relative or absolute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PushKind {
    /// +N; below 0 it is a fall that its seller wants to be pushed.
    Increase,
    /// =N.
    Overwrite,
}

/// What a push does to what its listing shows, in the words of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = PushKind)]
pub enum Effect {
    /// Adds units.
    Increase,
    /// Takes units off.
    Decrease,
    /// Replaces the quantity.
    Overwrite,
}

impl PushKind {
    /// Whether it is absolute.
    pub fn is_overwrite(self) -> bool {
        self == Self::Overwrite
    }
}

/// Where a push is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PushState {
    /// Waits for its turn.
    Queued,
    /// On its way.
    Sending,
    /// Known to have been applied.
    Confirmed,
    /// Known not to have been applied; it will be tried again.
    Retrying,
    /// May have been applied; the service is finding out.
    Uncertain,
    /// Will not be tried again automatically.
    Rejected,
    /// Waits for its store, which is paused or not authorized.
    Held,
    /// Another push took its place.
    Superseded,
    /// Cancelled.
    Cancelled,
}

impl PushState {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Sending,
        Self::Confirmed,
        Self::Retrying,
        Self::Uncertain,
        Self::Rejected,
        Self::Held,
        Self::Superseded,
        Self::Cancelled,
    ];

    /// The word in the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Confirmed => "confirmed",
            Self::Retrying => "retrying",
            Self::Uncertain => "uncertain",
            Self::Rejected => "rejected",
            Self::Held => "held",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
        }
    }

    /// Known not to have been applied and not on its way: it may be merged into, superseded or cancelled.
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Queued | Self::Retrying | Self::Held)
    }

    /// Waits for its store.
    pub fn is_held(self) -> bool {
        self == Self::Held
    }

    /// Waits for nothing but its due time.
    pub fn is_claimable(self) -> bool {
        matches!(self, Self::Queued | Self::Retrying)
    }

    /// On its way, or possibly applied: nothing else may be sent to its listing.
    pub fn is_in_flight(self) -> bool {
        matches!(self, Self::Sending | Self::Uncertain)
    }

    /// May have been applied; the service is finding out.
    pub fn is_uncertain(self) -> bool {
        self == Self::Uncertain
    }

    /// Waiting or in flight: it will change without anybody asking for it.
    pub fn is_active(self) -> bool {
        self.is_waiting() || self.is_in_flight()
    }

    /// Over, unless the seller retries a rejected one.
    pub fn has_ended(self) -> bool {
        !self.is_active()
    }

    /// The seller may ask for it again.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Retrying | Self::Rejected | Self::Held)
    }

    /// Somebody may have to look at it: everything but what ended without a problem.
    pub fn is_of_interest(self) -> bool {
        self.is_active() || self == Self::Rejected
    }

    /// Listed among the failures of its run.
    pub fn is_failure_of_run(self) -> bool {
        matches!(self, Self::Rejected | Self::Held | Self::Cancelled | Self::Superseded)
    }
}
