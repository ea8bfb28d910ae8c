//! Uncertain pushes that a read decides, or that nothing can decide.
use super::*;

#[test]
fn a_refused_read_is_repeated_in_smaller_batches_until_a_listing_is_alone() {
    let policy = RetryPolicy::default();
    let mut push = Push { state: Uncertain, in_doubt: true, ..sent(PushKind::Increase, Resolution::ReadBack) };
    for (items, halved) in [(5, 3), (2, 1)] {
        let change = push.read_back_refused("400", VerdictContext { items, ..ctx(7, &policy) });
        assert_eq!((push.state, push.batch_limit, ms(push.due_at), change), (Uncertain, Some(halved), Some(7), ListingUpdate::default()));
    }
    let change = push.read_back_refused("400", VerdictContext { items: 1, ..ctx(8, &policy) });
    assert_eq!((push.state, change.heal.is_some()), (Superseded, true));
}

#[test]
fn without_a_way_to_determine_the_outcome_an_overwrite_is_repeated_and_an_increase_gives_way() {
    let policy = RetryPolicy::default();
    let settled = |kind| {
        let mut push = Push { state: Uncertain, in_doubt: true, ..sent(kind, Resolution::Overwrite) };
        let change = push.repeat_or_overwrite(ctx(9, &policy));
        (push.state, push.in_doubt, change.heal.is_some(), ms(change.doubt_until))
    };
    assert_eq!(settled(PushKind::Overwrite), (Retrying, false, false, Some(9 + DOUBT_FOR_MS)));
    assert_eq!(settled(PushKind::Increase), (Superseded, false, true, Some(9 + DOUBT_FOR_MS)));
}

#[test]
fn read_back_decides_or_gives_way_to_an_overwrite() {
    let policy = RetryPolicy::default();
    let after = |shown: i64| {
        let mut push = sent(PushKind::Increase, Resolution::ReadBack);
        push.apply_verdict(&Account::default(), &unknown(), ctx(0, &policy));
        assert_eq!(ms(push.due_at), Some(10_000), "not before the settle time");
        let change = push.read_back(&Account::default(), shown, ctx(10_000, &policy));
        (push.state, change.heal.is_some(), change.doubt_until.is_some())
    };
    assert_eq!(after(13), (Confirmed, false, false));
    assert_eq!(after(10), (Retrying, false, true));
    assert_eq!(after(12), (Superseded, true, true), "it may still be on its way");
}

#[test]
fn an_increase_that_is_applied_later_is_confirmed_when_it_shows() {
    let policy = RetryPolicy::default();
    let mut push = sent(PushKind::Increase, Resolution::ReadBack);
    push.apply_verdict(&Account::default(), &Verdict::Item(ItemResult::Accepted), ctx(0, &policy));
    assert_eq!((push.state, ms(push.due_at)), (Uncertain, Some(10_000)));
    let change = push.read_back(&Account::default(), 10, ctx(10_000, &policy));
    assert_eq!((push.state, change), (Uncertain, ListingUpdate::default()), "not yet: it is not sent again");
    let mut late = push.clone();
    push.read_back(&Account::default(), 13, ctx(60_000, &policy));
    assert_eq!(push.state, Confirmed);
    let change = late.read_back(&Account::default(), 10, ctx(SHOWN_WITHIN_MS, &policy));
    assert_eq!((late.state, change.heal.is_some()), (Superseded, true), "finally the target is sent");
}

#[test]
fn pauses_are_counted_from_now() {
    let policy = RetryPolicy::default();
    let mut doubted = Push { in_doubt: true, ..sent(PushKind::Increase, Resolution::SameCallAgain) };
    let held = Verdict::Held { reason: "401".into(), next_step: String::new() };
    doubted.apply_verdict(&Account::default(), &held, ctx(7_000, &policy));
    assert_eq!((doubted.state, ms(doubted.due_at)), (Uncertain, Some(7_500)));
    let mut awaited = Push { state: Uncertain, failing_since: Some(at(1_000)), ..sent(PushKind::Increase, Resolution::AwaitShown) };
    awaited.read_back(&Account::default(), 10, ctx(SHOWN_WITHIN_MS + 999, &policy));
    assert_eq!((awaited.state, awaited.attempts, ms(awaited.due_at)), (Uncertain, 2, Some(SHOWN_WITHIN_MS + 10_999)));
    awaited.read_back(&Account::default(), 10, ctx(SHOWN_WITHIN_MS + 1_000, &policy));
    assert_eq!(awaited.state, Superseded);
}

#[test]
fn a_read_that_a_cache_may_have_answered_decides_nothing() {
    let policy = RetryPolicy::default();
    // 15 was there before it was overwritten with 10; then 3 were added, with an unknown outcome.
    let before = LatestNumbers::default().with(15).with(13);
    let account = Account { shown: Some(10), before, changed_at: Some(at(0)), ..Account::default() };
    let mut push = Push { state: Uncertain, in_doubt: true, ..sent(PushKind::Increase, Resolution::ReadBack) };
    let change = push.read_back(&account, 13, ctx(10_000, &policy));
    assert_eq!((push.state, ms(push.due_at), change), (Uncertain, Some(30_000), ListingUpdate::default()), "it is asked again");
    let mut push = Push { state: Uncertain, in_doubt: true, quantity: Some(20), ..sent(PushKind::Overwrite, Resolution::Overwrite) };
    let change = push.read_back(&account, 15, ctx(10_000, &policy));
    assert_eq!((push.state, change.shown), (Retrying, None), "15 is not what is left of 20 after sales");
}

#[test]
fn what_keeps_failing_is_repeated_ever_more_rarely() {
    let policy = RetryPolicy::default();
    let pause_after = |attempts: i32, stale: bool| {
        let mut push = if stale {
            let mut push = Push { attempts, ..sent(PushKind::Increase, Resolution::SameCallAgain) };
            push.apply_verdict(&Account::default(), &Verdict::Item(ItemResult::Stale { shown: 7 }), ctx(0, &policy));
            push
        } else {
            let mut push = Push { state: Uncertain, in_doubt: true, attempts, ..sent(PushKind::Overwrite, Resolution::Overwrite) };
            push.repeat_or_overwrite(ctx(0, &policy));
            push
        };
        ms(push.due_at.take()).unwrap()
    };
    assert_eq!([1, 3, 4, 6].map(|attempts| pause_after(attempts, true)), [100, 100, 500, 2_000]);
    assert_eq!([1, 3, 4, 6].map(|attempts| pause_after(attempts, false)), [0, 0, 500, 2_000]);
}

#[test]
fn less_than_what_was_sent_means_a_sale_unless_an_earlier_request_may_have_come_late() {
    let policy = RetryPolicy::default();
    let account = Account { shown: Some(7), ..Account::default() };
    let in_doubt = Account { doubt_until: Some(at(DAY_MS)), late: LatestNumbers::default().with(10), ..account };
    let unanswered = |kind, resolution| {
        let mut push = Push { quantity: Some(12), base: (kind == PushKind::Increase).then_some(7), ..sent(kind, resolution) };
        push.state = Uncertain;
        push
    };
    // 9 is 10 and a sale; 11 is nothing that anything explains for certain.
    for shown in [9, 10, 11] {
        for (account, overwrite, increase) in [(account, Confirmed, Confirmed), (in_doubt, Retrying, Superseded)] {
            let mut push = unanswered(PushKind::Overwrite, Resolution::ReadBack);
            push.read_back(&account, shown, ctx(10_000, &policy));
            assert_eq!(push.state, overwrite, "{shown} {account:?}");
            let mut push = unanswered(PushKind::Increase, Resolution::AwaitShown);
            push.read_back(&account, shown, ctx(10_000, &policy));
            assert_eq!(push.state, increase, "{shown} {account:?}");
        }
    }
    for (shown, state) in [(9, Confirmed), (10, Retrying)] {
        let mut push = unanswered(PushKind::Overwrite, Resolution::ReadBack);
        push.read_back(&in_doubt, shown, ctx(DAY_MS, &policy));
        assert_eq!(push.state, state, "nothing comes that late, but what has come may still be there: {shown}");
    }
}
