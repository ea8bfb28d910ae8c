//! Notices that NATS has messages and delivers none of them, which servers have been seen to do after a crash.
use async_nats::jetstream::consumer::Info;
use std::time::Duration;
use tokio::time::Instant;

/// How long nothing may be delivered although something could be.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a consumer looked like after a pull that brought nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// How often it has delivered anything to anybody.
    delivered: u64,
    /// Whether it has a message that it may deliver now.
    could_deliver: bool,
}

impl From<&Info> for Seen {
    fn from(info: &Info) -> Self {
        let has_places = i64::try_from(info.num_ack_pending).is_ok_and(|unanswered| unanswered < info.config.max_ack_pending);
        Self { delivered: info.delivered.consumer_sequence, could_deliver: info.num_pending > 0 && has_places }
    }
}

/// Watches one consumer.
#[derive(Debug, Default)]
pub struct Stall {
    /// What it has looked like since when.
    since: Option<(Seen, Instant)>,
    is_said: bool,
}

impl Stall {
    /// A pull has brought something.
    pub fn end(&mut self) {
        *self = Self::default();
    }

    /// A pull has brought nothing. Returns true once in each stall.
    pub fn begins(&mut self, seen: Seen, now: Instant) -> bool {
        match self.since {
            Some((before, since)) if before == seen && seen.could_deliver => {
                let says = !self.is_said && now.saturating_duration_since(since) >= PATIENCE;
                self.is_said |= says;
                says
            }
            _ => {
                *self = Self { since: Some((seen, now)), is_said: false };
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(delivered: u64) -> Seen {
        Seen { delivered, could_deliver: true }
    }

    #[tokio::test]
    async fn a_consumer_that_has_messages_and_delivers_none_is_said_once() {
        let (mut stall, start) = (Stall::default(), Instant::now());
        let said = [0, 5, 10, 15, 20, 25, 60].map(|after| stall.begins(seen(7), start + Duration::from_secs(after)));
        assert_eq!(said, [false, false, false, false, true, false, false]);
        stall.end();
        assert!(!stall.begins(seen(7), start + Duration::from_secs(65)));
        assert!(stall.begins(seen(7), start + Duration::from_secs(85)));
    }

    #[tokio::test]
    async fn one_that_delivers_to_others_or_has_nothing_to_deliver_is_well() {
        let (mut stall, start) = (Stall::default(), Instant::now());
        for step in 0..20 {
            assert!(!stall.begins(seen(step), start + Duration::from_secs(step * 15)));
        }
        let idle = Seen { delivered: 19, could_deliver: false };
        for step in 20..40 {
            assert!(!stall.begins(idle, start + Duration::from_secs(step * 15)));
        }
    }
}
