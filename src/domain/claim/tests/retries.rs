//! What a seller's retry does beside the overwrites of the same listing.
use super::*;

#[test]
fn a_rejected_increase_that_an_overwrite_in_flight_contains_is_not_sent_again() {
    let retried = |active: Vec<Push>| {
        let facts = RetryFacts { paired: BTreeSet::from([listing(1)]), active, ..RetryFacts::default() };
        let retried = waiting::retry(vec![increase(1, 3).in_state(PushState::Rejected)], &facts, at(1));
        (retried.changed.iter().map(Push::state).collect::<Vec<_>>(), retried.queued.len())
    };
    let in_flight = |n| {
        let mut push = overwrite(n);
        push.aim(7);
        sent(vec![push], SendBy::Overwrite(Resolution::Overwrite)).0
    };
    let mut being_cancelled = in_flight(1);
    being_cancelled[0].cancel("off", at(1));
    assert_eq!(retried(in_flight(1)), (vec![PushState::Superseded], 0), "its target was read after the increase was rejected");
    assert_eq!(retried(vec![overwrite(1)]), (vec![], 0), "it may still be cancelled");
    assert_eq!(retried(being_cancelled), (vec![], 0), "it may or may not have been applied");
    for unrelated in [vec![], in_flight(2), vec![increase(1, 1)]] {
        assert_eq!(retried(unrelated), (vec![PushState::Queued], 1));
    }
}

#[test]
fn a_listing_is_healed_unless_an_overwrite_of_it_waits_anyway() {
    let healed = |active: Push| {
        let addressees = HashMap::from([(listing(1), addressee(1))]);
        waiting::heal(&[(listing(1), "late".to_owned())], &[active], addressees, &BTreeSet::new(), at(1)).len()
    };
    let mut being_cancelled = overwrite(1);
    being_cancelled.aim(7);
    let mut being_cancelled = sent(vec![being_cancelled], SendBy::Overwrite(Resolution::Overwrite)).0.remove(0);
    being_cancelled.cancel("off", at(1));
    assert_eq!((healed(overwrite(1)), healed(overwrite(1).in_state(PushState::Held))), (0, 0));
    assert_eq!(healed(increase(1, 3)), 1);
    assert_eq!(healed(overwrite(1).in_state(PushState::Sending)), 1, "what is on its way may be out of date");
    assert_eq!(healed(being_cancelled.in_state(PushState::Retrying)), 1);
}
