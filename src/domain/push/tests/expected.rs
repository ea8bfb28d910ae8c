//! How what is known about a push changes what is expected of its listing.
use super::*;

/// An overwrite with 3 that was read first, when its listing showed this.
fn overwrite(shown_before: Option<i64>) -> Push {
    let unseen = shown_before.map(|_| 0);
    Push { base: None, shown_before, unseen, ..sent(PushKind::Overwrite, Resolution::Overwrite) }
}

fn expected(mut push: Push, verdict: &Verdict) -> Option<Expected> {
    let policy = RetryPolicy::default();
    push.apply_verdict(&Account::default(), verdict, ctx(100, &policy)).expected
}

#[test]
fn what_is_confirmed_changes_what_is_expected_as_it_changes_what_is_shown() {
    let increase = || sent(PushKind::Increase, Resolution::ReadBack);
    let accepted = Verdict::Item(ItemResult::Accepted);
    let table = [
        (increase(), applied(13), Some(Expected::Changed(3))),
        (overwrite(Some(8)), applied(3), Some(Expected::Changed(-5))),
        (overwrite(None), applied(3), Some(Expected::Unknown)),
        (overwrite(Some(8)), accepted.clone(), Some(Expected::Unknown)),
        (increase(), accepted, None),
        (increase(), later(), None),
        (overwrite(Some(8)), unknown(), None),
    ];
    for (push, verdict, change) in table {
        assert_eq!(expected(push.clone(), &verdict), change, "{push:?} {verdict:?}");
    }
}

#[test]
fn what_is_given_up_has_perhaps_changed_it() {
    let policy = RetryPolicy::default();
    let given_up = |push: Push| Push { state: Uncertain, in_doubt: true, ..push }.repeat_or_overwrite(ctx(100, &policy)).expected;
    assert_eq!(given_up(sent(PushKind::Increase, Resolution::ReadBack)), Some(Expected::PerhapsChanged(3)));
    assert_eq!(given_up(overwrite(Some(8))), Some(Expected::PerhapsChanged(-5)));
    assert_eq!(given_up(overwrite(None)), Some(Expected::Unknown), "nobody knows what it showed before");
}

#[test]
fn an_overwrite_bound_to_a_number_is_read_again_when_another_one_is_shown() {
    let policy = RetryPolicy::default();
    let stale = Verdict::Item(ItemResult::Stale { shown: 7 });
    for in_doubt in [false, true] {
        let mut push = Push { in_doubt, ..overwrite(Some(8)) };
        let update = push.apply_verdict(&Account::default(), &stale, ctx(100, &policy));
        assert_eq!((push.state, push.shown_before, push.unseen, update.shown), (Retrying, None, None, Some(7)));
        assert_eq!(update.expected.is_some(), in_doubt, "an earlier sending may have been applied");
    }
}
