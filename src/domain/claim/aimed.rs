//! Overwrites and the targets of their listings.
use crate::domain::push::Push;
use crate::domain::{ListingId, Timestamp};
use std::collections::HashMap;

/// Overwrites that are due, after their targets were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aimed {
    /// Those that are sent.
    pub claimed: Vec<Push>,
    /// Those whose listing is not to be pushed, before they were cancelled.
    pub before: Vec<Push>,
    /// The same, cancelled.
    pub cancelled: Vec<Push>,
}

/// Gives overwrites the targets of their listings; one whose listing has none is cancelled.
pub fn aim(page: Vec<Push>, targets: &HashMap<ListingId, Option<i64>>, now: Timestamp) -> Aimed {
    let mut aimed = Aimed::default();
    for mut push in page {
        if let Some(target) = targets.get(&push.listing_id()).copied().flatten() {
            push.aim(target);
            aimed.claimed.push(push);
        } else {
            aimed.cancel(push, now);
        }
    }
    aimed
}

impl Aimed {
    /// The listing of this overwrite is not to be pushed.
    pub fn cancel(&mut self, mut push: Push, now: Timestamp) {
        self.before.push(push.clone());
        push.cancel("This listing is not to be pushed: it is unpaired, switched off, or its rules give it no share.", now);
        self.cancelled.push(push);
    }
}
