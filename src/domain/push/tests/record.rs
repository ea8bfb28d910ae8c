//! What a push reports is what its record holds.
use super::*;

#[test]
fn a_push_reports_where_it_goes_and_what_is_known_of_it() {
    let to = Addressee { extra: Some("{}".to_owned()), ..addressee(1) };
    let push = Push::overwrite(to, at(1), None, Some("healed"), false);
    assert_eq!((push.external_id(), push.extra(), push.record().cause.as_deref()), ("a", Some("{}"), Some("healed")));
    assert_eq!((push.in_doubt(), push.cancel_requested(), push.is_contained()), (false, false, false));
    let known = Push { in_doubt: true, cancel_requested: true, contained: true, ..push };
    assert_eq!((known.in_doubt(), known.cancel_requested(), known.is_contained()), (true, true, true));
}

#[test]
fn an_overwrite_says_why_it_was_made_and_otherwise_what_it_waits_for() {
    let reason = |why, held| Push::overwrite(addressee(1), at(1), None, why, held).record().reason;
    assert_eq!(reason(Some("healed"), false).as_deref(), Some("healed"));
    assert_eq!(reason(Some("healed"), true).as_deref(), Some("healed"));
    assert_eq!((reason(None, true).as_deref(), reason(None, false)), (Some(WAITS_FOR_STORE), None));
}

#[test]
fn the_platforms_answer_is_kept_until_the_next_one() {
    let mut push = sent(PushKind::Increase, Resolution::ReadBack);
    push.note_answer(Some("502 Bad Gateway"));
    assert_eq!(push.record().raw_answer.as_deref(), Some("502 Bad Gateway"));
    push.note_answer(None);
    assert_eq!(push.record().raw_answer, None);
}

#[test]
fn a_read_contradicts_the_account_only_in_doubt_and_with_another_number() {
    let account = |doubt_until| Account { shown: Some(10), doubt_until, ..Account::default() };
    let contradicts = |account: Account, shown| account.contradiction(shown, at(5)).is_some();
    assert!(contradicts(account(Some(at(6))), 12));
    assert!(!contradicts(account(Some(at(6))), 10), "the same number");
    assert!(!contradicts(account(Some(at(5))), 12), "the doubt is over");
    assert!(!contradicts(account(None), 12), "there is no doubt");
    assert!(!contradicts(Account { shown: None, doubt_until: Some(at(6)), ..Account::default() }, 12), "nothing is known to compare with");
}

#[test]
fn a_batch_limit_is_at_least_one_and_none_unless_a_batch_was_refused() {
    let limit = |batch_limit| Push { batch_limit, ..sent(PushKind::Increase, Resolution::ReadBack) }.batch_limit();
    assert_eq!([limit(None), limit(Some(7)), limit(Some(0))], [None, Some(7), Some(1)]);
}
