//! What the next call to a store may look like.
use crate::domain::Timestamp;
use crate::domain::delivery::{Abilities, Method};
use crate::domain::push::{Push, PushKind, VerdictContext};
use crate::domain::retry::RetryPolicy;

/// How many pushes are searched for those that can share a call, where the platform does not accept any combination.
const GROUP_AMONG: usize = 1000;

/// What the next call may look like.
#[derive(Debug, Clone, Copy)]
pub struct ClaimTerms {
    /// What the store can do.
    pub abilities: Abilities,
    /// The most items.
    pub limit: usize,
    /// The connector's own listing field that all items of one call must share, where the platform requires that.
    pub group_by: Option<&'static str>,
    /// Overwrites first this time, so that a steady flow of increases does not starve a run.
    pub overwrites_first: bool,
    /// Overwrites wait: what is left of the app's day is for increases.
    pub overwrites_wait: bool,
    /// The retry policy.
    pub policy: RetryPolicy,
    /// The random draw for backoff, from 0 to 1.
    pub jitter: f64,
}

impl ClaimTerms {
    /// What applying the outcome of a call with `items` items depends on.
    pub fn context(&self, now: Timestamp, items: usize) -> VerdictContext<'_> {
        let reads_first = self.abilities.increase_method().is_none_or(Method::reads_first);
        VerdictContext { now, jitter: self.jitter, policy: &self.policy, items, adds: self.abilities.adjust, reads_first }
    }

    /// How many due pushes to load for one call.
    pub fn rows(&self) -> usize {
        if self.group_by.is_some() { self.limit.max(GROUP_AMONG) } else { self.limit }
    }

    /// How many uncertain pushes to load.
    pub fn uncertain_rows(&self) -> usize {
        self.limit.max(GROUP_AMONG)
    }

    /// The kinds in the order in which they are looked at. Overwrites follow increases in any case, since an increase
    /// that cannot be sent becomes an overwrite.
    pub fn kinds(&self) -> impl Iterator<Item = PushKind> + use<> {
        let kinds = [PushKind::Overwrite, PushKind::Increase, PushKind::Overwrite];
        let waits = self.overwrites_wait;
        kinds.into_iter().skip(usize::from(!self.overwrites_first)).filter(move |kind| !waits || *kind == PushKind::Increase)
    }

    pub(super) fn group_of(&self, push: &Push) -> Option<String> {
        self.group_by.map(|field| push.extra_field(field))
    }
}
