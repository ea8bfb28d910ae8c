//! Claiming and finishing pushes: the only place where pushes enter and leave the state `sending`.
//!
//! [`Tenant::next_work`](super::Tenant::next_work) claims; a claimed push is `sending` in the database before its first byte leaves.
//! [`Tenant::finish_call`](super::Tenant::finish_call) applies the outcome. Both are idempotent by the call's id, so a lost answer
//! from the database does no harm: a push that is `sending` although nothing is sending it becomes `uncertain`, and its
//! outcome is determined. [`claim`](crate::domain::claim) makes every decision; here are the statements before and after.
mod claim;
mod clock;
mod compare;
mod expectations;
mod listings;
mod looks;
mod offers;
mod outcome;
mod packed;
mod pauses;
mod protected;
mod standing;
mod stores;
mod targets;
mod together;
mod undone;

pub use offers::{Begun, HasRoom, Offered, Offers};
pub(super) use offers::{Epochs, Taken};
pub use outcome::Finished;
pub use protected::ReadBefore;
pub use together::EndedCall;
pub(super) use together::finish_together;
