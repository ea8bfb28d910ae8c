//! What an answer changes about the listing of a push, and what that depends on.
use super::account::LatestNumbers;
use crate::domain::retry::RetryPolicy;
use crate::domain::{PushId, Timestamp};

/// How what is known about a push changes what is expected of its listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// By so many units, as what is shown.
    Changed(i64),
    /// Perhaps by so many units.
    PerhapsChanged(i64),
    /// Nothing can be expected any more.
    Unknown,
}

/// What an answer changes about the listing of a push.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListingUpdate {
    /// It shows this.
    pub shown: Option<i64>,
    /// Compare its answers with the account until then.
    pub doubt_until: Option<Timestamp>,
    /// Send nothing to it before then: a request without an answer may still arrive, although its push has ended.
    pub settles_at: Option<Timestamp>,
    /// Overwrite it with its target, for this reason.
    pub heal: Option<String>,
    /// Overwrite it once its store works again.
    pub mark: bool,
    /// What it showed before a change that is confirmed now and before those shortly before it, where a read that still
    /// shows one of these numbers must not be added to.
    pub before: Option<LatestNumbers>,
    /// What it shows if a request that was given up arrives after all.
    pub late: Option<i64>,
    /// Look at it then, although nothing is to be sent to it.
    pub look_at: Option<Timestamp>,
    /// It is owed what the platform has just refused for its own sake: look whether it can be written again.
    pub owed: bool,
    /// It is owed nothing any more.
    pub settled: bool,
    /// How this changes what is expected of it.
    pub expected: Option<Expected>,
    /// By how much a confirmed increase has raised it.
    pub increased: Option<i64>,
    /// The overwrite that is confirmed by this.
    pub set_by: Option<PushId>,
}

/// What applying a verdict depends on.
#[derive(Debug, Clone, Copy)]
pub struct VerdictContext<'a> {
    /// The present.
    pub now: Timestamp,
    /// The random draw for backoff, from 0 to 1.
    pub jitter: f64,
    /// The retry policy.
    pub policy: &'a RetryPolicy,
    /// How many items were in the call.
    pub items: usize,
    /// Whether the store can add: then a late request raises what is shown instead of setting it to its own number.
    pub adds: bool,
    /// Whether the store is read before its listings change, so that a cache may answer in its place.
    pub reads_first: bool,
}
