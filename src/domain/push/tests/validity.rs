//! Whatever happens to a push, its record is one that can be loaded again; and what no transition leaves is refused.
use super::*;
use crate::domain::delivery::Method;
use proptest::prelude::*;

/// One thing that may happen to a push, chosen by `n`; nothing where it cannot happen in this state.
fn happen(push: &mut Push, n: u8, now: i64) {
    let policy = RetryPolicy::default();
    let (account, now) = (Account { shown: Some(10), doubt_until: Some(at(50)), ..Account::default() }, at(now));
    let ctx = VerdictContext {
        now,
        jitter: 0.5,
        policy: &policy,
        items: usize::from(n % 3),
        adds: n.is_multiple_of(2),
        reads_first: n.is_multiple_of(5),
    };
    let rejected = Verdict::Item(ItemResult::Rejected { reason: "gone".into(), next_step: "pair it".into() });
    let refused = Verdict::Refused { reason: "bad".into(), next_step: "fix it".into() };
    let held = Verdict::Held { reason: "401".into(), next_step: "sign in".into() };
    let never = Verdict::Item(ItemResult::NeverApplied { reason: "failed".into() });
    let (accepted, stale) = (Verdict::Item(ItemResult::Accepted), Verdict::Item(ItemResult::Stale { shown: 13 }));
    let verdicts = [applied(13), unknown(), later(), rejected, refused, held, never, accepted, stale];
    let methods = [Method::KeyedAdjust, Method::CompareAndSet, Method::ReadAndAdjust, Method::ReadAndSet, Method::BlindAdjust];
    let resolutions = [Resolution::SameCallAgain, Resolution::Overwrite];
    match (n % 8, push.state()) {
        (0 | 1, state) if state.is_claimable() => {
            let by = if push.is_overwrite() {
                push.aim(13);
                SendBy::Overwrite(resolutions[usize::from(n / 8) % 2])
            } else {
                let method = methods[usize::from(n / 8) % 5];
                if method.reads_first() {
                    push.note_base(10);
                }
                SendBy::Increase(method)
            };
            push.begin(CallId(Uuid::from_u128(u128::from(n))), by, now).unwrap();
        }
        (0 | 1, Uncertain) => drop(push.begin(push.call_id().unwrap(), SendBy::Repeat, now).unwrap()),
        (2, Uncertain) if push.base().is_some() => drop(push.read_back(&account, 10 + i64::from(n / 8 % 2) * 3, ctx)),
        (2, Uncertain) => drop(push.repeat_or_overwrite(ctx)),
        (3, Sending) if n > 200 => push.crashed(now, &policy),
        (3, Sending) if n > 150 => push.give_back(now),
        (0..=4, Sending) => drop(push.apply_verdict(&account, &verdicts[usize::from(n / 8) % 9], ctx)),
        (5, _) if n > 200 => push.cancel("off", now),
        (5, state) if state.is_retryable() => drop(push.retry(None, n > 100, now)),
        (6, _) => push.hold_with_store(now),
        (7, _) => push.release_with_store(now),
        _ => {}
    }
}

proptest! {
    #[test]
    fn every_push_that_transitions_leave_behind_can_be_loaded_again(overwrite: bool, held: bool, steps in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut push = match overwrite {
            true => Push::overwrite(addressee(1), at(0), None, None, held),
            false => Push::increase(addressee(1), 3, at(0), held),
        };
        for (now, step) in (1..).zip(steps) {
            happen(&mut push, step, now);
            prop_assert_eq!(Push::from_record(push.record()), Ok(push.clone()));
        }
    }
}

#[test]
fn what_no_transition_leaves_behind_is_refused() {
    type Spoil = fn(&mut Record);
    let waiting = || Push::increase(addressee(1), 3, at(0), false).into_record();
    let in_flight = || sent(PushKind::Increase, Resolution::ReadBack).into_record();
    let table: [(Record, Spoil, &str); 10] = [
        (waiting(), |push| push.quantity = None, "an increase without a quantity"),
        (waiting(), |push| push.base = Some(1), "a base without the call it was read for"),
        (waiting(), |push| push.in_doubt = true, "in doubt, but not in flight"),
        (waiting(), |push| push.due_at = None, "waiting for its turn, but never due"),
        (in_flight(), |push| (push.call_id, push.base) = (None, None), "in flight without a call"),
        (in_flight(), |push| (push.kind, push.quantity, push.base) = (PushKind::Overwrite, None, None), "in flight without a quantity"),
        (in_flight(), |push| push.kind = PushKind::Overwrite, "an overwrite with a base"),
        (in_flight(), |push| push.resolution = None, "in flight without a way to determine its outcome"),
        (in_flight(), |push| push.base = None, "to be decided by a read, but without a base"),
        (in_flight(), |push| push.state = Uncertain, "uncertain, but not in doubt"),
    ];
    for (mut record, spoil, what) in table {
        spoil(&mut record);
        assert_eq!(Push::from_record(record).map_err(|invalid| invalid.what), Err(what));
    }
    let mut never_due = Record { state: Uncertain, in_doubt: true, ..in_flight() };
    never_due.due_at = None;
    assert_eq!(Push::from_record(never_due).map_err(|invalid| invalid.what), Err("uncertain, but never due"));
}
