//! What the times of a push are worth after the clock was set back.
use super::*;

const WRITTEN_MS: i64 = 100_000;

fn written(state: PushState, resolution: Resolution, base: Option<i64>) -> Push {
    Push {
        state,
        base,
        in_doubt: state.is_in_flight(),
        updated_at: at(WRITTEN_MS),
        due_at: (state.is_claimable() || state == Uncertain).then_some(at(WRITTEN_MS + 60_000)),
        failing_since: Some(at(WRITTEN_MS)),
        ..sent(PushKind::Increase, resolution)
    }
}

fn anew(mut push: Push, now: i64) -> (Option<i64>, Option<i64>, Option<Resolution>) {
    push.start_times_anew(at(now), &RetryPolicy::default());
    (ms(push.due_at), ms(push.failing_since), push.resolution)
}

#[test]
fn what_waits_is_due_at_once_if_the_clock_was_set_back_and_keeps_its_times_otherwise() {
    for state in [Queued, Retrying] {
        let push = written(state, Resolution::ReadBack, None);
        for (now, due, since) in [(99_999, 99_999, 99_999), (100_000, 160_000, 100_000), (150_000, 160_000, 100_000)] {
            assert_eq!(anew(push.clone(), now), (Some(due), Some(since), Some(Resolution::ReadBack)), "{state:?} at {now}");
        }
    }
    for state in [Sending, Confirmed, Rejected, Held, Superseded, Cancelled] {
        let mut push = written(state, Resolution::ReadBack, Some(10));
        let before = push.clone();
        push.start_times_anew(at(1), &RetryPolicy::default());
        assert_eq!(push, before);
    }
}

#[test]
fn what_is_uncertain_settles_anew_and_its_key_counts_as_forgotten_if_the_clock_was_set_back() {
    let keyed = written(Uncertain, Resolution::SameCallAgain, None);
    assert_eq!(anew(keyed.clone(), 50_000), (Some(60_000), Some(50_000), Some(Resolution::Overwrite)));
    assert_eq!(anew(keyed, 100_000), (Some(160_000), Some(100_000), Some(Resolution::SameCallAgain)));
    let compared = written(Uncertain, Resolution::SameCallAgain, Some(10));
    assert_eq!(anew(compared, 50_000), (Some(60_000), Some(50_000), Some(Resolution::SameCallAgain)), "the shop compares");
    let by_read = written(Uncertain, Resolution::ReadBack, Some(10));
    assert_eq!(anew(by_read, 50_000), (Some(60_000), Some(50_000), Some(Resolution::ReadBack)));
}

#[test]
fn a_key_is_not_relied_upon_if_the_clock_was_set_back_while_its_call_was_under_way() {
    let policy = RetryPolicy::default();
    let keyed = Push { failing_since: None, ..written(Sending, Resolution::SameCallAgain, None) };
    let lost = |mut push: Push, now| {
        push.apply_verdict(&Account::default(), &unknown(), ctx(now, &policy));
        (push.resolution, ms(push.failing_since))
    };
    assert_eq!(lost(keyed.clone(), 105_000), (Some(Resolution::SameCallAgain), Some(WRITTEN_MS)), "since it was sent");
    assert_eq!(lost(keyed.clone(), 50_000), (Some(Resolution::Overwrite), Some(50_000)));
    let (mut crashed, mut given_back) = (keyed.clone(), keyed);
    crashed.crashed(at(50_000), &policy);
    given_back.give_back(at(50_000));
    assert_eq!([crashed.resolution, given_back.resolution], [Some(Resolution::Overwrite); 2]);
}

#[test]
fn a_key_is_as_old_as_its_call_even_if_its_id_claims_a_later_time() {
    let all = Abilities { adjust: true, idempotency: true, compare_and_set: true, read: true, max_items: 1 };
    let id = |seconds| Some(CallId(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0))));
    let keyed = |call_id, since| {
        let failing_since = Some(at(since));
        Push { call_id, failing_since, ..written(Uncertain, Resolution::SameCallAgain, None) }
    };
    for (push, now, trusted) in [
        (keyed(id(0), 5_000), 82_800_000, true),
        (keyed(id(0), 5_000), 82_800_001, false),
        (keyed(id(86_400), 5_000), 82_805_000, true),
        (keyed(id(86_400), 5_000), 82_805_001, false),
        (keyed(id(86_400), 5_000), 5_000, true),
        (keyed(id(86_400), 5_000), 4_999, false),
    ] {
        assert_eq!(push.resolution_at(&all, at(now)) == Resolution::SameCallAgain, trusted, "{push:?} at {now}");
    }
}

#[test]
fn units_added_after_the_clock_was_set_back_do_not_hide_that_it_was() {
    let mut added = written(Retrying, Resolution::ReadBack, None);
    added.add(1, at(50_000));
    let mut merged = written(Retrying, Resolution::ReadBack, None);
    merged.merge(&mut written(Queued, Resolution::ReadBack, None), at(50_000));
    let mut later = written(Retrying, Resolution::ReadBack, None);
    later.add(1, at(110_000));
    assert_eq!([added, merged, later].map(|push| ms(push.due_at)), [Some(50_000), Some(50_000), Some(160_000)]);
}

#[test]
fn a_push_whose_store_is_removed_ends_even_if_its_outcome_is_unknown() {
    for (state, ends) in [(Sending, true), (Uncertain, true), (Confirmed, false), (Rejected, false)] {
        let mut push = written(state, Resolution::ReadBack, Some(10));
        push.abandon(at(200_000));
        assert_eq!((push.state == Cancelled, push.due_at), (ends, None), "{state:?}");
    }
}
