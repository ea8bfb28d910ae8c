//! Delivery: one claim for a store, from reading the rows to saving the outcome.
//!
//! The store's actor decides when to deliver. A delivery waits for the limits with nothing claimed, renews tokens, reads
//! listings where that is necessary, claims, sends, and saves the outcome. Cancelling the token returns an unsent claim. Where
//! another node may take over, the lease is checked once more before the first byte if the claim is a few seconds old.
mod claim;
mod items;
mod outbound;
mod proof;
mod reach;
mod reading;
mod traced;

pub use claim::{Claim, Claimed};
pub use outbound::Outbound;
pub use proof::Recover;
pub use reach::Reach;
