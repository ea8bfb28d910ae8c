//! What a platform has granted to a store, and until when: tokens that are never renewed end, even if the store has no work.
//!
//! A refresh token is used halfway through its life, give or take a tenth, so that a platform that does not answer for weeks
//! costs nothing, and stores that were connected together are not renewed together. Its seller is warned a week before it ends.
use super::Timestamp;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// When tokens whose end is unknown are renewed: often enough to notice that they were revoked.
const UNKNOWN_LIFE: Duration = Duration::from_secs(60 * 24 * 3600);
/// How long before the end its seller is warned.
pub const WARN_BEFORE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long after a failed renewal it is tried again, at least and at most.
const TRY_AGAIN_AFTER: (Duration, Duration) = (Duration::from_secs(3600), DAY);

/// A part of a span; `part` is from 0 to 1.
fn part_of(span: Duration, part: f64) -> Duration {
    span.mul_f64(part.clamp(0.0, 1.0))
}

fn left(now: Timestamp, ends_at: Timestamp) -> Duration {
    (ends_at - now).to_std().unwrap_or(Duration::ZERO)
}

/// When tokens that were renewed `now` are renewed next, whether their store has work or not; `draw` is random, from 0 to 1.
pub fn renew_at(now: Timestamp, ends_at: Option<Timestamp>, draw: f64) -> Timestamp {
    now + part_of(ends_at.map_or(UNKNOWN_LIFE, |ends_at| left(now, ends_at)), 0.4 + 0.2 * draw)
}

/// When a renewal that failed `now` is tried again: after a tenth of what is left.
pub fn try_again_at(now: Timestamp, ends_at: Option<Timestamp>, draw: f64) -> Timestamp {
    let (least, most) = TRY_AGAIN_AFTER;
    now + part_of(ends_at.map_or(most, |ends_at| left(now, ends_at)), 0.05 + 0.1 * draw).clamp(least, most)
}

/// Whether the seller should know that the tokens end soon.
pub fn ends_soon(ends_at: Option<Timestamp>, now: Timestamp) -> bool {
    ends_at.is_some_and(|ends_at| ends_at <= now + WARN_BEFORE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: f64) -> Timestamp {
        Timestamp::from_millis((n * 86_400_000.0) as i64)
    }

    #[test]
    fn tokens_are_renewed_around_the_middle_of_their_life() {
        for (ends, draw, expected) in [(90.0, 0.0, 36.0), (90.0, 0.5, 45.0), (90.0, 1.0, 54.0), (30.0, 0.5, 15.0)] {
            assert_eq!(renew_at(day(0.0), Some(day(ends)), draw), day(expected), "{ends} {draw}");
        }
        assert_eq!(renew_at(day(0.0), None, 0.5), day(30.0));
        assert_eq!(renew_at(day(9.0), Some(day(1.0)), 0.5), day(9.0), "what has ended is tried at once");
    }

    #[test]
    fn a_failed_renewal_is_tried_again_more_often_the_nearer_the_end_is() {
        let after = |left: f64| try_again_at(day(0.0), Some(day(left)), 0.5);
        assert_eq!((after(100.0), after(5.0), after(0.0)), (day(1.0), day(0.5), day(1.0 / 24.0)));
        assert_eq!(try_again_at(day(0.0), None, 1.0), day(0.15));
    }

    #[test]
    fn the_seller_is_warned_a_week_before_the_end() {
        assert!(ends_soon(Some(day(7.0)), day(0.0)) && ends_soon(Some(day(1.0)), day(2.0)));
        assert!(!ends_soon(Some(day(7.1)), day(0.0)) && !ends_soon(None, day(0.0)));
    }
}
