//! Which requests may have been applied too late for the service to know.
use super::Checker;
use crate::story::NetFault;

impl Checker<'_> {
    /// Whether this request may have been applied after the settle time.
    pub(super) fn may_be_too_late(&self, request: usize) -> bool {
        let stepped = self.world.clock_steps.iter().any(|(_, ms)| *ms > 0);
        match self.sent_requests[request].fault {
            Some(NetFault::LateAfter { .. }) => true,
            // The settle time is measured with a clock that may have been stepped.
            Some(NetFault::LateWithin { .. }) => stepped,
            _ => false,
        }
    }

    /// Whether a key shows that a repetition was not applied again. After the clock was set back, or where the next node's is behind,
    /// nothing is known of a key's age.
    pub(super) fn keys_hold(&self) -> bool {
        let skewed = self.world.setup().nodes.as_ref().is_some_and(|nodes| nodes.skews_ms.iter().any(|ms| *ms != 0));
        !skewed && self.world.clock_steps.iter().all(|(_, ms)| *ms >= 0)
    }
}
