//! What an answer or a read means for the listing of a push, beside what becomes of the push.
use super::*;

/// What a verdict on a fresh push means for its listing, if the call had a single item.
fn update(push: Push, account: Account, verdict: &Verdict, adds: bool, now: i64) -> (PushState, ListingUpdate) {
    let (mut push, policy) = (push, RetryPolicy::default());
    let update = push.apply_verdict(&account, verdict, VerdictContext { items: 1, adds, reads_first: !adds, ..ctx(now, &policy) });
    (push.state, update)
}

fn overwrite() -> Push {
    Push { base: None, ..sent(PushKind::Overwrite, Resolution::Overwrite) }
}

#[test]
fn a_listing_that_was_refused_is_owed_and_looked_at_ever_more_rarely() {
    let rejected = Verdict::Item(ItemResult::Rejected { reason: "gone".into(), next_step: "pair it again".into() });
    let refused = Verdict::Refused { reason: "bad".into(), next_step: "mend".into() };
    let now = 7_200_000;
    for verdict in [rejected, refused] {
        for (owed_since, pause) in [(None, 600_000), (Some(at(0)), 3_600_000)] {
            let account = Account { owed_since, ..Account::default() };
            let (state, update) = update(sent(PushKind::Increase, Resolution::ReadBack), account, &verdict, true, now);
            assert_eq!((state, update.owed, ms(update.look_at)), (Rejected, true, Some(now + pause)), "{verdict:?}");
            assert!(!update.settled);
        }
    }
}

#[test]
fn a_listing_is_owed_nothing_once_a_push_is_confirmed() {
    let settled = |owed_since| {
        let account = Account { owed_since, ..Account::default() };
        update(sent(PushKind::Increase, Resolution::ReadBack), account, &applied(13), true, 5).1.settled
    };
    assert_eq!((settled(Some(at(0))), settled(None)), (true, false));
}

#[test]
fn where_a_store_is_read_first_the_number_before_a_change_is_remembered_because_a_cache_may_answer_it() {
    let account = Account { shown: Some(8), ..Account::default() };
    let before = |push: Push, keyed: bool| update(push, account, &applied(13), keyed, 5).1.before;
    let increase = || sent(PushKind::Increase, Resolution::ReadBack);
    assert_eq!(
        (before(increase(), false), before(overwrite(), false)),
        [10, 8].map(|number| Some(LatestNumbers::default().with(number))).into()
    );
    let keyed = Push { base: None, ..increase() };
    assert_eq!((before(keyed, true), before(overwrite(), true)), (None, None));
}

#[test]
fn an_answer_below_what_was_expected_is_a_sale_unless_a_late_request_left_exactly_that() {
    let account = |late| {
        let late = LatestNumbers::default().with(late);
        Account { shown: Some(20), doubt_until: Some(at(101)), late, ..Account::default() }
    };
    let heals = |push: Push, late, shown| update(push, account(late), &applied(shown), true, 100).1.heal.is_some();
    let increase = || Push { base: Some(20), ..sent(PushKind::Increase, Resolution::ReadBack) };
    for (late, shown, expected) in [(15, 19, false), (15, 18, true), (15, 23, false), (15, 24, true), (20, 23, false)] {
        assert_eq!(heals(increase(), late, shown), expected, "20 + 3 shows {shown}, late {late}");
    }
    for (late, shown, expected) in [(2, 3, false), (2, 2, true), (2, 1, false), (2, 4, true), (3, 3, false)] {
        assert_eq!(heals(overwrite(), late, shown), expected, "set to 3, shows {shown}, late {late}");
    }
}

#[test]
fn a_request_that_is_given_up_is_watched_for_and_its_number_remembered_where_it_would_set_it() {
    let policy = RetryPolicy::default();
    for (kind, adds, late) in [
        (PushKind::Overwrite, true, Some(3)),
        (PushKind::Overwrite, false, Some(3)),
        (PushKind::Increase, false, Some(13)),
        (PushKind::Increase, true, None),
    ] {
        let base = (kind == PushKind::Increase).then_some(10);
        let mut push = Push { state: Uncertain, in_doubt: true, base, ..sent(kind, Resolution::Overwrite) };
        let update = push.repeat_or_overwrite(VerdictContext { adds, ..ctx(9, &policy) });
        assert_eq!(update.late, late, "{kind:?}, adds: {adds}");
        assert_eq!((ms(update.doubt_until), ms(update.look_at)), (Some(9 + DOUBT_FOR_MS), Some(9 + 600_000)));
    }
}

#[test]
fn until_an_accepted_overwrite_shows_the_former_number_is_expected_too_and_no_longer_doubt_is_cut_short() {
    let account = |doubt_until| Account { shown: Some(8), doubt_until, ..Account::default() };
    let accepted = |push: Push, doubt_until| {
        let (state, update) = update(push, account(doubt_until), &Verdict::Item(ItemResult::Accepted), true, 0);
        assert_eq!(state, Confirmed);
        (update.late, ms(update.doubt_until))
    };
    let increase = Push { base: None, ..sent(PushKind::Increase, Resolution::Overwrite) };
    assert_eq!(accepted(overwrite(), None), (Some(8), Some(SHOWN_WITHIN_MS)));
    assert_eq!(accepted(overwrite(), Some(at(DOUBT_FOR_MS))), (Some(8), Some(DOUBT_FOR_MS)));
    assert_eq!(accepted(increase, None), (None, Some(SHOWN_WITHIN_MS)));
}

#[test]
fn calls_become_smaller_when_they_are_not_answered_unless_the_very_same_call_is_repeated() {
    let policy = RetryPolicy::default();
    let limit = |resolution, items| {
        let mut push = sent(PushKind::Increase, resolution);
        push.apply_verdict(&Account::default(), &unknown(), VerdictContext { items, ..ctx(0, &policy) });
        push.batch_limit
    };
    assert_eq!([1, 2, 3, 4].map(|items| limit(Resolution::ReadBack, items)), [None, Some(1), Some(2), Some(2)]);
    assert_eq!([1, 4].map(|items| limit(Resolution::SameCallAgain, items)), [None, None]);
}

#[test]
fn a_listing_is_overwritten_if_somebody_else_changed_it_while_an_earlier_sending_was_in_doubt() {
    let doubted = Push { in_doubt: true, ..sent(PushKind::Increase, Resolution::SameCallAgain) };
    let stale = |push: Push, shown| {
        let (state, update) = update(push, Account::default(), &Verdict::Item(ItemResult::Stale { shown }), true, 5);
        (state, update.heal.is_some())
    };
    assert_eq!(stale(doubted.clone(), 9), (Superseded, true));
    assert_eq!(stale(doubted, 13), (Confirmed, false));
    assert_eq!(stale(sent(PushKind::Increase, Resolution::SameCallAgain), 9), (Retrying, false));
}

#[test]
fn once_a_store_has_said_what_it_shows_a_read_of_the_number_from_before_may_be_cached() {
    let believed = Account { shown: Some(10), ..Account::default() };
    let (_, change) =
        update(sent(PushKind::Increase, Resolution::SameCallAgain), believed, &Verdict::Item(ItemResult::Stale { shown: 8 }), true, 5);
    assert_eq!(change.shown, Some(8), "2 were sold");
    let account = Account { shown: change.shown, before: change.before.unwrap(), changed_at: Some(at(5)), ..Account::default() };
    assert!(account.may_be_cached(10, at(6)) && !account.may_be_cached(8, at(6)));
}

#[test]
fn what_a_listing_showed_before_says_nothing_about_an_increase_whose_base_a_cache_had_kept() {
    // It showed 13 before: a cache answered 10, so the sum of base and increase is what was there all along.
    let believed = |shown| Account { shown: Some(shown), ..Account::default() };
    let doubted = Push { in_doubt: true, ..sent(PushKind::Increase, Resolution::SameCallAgain) };
    let repeated = |account| {
        let (state, update) = update(doubted.clone(), account, &Verdict::Item(ItemResult::Stale { shown: 13 }), true, 5);
        (state, update.heal.is_some())
    };
    assert_eq!((repeated(believed(13)), repeated(believed(10))), ((Superseded, true), (Confirmed, false)));
    let read_back = |account| {
        let mut push = Push { state: Uncertain, in_doubt: true, base: Some(10), ..sent(PushKind::Increase, Resolution::ReadBack) };
        let update = push.read_back(&account, 13, ctx(10_000, &RetryPolicy::default()));
        (push.state, update.heal.is_some())
    };
    assert_eq!((read_back(believed(13)), read_back(believed(10))), ((Superseded, true), (Confirmed, false)));
}

#[test]
fn what_has_failed_for_a_day_is_given_up_and_marked_even_if_it_is_known_not_to_have_arrived() {
    let policy = RetryPolicy::default();
    let doubted =
        |kind, base| Push { state: Uncertain, in_doubt: true, base, failing_since: Some(at(0)), ..sent(kind, Resolution::ReadBack) };
    for (now, expected) in [(DAY_MS - 1, (Retrying, false)), (DAY_MS, (Rejected, true))] {
        let mut increase = doubted(PushKind::Increase, Some(10));
        let update = increase.read_back(&Account::default(), 10, ctx(now, &policy));
        assert_eq!((increase.state, update.mark), expected);
        let mut overwrite = doubted(PushKind::Overwrite, None);
        let update = overwrite.repeat_or_overwrite(ctx(now, &policy));
        assert_eq!((overwrite.state, update.mark), expected);
    }
}

#[test]
fn an_uncertain_overwrite_was_applied_if_its_listing_shows_it_or_what_sales_left_of_it() {
    let policy = RetryPolicy::default();
    let decided = |before, shown| {
        let mut push = Push { quantity: Some(9), state: Uncertain, in_doubt: true, ..overwrite() };
        let account = Account { shown: before, ..Account::default() };
        let update = push.read_back(&account, shown, ctx(10_000, &policy));
        assert_eq!(update.shown, Some(shown));
        push.state
    };
    for (shown, state) in [(10, Retrying), (9, Confirmed), (8, Confirmed), (6, Confirmed), (5, Retrying), (4, Retrying)] {
        assert_eq!(decided(Some(5), shown), state, "5, then set to 9, shows {shown}");
    }
    assert_eq!((decided(None, 9), decided(None, 8)), (Confirmed, Retrying), "nothing is known to compare with");
}

#[test]
fn an_accepted_increase_was_applied_if_its_listing_shows_it_or_what_sales_left_of_it() {
    let policy = RetryPolicy::default();
    let decided = |resolution, shown| {
        let mut push = Push { state: Uncertain, in_doubt: true, ..sent(PushKind::Increase, resolution) };
        push.read_back(&Account::default(), shown, ctx(10_000, &policy));
        push.state
    };
    let known = [(9, Superseded), (10, Uncertain), (11, Confirmed), (12, Confirmed), (13, Confirmed), (14, Superseded)];
    for (shown, state) in known {
        assert_eq!(decided(Resolution::AwaitShown, shown), state, "10 + 3 was accepted, shows {shown}");
    }
    for (shown, state) in [(9, Superseded), (10, Retrying), (11, Superseded), (13, Confirmed), (14, Superseded)] {
        assert_eq!(decided(Resolution::ReadBack, shown), state, "whether 10 + 3 arrived is not known, shows {shown}");
    }
}
