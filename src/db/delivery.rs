//! Claiming and finishing pushes: the only place where a push gets on its way and comes back.
//!
//! [`Tenant::next_work`] claims; a claimed push is `sending` in the database before its first byte leaves.
//! [`Tenant::finish_call`] applies the outcome. Both are idempotent by the call's id, so an answer of the database that
//! is lost does no harm: a push that is `sending` without anybody sending it becomes `uncertain`, and its outcome is
//! determined. Every decision is one of [`claim`](crate::domain::claim); here are the statements before and after it.
mod claim;
mod listings;
mod outcome;
mod stores;
mod targets;
