//! Falls: what takes units off, and what an unknown outcome of that leaves open.
use super::*;
use crate::domain::delivery::{Change, Method};

/// A fall by 3, sent when its listing showed 10.
fn fall(resolution: Resolution) -> Push {
    Push { quantity: Some(-3), ..sent(PushKind::Increase, resolution) }
}

#[test]
fn a_fall_takes_no_more_than_is_shown_where_that_was_read() {
    let change = |method, base: Option<i64>, units| {
        let mut push = Push { quantity: Some(units), state: Queued, call_id: None, base: None, ..fall(Resolution::ReadBack) };
        base.into_iter().for_each(|base| push.note_base(base));
        push.begin(CallId(Uuid::nil()), SendBy::Increase(method), at(1)).unwrap()
    };
    assert_eq!(change(Method::KeyedAdjust, None, -5), Change::Add(-5));
    assert_eq!(change(Method::ReadAndAdjust, Some(10), -5), Change::Add(-5));
    assert_eq!(change(Method::ReadAndAdjust, Some(3), -5), Change::Add(-3));
    assert_eq!(change(Method::CompareAndSet, Some(3), -5), Change::SetIf { expected: 3, to: 0 });
    assert_eq!(change(Method::ReadAndSet, Some(3), -5), Change::Set(0));
    assert_eq!(change(Method::ReadAndSet, Some(-2), 5), Change::Set(3), "an increase begins below 0");
}

#[test]
fn what_a_read_says_about_a_fall_whose_answer_was_lost() {
    let policy = RetryPolicy::default();
    let account = Account { shown: Some(10), ..Account::default() };
    let after = |shown: i64| {
        let mut push = fall(Resolution::ReadBack);
        push.apply_verdict(&account, &unknown(), ctx(0, &policy));
        let update = push.read_back(&account, shown, ctx(10_000, &policy));
        (push.state, update.heal.is_some(), update.expected)
    };
    assert_eq!(after(7), (Confirmed, false, Some(Expected::Changed(-3))));
    assert_eq!(after(5), (Confirmed, false, Some(Expected::Changed(-3))), "two were sold since");
    assert_eq!(after(10), (Retrying, false, None), "it did not arrive");
    assert_eq!(after(8), (Retrying, false, None), "it did not arrive, and two were sold since");
    assert_eq!(after(12), (Superseded, true, Some(Expected::PerhapsChanged(-3))), "somebody has put units back, before it or after");
    let doubted = Account { doubt_until: Some(at(20_000)), ..account };
    let mut push = Push { state: Uncertain, in_doubt: true, ..fall(Resolution::ReadBack) };
    assert!(push.read_back(&doubted, 5, ctx(10_000, &policy)).heal.is_some(), "an earlier request may have arrived late");
}

#[test]
fn a_lost_fall_that_arrives_after_its_repetition_is_distinguished_from_a_sale_by_its_number() {
    let policy = RetryPolicy::default();
    let account = Account { shown: Some(10), ..Account::default() };
    let mut push = fall(Resolution::ReadBack);
    push.apply_verdict(&account, &unknown(), ctx(0, &policy));
    let update = push.read_back(&account, 10, ctx(10_000, &policy));
    assert_eq!((push.state, update.late), (Retrying, Some(4)), "10 less 3 and 3");
    let late = LatestNumbers::default().with(4);
    let account = Account { shown: Some(7), doubt_until: update.doubt_until, late, ..account };
    assert_eq!([7, 6, 5, 4].map(|shown| account.contradiction(shown, at(20_000)).is_some()), [false, false, false, true]);
}

#[test]
fn a_fall_that_is_applied_later_is_waited_for_although_the_store_sells() {
    let policy = RetryPolicy::default();
    let account = Account { shown: Some(10), ..Account::default() };
    let mut push = fall(Resolution::ReadBack);
    push.apply_verdict(&account, &Verdict::Item(ItemResult::Accepted), ctx(0, &policy));
    push.read_back(&account, 9, ctx(10_000, &policy));
    assert_eq!(push.state, Uncertain, "one was sold; nothing was taken off yet");
    push.read_back(&account, 6, ctx(60_000, &policy));
    assert_eq!(push.state, Confirmed);
}

#[test]
fn a_comparing_store_that_shows_another_number_after_a_lost_answer_says_whether_the_fall_was_applied() {
    let policy = RetryPolicy::default();
    let account = Account { shown: Some(10), ..Account::default() };
    let after = |shown: i64| {
        let mut push = Push { in_doubt: true, ..fall(Resolution::SameCallAgain) };
        let update = push.apply_verdict(&account, &Verdict::Item(ItemResult::Stale { shown }), ctx(10_000, &policy));
        (push.state, update.heal.is_some())
    };
    assert_eq!([7, 6, 9, 12].map(after), [(Confirmed, false), (Confirmed, false), (Retrying, false), (Superseded, true)]);
}

#[test]
fn increases_and_falls_that_wait_are_evened_out() {
    let waiting = |quantity| Push { quantity: Some(quantity), state: Queued, call_id: None, base: None, ..fall(Resolution::ReadBack) };
    let mut push = waiting(5);
    push.add(-7, at(2));
    assert_eq!((push.state, push.quantity), (Queued, Some(-2)));
    push.add(2, at(3));
    assert_eq!((push.state, push.quantity, push.is_mergeable()), (Superseded, Some(0), false), "nothing is left to send");
}

#[test]
fn where_nothing_is_shown_nothing_is_taken_off() {
    let policy = RetryPolicy::default();
    let mut push = Push { state: Queued, call_id: None, base: None, ..fall(Resolution::ReadBack) };
    for (shown, nothing) in [(1, false), (0, true), (-4, true)] {
        push.note_base(shown);
        assert_eq!(push.takes_nothing(), nothing, "{shown}");
    }
    let update = push.confirm_unsent(&Account::default(), ctx(5, &policy));
    assert_eq!((push.state, update.shown, update.expected), (Confirmed, Some(-4), Some(Expected::Changed(0))));
    Push::from_record(push.into_record()).unwrap();
}
