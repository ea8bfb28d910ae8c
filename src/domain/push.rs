//! The life of a push, and what an answer, a crash, a read or a cancellation does to it.
//!
//! `queued → sending → confirmed`, or `→ retrying` (known not to have been applied), `→ uncertain` (may have been
//! applied), `→ rejected` (permanently, for this listing), `→ held` (store paused or not authorized), `→ superseded`,
//! `→ cancelled`. An uncertain push is never sent again blindly: [`Resolution`](super::delivery::Resolution) says how its outcome is determined.
//!
//! Nothing outside this module changes a push: everything that may happen to one is a method here. The database saves a
//! [`Record`] and loads it again through [`Push::from_record`], which refuses a combination that no transition produces.
mod account;
mod clock;
mod fall;
mod outcome;
mod record;
mod sending;
mod state;
mod success;
mod undone;
mod update;
mod verdict;
mod waiting;

pub use account::{ASK_AGAIN_AFTER, Account, CACHED, CAN_BE_WRITTEN_AGAIN, DOUBT_FOR, LOOK_AFTER, LatestNumbers, SHOWN_WITHIN};
pub use record::{Addressee, Invalid, Push, Record, WAITS_FOR_SKU, WAITS_FOR_STORE};
pub use sending::SendBy;
pub use state::{Effect, PushKind, PushState};
pub use success::{PlainSuccess, SentIncrease, all_applied};
pub use update::{Expected, ListingUpdate, VerdictContext};
pub use verdict::{RECONNECT, Verdict, verdicts};
pub use waiting::{OverwriteBehind, Retry};

#[cfg(test)]
mod tests;
