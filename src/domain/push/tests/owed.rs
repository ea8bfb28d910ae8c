//! Listings that are owed what their platform refused.
use super::*;

#[test]
fn an_increase_that_succeeds_later_does_not_settle_what_was_refused_before() {
    let policy = RetryPolicy::default();
    let owed = Account { shown: Some(10), owed_since: Some(at(0)), ..Account::default() };
    let confirmed = |kind, created_at, has_refused| {
        let mut push = Push { created_at: at(created_at), ..sent(kind, Resolution::ReadBack) };
        let change = push.apply_verdict(&Account { has_refused, ..owed }, &applied(13), ctx(7, &policy));
        assert_eq!(push.state, Confirmed);
        (change.heal.is_some_and(|reason| reason == CAN_BE_WRITTEN_AGAIN), change.settled)
    };
    assert_eq!(confirmed(PushKind::Increase, 5, true), (true, false));
    assert_eq!(confirmed(PushKind::Increase, 5, false), (true, false), "an overwrite was refused");
    assert_eq!(confirmed(PushKind::Increase, 0, true), (true, false), "it waited behind the one that was refused");
    assert_eq!(confirmed(PushKind::Increase, 0, false), (false, true), "it is what was refused, and the seller has retried it");
    assert_eq!(confirmed(PushKind::Overwrite, 5, true), (false, true));
    let mut cancelled = Push { cancel_requested: true, created_at: at(5), ..sent(PushKind::Increase, Resolution::ReadBack) };
    let change = cancelled.apply_verdict(&owed, &applied(13), ctx(7, &policy));
    assert_eq!((change.heal, change.settled), (None, false), "nothing more is sent for what was cancelled");
}
