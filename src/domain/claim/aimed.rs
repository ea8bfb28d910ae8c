//! Overwrites and the targets of their listings.
use crate::domain::push::Push;
use crate::domain::undo::{Found, LeftAlone, restored};
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

/// Puts what the listing of an overwrite of an undo is set back to in the place of its target, if it is pushed to at all. Leaves
/// other overwrites as they are.
///
/// # Errors
/// Why the listing is left alone.
pub fn aim_back(
    push: &mut Push,
    found: &HashMap<ListingId, Found>,
    targets: &mut HashMap<ListingId, Option<i64>>,
) -> Result<(), LeftAlone> {
    let Some(undo) = push.undo().copied() else { return Ok(()) };
    let (Some(now), Some(Some(target))) = (found.get(&push.listing_id()), targets.get_mut(&push.listing_id())) else { return Ok(()) };
    // What an earlier sending of it has taken the place of does not wait any more.
    let waiting = now.waiting.saturating_add(push.replaced().contained);
    let restored = restored(undo.of, &undo.replaced, &Found { waiting, ..*now })?;
    push.note_restored(restored);
    *target = restored.target(0);
    Ok(())
}

/// Notes which waiting increases these overwrites have taken the place of.
pub fn note_contained(overwrites: &mut [Push], increases: &[Push]) {
    for increase in increases {
        let own = |push: &&mut Push| push.listing_id() == increase.listing_id();
        if let (Some(push), Some(units)) = (overwrites.iter_mut().find(own), increase.quantity()) {
            push.note_contains(units);
        }
    }
}

impl Aimed {
    /// The listing of this overwrite keeps the number that it has.
    pub fn leave_alone(&mut self, mut push: Push, why: LeftAlone, now: Timestamp) {
        self.before.push(push.clone());
        push.leave_alone(why, now);
        self.cancelled.push(push);
    }

    /// What was left out before comes first.
    pub fn prepend(&mut self, left: Self) {
        self.before.extend(left.before);
        self.cancelled.extend(left.cancelled);
    }

    /// The listing of this overwrite is not to be pushed.
    pub fn cancel(&mut self, mut push: Push, now: Timestamp) {
        self.before.push(push.clone());
        push.cancel("This listing is not to be pushed: it is unpaired, switched off, or its rules give it no share.", now);
        self.cancelled.push(push);
    }
}
