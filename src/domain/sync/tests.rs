//! What a store does next, input by input.
use super::*;

const CLAIM: Effect = Effect::Claim { probe: false, overwrites_first: false, check_times: false };
const FIRST_CLAIM: Effect = Effect::Claim { probe: false, overwrites_first: false, check_times: true };

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

#[test]
fn there_is_one_claim_at_a_time_and_a_few_calls_in_flight() {
    let mut sync = StoreSync::new(2);
    assert_eq!(sync.step(at(0), Input::Hint), [FIRST_CLAIM]);
    assert_eq!(sync.step(at(0), Input::Hint), []);
    assert_eq!(sync.step(at(1), Input::Sending { next: Next::Unknown }), [CLAIM]);
    assert_eq!(sync.step(at(2), Input::Sending { next: Next::Unknown }), [], "two calls are in flight");
    assert_eq!(sync.step(at(3), Input::CallEnded { answered: true, next: Next::Unknown }), [CLAIM]);
    assert_eq!(sync.step(at(4), Input::NothingDue(Some(at(50)))), [Effect::WakeAt(at(50))]);
    assert!(matches!(sync.step(at(50), Input::Wake)[..], [Effect::Claim { .. }]));
}

#[test]
fn a_hint_during_a_claim_is_not_forgotten() {
    let mut sync = StoreSync::new(1);
    sync.step(at(0), Input::Hint);
    sync.step(at(0), Input::Hint);
    assert_eq!(sync.step(at(1), Input::NothingDue(None)), [CLAIM]);
}

#[test]
fn a_store_that_keeps_failing_is_probed_with_a_single_call() {
    let mut sync = StoreSync::new(4);
    for _ in 0..Circuit::TRIP_AFTER {
        sync.step(at(0), Input::Hint);
        sync.step(at(0), Input::Sending { next: Next::Unknown });
        sync.step(at(0), Input::CallEnded { answered: false, next: Next::Unknown });
        sync.step(at(0), Input::NothingDue(None));
    }
    assert_eq!(sync.step(at(1), Input::Hint), [Effect::WakeAt(at(2000))]);
    assert!(matches!(sync.step(at(2000), Input::Wake)[..], [Effect::Claim { probe: true, .. }]));
    assert_eq!(sync.step(at(2001), Input::Sending { next: Next::Unknown }), [], "nothing else is sent during a probe");
}

#[test]
fn a_retry_by_hand_sends_one_call_at_once_even_while_the_circuit_is_open() {
    let mut sync = StoreSync::new(4);
    for _ in 0..Circuit::TRIP_AFTER {
        sync.step(at(0), Input::ReadEnded { answered: false });
    }
    sync.step(at(0), Input::NothingDue(None));
    assert_eq!(sync.step(at(1), Input::Hint), [Effect::WakeAt(at(2_000))]);
    assert!(matches!(sync.step(at(2), Input::Asked)[..], [Effect::Claim { probe: true, .. }]));
    assert_eq!(sync.step(at(3), Input::Sending { next: Next::Unknown }), [Effect::WakeAt(at(2_000))], "nothing else is sent beside it");
    assert_eq!(sync.step(at(4), Input::CallEnded { answered: false, next: Next::Unknown }), [Effect::WakeAt(at(4_004))], "it did not help");
    sync.step(at(5), Input::Asked);
    sync.step(at(6), Input::Sending { next: Next::Unknown });
    assert!(
        matches!(sync.step(at(7), Input::CallEnded { answered: true, next: Next::Unknown })[..], [Effect::Claim { probe: false, .. }]),
        "it did"
    );
}

#[test]
fn after_the_clock_was_set_back_it_looks_for_work_at_once_and_no_pause_of_before_is_waited_out() {
    let mut sync = StoreSync::new(1);
    let looks = |effects: Vec<Effect>| matches!(effects[..], [Effect::Claim { check_times: true, .. }]);
    assert!(looks(sync.step(at(100_000), Input::Hint)));
    sync.step(at(100_001), Input::NothingDue(Some(at(160_000))));
    assert!(looks(sync.step(at(50_000), Input::Wake)));
    assert_eq!(sync.step(at(50_000), Input::DatabaseFailed), [Effect::WakeAt(at(50_200))]);
    assert!(looks(sync.step(at(49_000), Input::Wake)));
    for _ in 0..Circuit::TRIP_AFTER {
        sync.step(at(49_000), Input::ReadEnded { answered: false });
    }
    assert_eq!(sync.step(at(49_000), Input::NothingDue(None)), [Effect::WakeAt(at(51_000))]);
    assert!(looks(sync.step(at(40_000), Input::Wake)), "the open circuit is probed");
}

#[test]
fn it_is_idle_without_claims_calls_hints_or_due_work() {
    let mut sync = StoreSync::new(2);
    let idle = |sync: &StoreSync| (sync.is_idle(at(1_000)), sync.under_way());
    assert_eq!(idle(&sync), (false, 0), "it has not looked for work yet");
    sync.step(at(0), Input::Hint);
    assert_eq!(idle(&sync), (false, 0), "it is looking for work");
    sync.step(at(1), Input::NothingDue(None));
    assert_eq!(idle(&sync), (true, 0));
    for (due, is_idle) in [(999, false), (1_000, false), (1_001, true)] {
        sync.step(at(2), Input::Hint);
        sync.step(at(2), Input::NothingDue(Some(at(due))));
        assert_eq!(idle(&sync), (is_idle, 0), "due at {due}");
    }
    sync.step(at(3), Input::Hint);
    sync.step(at(3), Input::Sending { next: Next::Unknown });
    sync.step(at(3), Input::NothingDue(None));
    assert_eq!(idle(&sync), (false, 1), "a call is in flight");
    sync.step(at(4), Input::CallEnded { answered: true, next: Next::Unknown });
    sync.step(at(4), Input::NothingDue(None));
    assert_eq!(idle(&sync), (true, 0));
}

#[test]
fn it_wakes_at_once_for_overdue_work_and_after_a_while_without_any() {
    let mut sync = StoreSync::new(1);
    sync.step(at(0), Input::Hint);
    assert_eq!(sync.step(at(10), Input::NothingDue(Some(at(5)))), [Effect::WakeAt(at(11))]);
    sync.step(at(20), Input::Hint);
    assert_eq!(sync.step(at(20), Input::NothingDue(None)), [Effect::WakeAt(at(20) + LONGEST_SLEEP)]);
}

#[test]
fn a_store_that_keeps_failing_reports_until_when_its_circuit_is_open() {
    let mut sync = StoreSync::new(1);
    let circuit = |sync: &StoreSync, ms| (sync.circuit_open_until(at(ms)), sync.is_probing(at(ms)));
    assert_eq!(circuit(&sync, 0), (None, false));
    for _ in 0..Circuit::TRIP_AFTER {
        sync.step(at(0), Input::ReadEnded { answered: false });
    }
    assert_eq!((circuit(&sync, 0), circuit(&sync, 2_000)), ((Some(at(2_000)), false), (None, true)));
    sync.step(at(2_000), Input::ReadEnded { answered: true });
    assert_eq!(circuit(&sync, 2_000), (None, false));
}

#[test]
fn a_stop_waits_for_calls_in_flight() {
    let mut sync = StoreSync::new(1);
    sync.step(at(0), Input::Hint);
    sync.step(at(0), Input::Sending { next: Next::Unknown });
    assert_eq!(sync.step(at(1), Input::Stop), []);
    assert_eq!(sync.step(at(2), Input::CallEnded { answered: true, next: Next::Unknown }), [Effect::Stopped]);
}

#[test]
fn an_unreachable_database_is_retried_at_growing_intervals() {
    let mut sync = StoreSync::new(1);
    sync.step(at(0), Input::Hint);
    assert_eq!(sync.step(at(0), Input::DatabaseFailed), [Effect::WakeAt(at(200))]);
    assert!(matches!(sync.step(at(200), Input::Wake)[..], [Effect::Claim { .. }]));
    assert_eq!(sync.step(at(200), Input::DatabaseFailed), [Effect::WakeAt(at(600))]);
}

/// A store whose circuit has just opened, and nothing of which is under way.
fn broken(max_in_flight: usize) -> StoreSync {
    let mut sync = StoreSync::new(max_in_flight);
    for _ in 0..Circuit::TRIP_AFTER {
        sync.step(at(0), Input::ReadEnded { answered: false });
    }
    sync.step(at(0), Input::NothingDue(None));
    sync
}

#[test]
fn a_store_that_is_reached_in_another_way_is_tried_at_once() {
    let mut sync = broken(1);
    assert_eq!(sync.step(at(1), Input::Hint), [Effect::WakeAt(at(2_000))]);
    sync.forget_failures();
    assert!(matches!(sync.step(at(2), Input::Hint)[..], [Effect::Claim { probe: false, .. }]));
}

#[test]
fn what_the_seller_asked_for_is_sent_alone_until_it_is_answered() {
    let claims = |effects: Vec<Effect>| matches!(effects[..], [Effect::Claim { .. }]);
    let mut sync = StoreSync::new(4);
    for _ in 0..2 {
        sync.step(at(0), Input::Hint);
        sync.step(at(0), Input::Sending { next: Next::Unknown });
    }
    assert_eq!(sync.step(at(1), Input::NothingDue(None)), [Effect::WakeAt(at(1) + LONGEST_SLEEP)], "two calls are under way");
    assert!(claims(sync.step(at(2), Input::Asked)));
    assert_eq!(sync.step(at(3), Input::Sending { next: Next::Unknown }), [], "the one that was asked for");
    let ended = || Input::CallEnded { answered: true, next: Next::Unknown };
    assert_eq!((sync.step(at(4), ended()), sync.step(at(5), ended())), (vec![], vec![]), "one is still under way");
    assert!(claims(sync.step(at(6), ended())));
    assert!(claims(sync.step(at(7), Input::Sending { next: Next::Unknown })), "several at once again");
}

#[test]
fn a_claim_that_is_under_way_serves_the_seller_who_asks() {
    let mut sync = StoreSync::new(4);
    sync.step(at(0), Input::Hint);
    assert_eq!(sync.step(at(1), Input::Asked), []);
    assert_eq!(sync.step(at(2), Input::Sending { next: Next::Unknown }), [], "nothing is sent beside it");
    assert!(matches!(sync.step(at(3), Input::CallEnded { answered: true, next: Next::Unknown })[..], [Effect::Claim { probe: false, .. }]));
}

#[test]
fn every_fourth_claim_prefers_overwrites_and_times_are_checked_every_ten_seconds() {
    let mut sync = StoreSync::new(1);
    let mut claim = |ms| {
        let effects = sync.step(at(ms), Input::Hint);
        sync.step(at(ms), Input::NothingDue(None));
        match effects[..] {
            [Effect::Claim { overwrites_first, check_times, .. }] => (overwrites_first, check_times),
            _ => panic!("{effects:?}"),
        }
    };
    let found = [0, 1, 9_999, 10_000, 10_001, 20_000].map(&mut claim);
    assert_eq!(found.map(|(overwrites_first, _)| overwrites_first), [false, false, false, true, false, false]);
    assert_eq!(found.map(|(_, check_times)| check_times), [true, false, false, true, false, true]);
}

#[test]
fn a_stop_waits_for_a_claim_whose_pushes_may_be_on_their_way() {
    let mut sync = StoreSync::new(1);
    sync.step(at(0), Input::Hint);
    assert_eq!(sync.step(at(1), Input::Stop), []);
    assert_eq!(sync.step(at(2), Input::Sending { next: Next::Unknown }), []);
    assert_eq!(sync.step(at(3), Input::CallEnded { answered: true, next: Next::Unknown }), [Effect::Stopped]);
}

#[test]
fn a_claim_and_the_end_of_a_call_that_know_what_is_left_are_followed_by_no_other_claim() {
    let mut sync = StoreSync::new(2);
    let left = |at| Next::DueAt(at);
    sync.step(at(0), Input::Hint);
    assert_eq!(sync.step(at(1), Input::Sending { next: left(Some(at(90))) }), [Effect::WakeAt(at(90))]);
    assert_eq!(sync.step(at(2), Input::CallEnded { answered: true, next: left(None) }), [Effect::WakeAt(at(90))]);
    sync.step(at(3), Input::Hint);
    sync.step(at(3), Input::Sending { next: left(None) });
    assert_eq!(sync.step(at(4), Input::CallEnded { answered: true, next: left(Some(at(50))) }), [Effect::WakeAt(at(50))]);
    assert_eq!(sync.step(at(5), Input::CallEnded { answered: true, next: left(Some(at(5))) }), [CLAIM], "it waited for the call");
}

#[test]
fn the_end_of_a_call_during_a_claim_leads_to_another_claim_because_the_first_may_not_have_seen_it() {
    let mut sync = StoreSync::new(2);
    for _ in 0..2 {
        sync.step(at(0), Input::Hint);
        sync.step(at(0), Input::Sending { next: Next::DueAt(None) });
    }
    sync.step(at(1), Input::CallEnded { answered: true, next: Next::DueAt(None) });
    assert_eq!(sync.step(at(2), Input::Hint), [CLAIM]);
    assert_eq!(sync.step(at(3), Input::CallEnded { answered: true, next: Next::DueAt(Some(at(70))) }), []);
    assert!(matches!(sync.step(at(4), Input::NothingDue(None))[..], [Effect::Claim { .. }]));
}

#[test]
fn a_call_is_offered_only_while_nothing_waits_and_nothing_forbids_to_send() {
    let mut sync = StoreSync::new(2);
    let offers = |sync: &StoreSync| sync.may_offer(at(10));
    assert!(!offers(&sync), "it has not looked for work yet");
    sync.step(at(0), Input::Hint);
    assert!(!offers(&sync), "it is claiming");
    sync.step(at(1), Input::NothingDue(Some(at(10))));
    assert!(!offers(&sync) && sync.may_offer(at(9)), "work is due");
    sync.step(at(10), Input::Wake);
    sync.step(at(10), Input::Sending { next: Next::DueAt(Some(at(11))) });
    assert!(offers(&sync), "another call may run beside this one");
    sync.offer_taken();
    assert_eq!((offers(&sync), sync.under_way()), (false, 2), "as many as may run at once");
    sync.step(at(10), Input::NotSent);
    assert!(!offers(&sync), "it is looking for what was not sent");
    sync.step(at(10), Input::NothingDue(None));
    assert!(offers(&sync));
    sync.step(at(10), Input::CallEnded { answered: false, next: Next::DueAt(None) });
    assert!(!offers(&sync), "the store may be down");
    sync.step(at(10), Input::ReadEnded { answered: true });
    sync.step(at(10), Input::NothingDue(None));
    assert!(offers(&sync));
    sync.step(at(10), Input::DatabaseFailed);
    assert!(!offers(&sync));
    let mut sync = StoreSync::new(1);
    sync.step(at(0), Input::Hint);
    sync.step(at(1), Input::NothingDue(None));
    sync.offer_taken();
    assert_eq!(sync.step(at(2), Input::Stop), [], "a call that was taken is waited for");
    assert_eq!((sync.step(at(3), Input::NotSent), offers(&sync)), (vec![Effect::Stopped], false));
}
