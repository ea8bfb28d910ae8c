//! What each state allows, and what happens to a push that waits.
use super::*;

#[test]
fn each_state_says_whether_it_is_claimed_will_change_by_itself_may_be_retried_or_needs_a_look() {
    let yes_or_no = |state: PushState| {
        assert_eq!(state.is_active(), !state.has_ended());
        [state.is_claimable(), state.is_active(), state.is_retryable(), state.is_of_interest(), state.is_failure_of_run()].map(u8::from)
    };
    for (state, expected) in [
        (Queued, [1, 1, 0, 1, 0]),
        (Sending, [0, 1, 0, 1, 0]),
        (Confirmed, [0, 0, 0, 0, 0]),
        (Retrying, [1, 1, 1, 1, 0]),
        (Uncertain, [0, 1, 0, 1, 0]),
        (Rejected, [0, 0, 1, 1, 1]),
        (Held, [0, 1, 1, 1, 1]),
        (Superseded, [0, 0, 0, 0, 1]),
        (Cancelled, [0, 0, 0, 0, 1]),
    ] {
        assert_eq!(yes_or_no(state), expected, "{state:?}");
    }
}

fn waiting(kind: PushKind, state: PushState) -> Push {
    let due_at = state.is_claimable().then_some(at(9_000));
    Push { state, due_at, ..Push::new(kind, addressee(1), at(0), false) }
}

#[test]
fn another_overwrite_is_the_same_as_one_that_waits_and_is_not_being_cancelled() {
    let push = |kind, state, cancel_requested| Push { cancel_requested, ..waiting(kind, state) }.is_waiting_overwrite();
    assert!([Queued, Retrying, Held].into_iter().all(|state| push(PushKind::Overwrite, state, false)));
    assert!(!push(PushKind::Overwrite, Queued, true) && !push(PushKind::Increase, Queued, false));
    assert!([Sending, Uncertain, Confirmed, Rejected].into_iter().all(|state| !push(PushKind::Overwrite, state, false)));
}

#[test]
fn what_waits_is_held_with_its_store_and_sent_at_once_when_the_store_is_released() {
    for state in PushState::ALL {
        let mut push = waiting(PushKind::Increase, state);
        let before = push.clone();
        push.hold_with_store(at(5));
        if !state.is_claimable() {
            assert_eq!(push, before, "{state:?}");
            continue;
        }
        assert_eq!((push.state, push.due_at, push.reason.as_deref()), (Held, None, Some(WAITS_FOR_STORE)), "{state:?}");
        push.release_with_store(at(6));
        assert_eq!((push.state, ms(push.due_at), push.reason), (Queued, Some(6), None), "{state:?}");
    }
    for state in PushState::ALL.into_iter().filter(|state| *state != Held) {
        let mut push = waiting(PushKind::Increase, state);
        let before = push.clone();
        push.release_with_store(at(6));
        assert_eq!(push, before, "{state:?}");
    }
}

#[test]
fn a_pause_after_a_failure_is_cut_short_once_the_store_is_reached_in_another_way() {
    let hurried = |state, now| {
        let mut push = waiting(PushKind::Increase, state);
        push.hurry(at(now));
        (ms(push.due_at), push.updated_at.as_millis())
    };
    assert_eq!(hurried(Retrying, 8_999), (Some(8_999), 8_999));
    assert_eq!((hurried(Retrying, 9_000), hurried(Retrying, 9_001)), ((Some(9_000), 0), (Some(9_000), 0)), "it is due already");
    assert_eq!(hurried(Queued, 5), (Some(9_000), 0), "it waits for an earlier request to settle");
    assert_eq!(hurried(Held, 5), (None, 0));
}

#[test]
fn only_a_rejected_increase_is_contained_in_a_later_overwrite() {
    for kind in [PushKind::Increase, PushKind::Overwrite] {
        for state in PushState::ALL {
            let mut push = waiting(kind, state);
            push.note_contained();
            assert_eq!(push.contained, (kind, state) == (PushKind::Increase, Rejected), "{kind:?} {state:?}");
        }
    }
}

#[test]
fn a_retry_sends_nothing_that_an_overwrite_contains_or_may_contain() {
    use OverwriteBehind::{Contains, Open};
    let run_id = Some(crate::domain::RunId(Uuid::nil()));
    for (kind, state, contained, overwrite, expected, becomes) in [
        (PushKind::Increase, Rejected, false, None, Retry::Queued, Queued),
        (PushKind::Increase, Rejected, false, Some(Open), Retry::Unchanged, Rejected),
        (PushKind::Increase, Rejected, false, Some(Contains), Retry::Superseded, Superseded),
        (PushKind::Increase, Rejected, true, None, Retry::Superseded, Superseded),
        (PushKind::Increase, Rejected, true, Some(Open), Retry::Superseded, Superseded),
        (PushKind::Overwrite, Rejected, false, Some(Open), Retry::Queued, Queued),
        (PushKind::Overwrite, Rejected, false, Some(Contains), Retry::Queued, Queued),
        (PushKind::Increase, Held, false, Some(Open), Retry::Queued, Queued),
        (PushKind::Increase, Retrying, false, Some(Contains), Retry::Queued, Queued),
    ] {
        let mut push = Push { contained, run_id, ..waiting(kind, state) };
        assert_eq!(push.retry(overwrite, false, at(5)), expected, "{kind:?} {state:?} {contained} {overwrite:?}");
        let left = state == Rejected && becomes != Rejected;
        assert_eq!((push.state, push.run_id.is_none()), (becomes, left), "a run has counted its rejected pushes");
    }
    let mut held = waiting(PushKind::Increase, Rejected);
    assert_eq!((held.retry(None, true, at(5)), held.state, held.due_at), (Retry::Queued, Held, None), "its store is held");
}
