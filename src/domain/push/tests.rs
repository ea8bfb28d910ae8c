//! What becomes of a push: each verdict of a platform, each read, each crash and each change of mind, case by case.
use super::*;
use crate::domain::CallId;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use crate::domain::retry::RetryPolicy;
use PushState::{Cancelled, Confirmed, Held, Queued, Rejected, Retrying, Sending, Superseded, Uncertain};
use std::time::Duration;
use uuid::Uuid;

fn addressee(listing: u128) -> Addressee {
    let (listing_id, store_id) = (ListingId(Uuid::from_u128(listing)), StoreId(Uuid::nil()));
    Addressee { store_id, listing_id, sku: "A".to_owned(), external_id: "a".to_owned(), extra: None }
}

fn sent(kind: PushKind, resolution: Resolution) -> Push {
    Push {
        quantity: Some(3),
        state: Sending,
        attempts: 1,
        due_at: None,
        call_id: Some(CallId(Uuid::nil())),
        base: Some(10),
        resolution: Some(resolution),
        ..Push::new(kind, addressee(1), at(0), false)
    }
}
/// Milliseconds of what the policy knows as durations.
const DAY_MS: i64 = 86_400_000;
const DOUBT_FOR_MS: i64 = 86_400_000;
const SHOWN_WITHIN_MS: i64 = 1_800_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}
fn ms(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millis)
}
fn ctx(now: i64, policy: &RetryPolicy) -> VerdictContext<'_> {
    VerdictContext { now: at(now), jitter: 0.5, policy, items: 4 }
}
fn unknown() -> Verdict {
    Verdict::Item(ItemResult::Unknown { reason: "timeout".into() })
}
fn applied(shown: i64) -> Verdict {
    Verdict::Item(ItemResult::Applied { shown: Some(shown) })
}
fn later() -> Verdict {
    Verdict::TryAgain { reason: "429".into(), after: None }
}

#[test]
fn a_state_has_one_word_and_waits_or_is_in_flight_or_neither() {
    let known = [
        (Queued, "queued", true, false),
        (Sending, "sending", false, true),
        (Confirmed, "confirmed", false, false),
        (Retrying, "retrying", true, false),
        (Uncertain, "uncertain", false, true),
        (Rejected, "rejected", false, false),
        (Held, "held", true, false),
        (Superseded, "superseded", false, false),
        (Cancelled, "cancelled", false, false),
    ];
    for (state, word, waits, in_flight) in known {
        assert_eq!(state.as_str(), word);
        assert_eq!((state.is_waiting(), state.is_in_flight()), (waits, in_flight), "{word}");
    }
}

#[test]
fn an_answer_with_another_number_of_items_says_nothing_of_any() {
    let (one, two) = (ItemResult::Accepted, ItemResult::Applied { shown: None });
    let answered = Outcome::Answered(vec![one.clone(), two.clone()]);
    assert_eq!(verdicts(&answered, 2), [Verdict::Item(one), Verdict::Item(two)]);
    for items in [1, 3] {
        let unknown = verdicts(&answered, items);
        assert_eq!(unknown.len(), items);
        assert!(unknown.iter().all(|verdict| matches!(verdict, Verdict::Item(ItemResult::Unknown { .. }))), "{unknown:?}");
    }
}

#[test]
fn only_increases_that_wait_and_are_not_called_off_are_merged() {
    let push = |kind, state, cancel_requested| Push { state, cancel_requested, ..sent(kind, Resolution::ReadBack) };
    assert!(push(PushKind::Increase, Queued, false).is_mergeable());
    assert!(!push(PushKind::Increase, Queued, true).is_mergeable());
    assert!(!push(PushKind::Increase, Sending, false).is_mergeable());
    assert!(!push(PushKind::Overwrite, Queued, false).is_mergeable());
    let mut first = push(PushKind::Increase, Queued, false);
    first.merge(&mut Push { quantity: Some(4), ..first.clone() }, at(9));
    assert_eq!((first.quantity, first.updated_at), (Some(7), at(9)));
}

#[test]
fn a_claim_that_is_given_back_is_as_before_it() {
    let mut fresh = sent(PushKind::Increase, Resolution::ReadBack);
    fresh.give_back(at(7));
    assert_eq!((fresh.state, ms(fresh.due_at), fresh.call_id, fresh.base), (Queued, Some(7), None, None));
    let mut called_off = Push { cancel_requested: true, ..sent(PushKind::Increase, Resolution::ReadBack) };
    called_off.give_back(at(7));
    assert_eq!((called_off.state, ms(called_off.due_at)), (Cancelled, None), "what was called off is not sent any more");
    let mut doubted = Push { in_doubt: true, ..sent(PushKind::Increase, Resolution::SameCallAgain) };
    doubted.give_back(at(7));
    assert_eq!((doubted.state, ms(doubted.due_at), doubted.in_doubt), (Uncertain, Some(7), true));
    assert_eq!((doubted.call_id.is_some(), doubted.base), (true, Some(10)), "the very same call goes out again");
}

#[test]
fn the_connectors_own_field_is_found_by_its_name() {
    let push = Push { extra: Some(r#"{"location_id":"7"}"#.into()), ..sent(PushKind::Increase, Resolution::ReadBack) };
    assert_eq!((push.extra_field("location_id"), push.extra_field("other")), ("7".to_owned(), String::new()));
}

#[test]
fn what_failed_for_a_day_is_left_undecided_only_where_something_is_in_doubt() {
    let policy = RetryPolicy::default();
    let day = DAY_MS;
    for (in_doubt, since, expected) in [(true, 0, Superseded), (true, 1, Uncertain), (false, 0, Uncertain)] {
        let failing = Push { in_doubt, failing_since: Some(at(since)), ..sent(PushKind::Increase, Resolution::SameCallAgain) };
        let mut push = failing.clone();
        push.apply_verdict(&Account::default(), &unknown(), ctx(day, &policy));
        assert_eq!(push.state, expected, "in doubt: {in_doubt}, since {since}");
    }
}

#[test]
fn what_is_rejected_while_an_earlier_request_may_have_arrived_is_overwritten_and_never_retried() {
    let policy = RetryPolicy::default();
    let rejected = Verdict::Item(ItemResult::Rejected { reason: "gone".into(), next_step: "pair it again".into() });
    let becomes = |kind, in_doubt| {
        let mut push = Push { in_doubt, ..sent(kind, Resolution::SameCallAgain) };
        let change = push.apply_verdict(&Account::default(), &rejected, ctx(0, &policy));
        (push.state, change.heal.is_some(), change.mark)
    };
    assert_eq!(becomes(PushKind::Increase, true), (Superseded, true, false));
    assert_eq!(becomes(PushKind::Increase, false), (Rejected, false, false));
    assert_eq!(becomes(PushKind::Overwrite, true), (Rejected, false, true));
}

#[test]
fn a_listing_settles_when_a_push_ends_while_an_earlier_request_may_still_arrive() {
    let policy = RetryPolicy::default();
    let settles_at = |in_doubt, base, verdict: &Verdict| {
        let mut push = Push { in_doubt, base, ..sent(PushKind::Increase, Resolution::SameCallAgain) };
        ms(push.apply_verdict(&Account::default(), verdict, ctx(1_000, &policy)).settles_at)
    };
    let stale = Verdict::Item(ItemResult::Stale { shown: 9 });
    assert_eq!(settles_at(true, Some(10), &applied(13)), Some(11_000), "one that compares may find the quantity of before again");
    assert_eq!(settles_at(true, Some(10), &stale), Some(11_000));
    assert_eq!(settles_at(true, None, &applied(13)), None, "the key was honoured");
    assert_eq!(settles_at(true, Some(10), &unknown()), None, "it is still on its way");
    assert_eq!(settles_at(true, None, &Verdict::Item(ItemResult::NeverApplied { reason: "failed".into() })), None);
    for verdict in [applied(13), stale] {
        assert_eq!(settles_at(false, Some(10), &verdict), None, "nothing else was sent");
    }
}

#[test]
fn what_an_answer_or_a_read_shows_is_noted_whatever_becomes_of_the_push() {
    let policy = RetryPolicy::default();
    let stale = |in_doubt| {
        let mut push = Push { in_doubt, ..sent(PushKind::Increase, Resolution::SameCallAgain) };
        push.apply_verdict(&Account::default(), &Verdict::Item(ItemResult::Stale { shown: 9 }), ctx(0, &policy)).shown
    };
    assert_eq!((stale(false), stale(true)), (Some(9), Some(9)));
    let read = |shown| sent(PushKind::Increase, Resolution::ReadBack).read_back(&Account::default(), shown, ctx(5, &policy));
    assert_eq!((read(10).shown, ms(read(10).doubt_until)), (Some(10), Some(5 + DOUBT_FOR_MS)));
    assert_eq!((read(12).shown, ms(read(12).doubt_until)), (Some(12), Some(5 + DOUBT_FOR_MS)), "it may arrive yet");
    assert_eq!((at(0) + DOUBT_FOR, at(0) + SHOWN_WITHIN), (at(DOUBT_FOR_MS), at(SHOWN_WITHIN_MS)));
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
fn a_read_that_is_refused_is_asked_in_smaller_pages_until_a_listing_stands_alone() {
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
fn where_nothing_can_be_asked_an_overwrite_is_repeated_and_an_increase_gives_way() {
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
fn an_unknown_outcome_is_found_out_by_what_the_store_can_do_now() {
    let all = Abilities { adjust: true, idempotency: true, compare_and_set: true, read: true, max_items: 1 };
    let found = |kind, resolution, abilities: Abilities| sent(kind, resolution).resolution_at(&abilities, at(0));
    assert_eq!(found(PushKind::Overwrite, Resolution::SameCallAgain, all), Resolution::SameCallAgain);
    assert_eq!(found(PushKind::Overwrite, Resolution::SameCallAgain, Abilities { idempotency: false, ..all }), Resolution::Overwrite);
    assert_eq!(found(PushKind::Increase, Resolution::ReadBack, all), Resolution::ReadBack);
    assert_eq!(found(PushKind::Increase, Resolution::ReadBack, Abilities { read: false, ..all }), Resolution::Overwrite);
}

#[test]
fn an_answer_is_doubted_while_a_late_request_may_come_and_the_push_was_not_called_off() {
    let policy = RetryPolicy::default();
    let heals = |shown, until, cancel_requested| {
        let account = Account { shown: Some(10), doubt_until: Some(at(until)) };
        let mut push = Push { cancel_requested, ..sent(PushKind::Increase, Resolution::ReadBack) };
        push.apply_verdict(&account, &applied(shown), ctx(100, &policy)).heal.is_some()
    };
    assert!(heals(16, 101, false));
    assert!(!heals(13, 101, false), "as expected");
    assert!(!heals(16, 100, false), "too long ago");
    assert!(!heals(16, 101, true), "nothing more may be sent");
}

#[test]
fn what_is_accepted_and_needs_no_read_is_confirmed() {
    let policy = RetryPolicy::default();
    let accepted = |kind, base| {
        let mut push = Push { base, ..sent(kind, Resolution::Overwrite) };
        push.apply_verdict(&Account::default(), &Verdict::Item(ItemResult::Accepted), ctx(0, &policy));
        push.state
    };
    assert_eq!((accepted(PushKind::Overwrite, Some(10)), accepted(PushKind::Increase, None)), (Confirmed, Confirmed));
    assert_eq!(accepted(PushKind::Increase, Some(10)), Uncertain);
}

#[test]
fn what_can_be_sent_again_need_not_wait_for_the_settle_time() {
    let policy = RetryPolicy::default();
    let due = |resolution, verdict: &Verdict| {
        let mut push = sent(PushKind::Increase, resolution);
        push.apply_verdict(&Account::default(), verdict, ctx(1_000, &policy));
        ms(push.due_at)
    };
    assert_eq!(due(Resolution::SameCallAgain, &unknown()), Some(1_500));
    assert_eq!(due(Resolution::ReadBack, &unknown()), Some(11_000));
    assert_eq!(due(Resolution::SameCallAgain, &Verdict::Item(ItemResult::Stale { shown: 9 })), Some(1_100), "read again at once");
}

#[test]
fn a_throttled_repetition_of_an_unknown_call_stays_unknown() {
    let policy = RetryPolicy::default();
    let mut push = sent(PushKind::Increase, Resolution::SameCallAgain);
    push.apply_verdict(&Account::default(), &unknown(), ctx(0, &policy));
    push.apply_verdict(&Account::default(), &later(), ctx(1000, &policy));
    assert_eq!((push.state, push.in_doubt, push.call_id.is_some()), (Uncertain, true, true));
    push.apply_verdict(&Account::default(), &applied(13), ctx(2000, &policy));
    assert_eq!((push.state, push.in_doubt), (Confirmed, false));
}

#[test]
fn what_is_refused_while_an_earlier_sending_may_arrive_yet_gives_way_and_its_listing_is_watched() {
    let policy = RetryPolicy::default();
    let mut push = sent(PushKind::Increase, Resolution::SameCallAgain);
    push.apply_verdict(&Account::default(), &unknown(), ctx(0, &policy));
    let refused = Verdict::Refused { reason: "400".into(), next_step: String::new() };
    let change = push.apply_verdict(&Account::default(), &refused, ctx(1000, &policy));
    assert_eq!((push.state, change.heal.is_some(), ms(change.doubt_until)), (Superseded, true, Some(1000 + DOUBT_FOR_MS)));
}

#[test]
fn a_keyed_call_that_the_platform_says_failed_is_no_longer_in_doubt() {
    let policy = RetryPolicy::default();
    let mut push = sent(PushKind::Increase, Resolution::SameCallAgain);
    push.apply_verdict(&Account::default(), &unknown(), ctx(0, &policy));
    push.apply_verdict(&Account::default(), &Verdict::Item(ItemResult::NeverApplied { reason: "failed".into() }), ctx(1000, &policy));
    assert_eq!((push.state, push.in_doubt, push.call_id), (Retrying, false, None), "it goes out in another call");
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
fn what_is_applied_later_is_confirmed_when_it_shows() {
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
    assert_eq!((late.state, change.heal.is_some()), (Superseded, true), "in the end the target is sent");
}

#[test]
fn an_accepted_overwrite_is_confirmed_and_what_is_read_soon_after_it_is_doubted() {
    let policy = RetryPolicy::default();
    let mut push = Push { base: None, ..sent(PushKind::Overwrite, Resolution::Overwrite) };
    let change = push.apply_verdict(&Account::default(), &Verdict::Item(ItemResult::Accepted), ctx(0, &policy));
    assert_eq!((push.state, change.shown, ms(change.doubt_until)), (Confirmed, Some(3), Some(SHOWN_WITHIN_MS)));
}

#[test]
fn a_request_applied_after_it_was_given_up_is_seen_at_the_next_answer() {
    let policy = RetryPolicy::default();
    let account = Account { shown: Some(10), doubt_until: Some(at(DOUBT_FOR_MS)) };
    let mut push = sent(PushKind::Increase, Resolution::ReadBack);
    let change = push.apply_verdict(&account, &applied(16), ctx(1000, &policy));
    assert_eq!((push.state, change.shown, change.heal.is_some()), (Confirmed, Some(16), true));
}

#[test]
fn compare_and_set_tells_a_lost_answer_from_a_strangers_change() {
    let policy = RetryPolicy::default();
    let stale = |shown| Verdict::Item(ItemResult::Stale { shown });
    let mut first = sent(PushKind::Increase, Resolution::SameCallAgain);
    first.apply_verdict(&Account::default(), &stale(13), ctx(0, &policy));
    assert_eq!(first.state, Retrying, "known not applied: read again");
    for (shown, state) in [(13, Confirmed), (9, Superseded)] {
        let mut push = sent(PushKind::Increase, Resolution::SameCallAgain);
        push.apply_verdict(&Account::default(), &unknown(), ctx(0, &policy));
        push.apply_verdict(&Account::default(), &stale(shown), ctx(1, &policy));
        assert_eq!(push.state, state);
    }
}

#[test]
fn failing_for_a_day_is_rejected_and_marked() {
    let policy = RetryPolicy::default();
    let mut push = sent(PushKind::Increase, Resolution::SameCallAgain);
    push.apply_verdict(&Account::default(), &later(), ctx(0, &policy));
    assert_eq!(push.state, Retrying);
    let change = push.apply_verdict(&Account::default(), &later(), ctx(24 * 3600 * 1000, &policy));
    assert_eq!((push.state, change.mark), (Rejected, true));
}

#[test]
fn a_refused_batch_is_split_until_the_bad_item_stands_alone() {
    let policy = RetryPolicy::default();
    let refused = Verdict::Refused { reason: "bad".into(), next_step: "mend".into() };
    let mut push = sent(PushKind::Increase, Resolution::SameCallAgain);
    push.apply_verdict(&Account::default(), &refused, ctx(0, &policy));
    assert_eq!((push.state, push.batch_limit), (Retrying, Some(2)));
    push.apply_verdict(&Account::default(), &refused, VerdictContext { items: 1, ..ctx(0, &policy) });
    assert_eq!(push.state, Rejected);
}

#[test]
fn a_cancellation_waits_for_what_is_on_its_way() {
    let policy = RetryPolicy::default();
    let mut push = sent(PushKind::Increase, Resolution::SameCallAgain);
    push.cancel("off", at(0));
    assert_eq!(push.state, Sending);
    push.apply_verdict(&Account::default(), &later(), ctx(0, &policy));
    assert_eq!(push.state, Cancelled);
}

#[test]
fn refused_credentials_hold_what_waits_and_keep_doubt() {
    let policy = RetryPolicy::default();
    let unauthorized = Verdict::Held { reason: "401".into(), next_step: "sign in again".into() };
    let mut push = sent(PushKind::Increase, Resolution::SameCallAgain);
    push.apply_verdict(&Account::default(), &unauthorized, ctx(0, &policy));
    assert_eq!((push.state, ms(push.due_at)), (Held, None));
    let mut push = sent(PushKind::Increase, Resolution::SameCallAgain);
    push.apply_verdict(&Account::default(), &unknown(), ctx(0, &policy));
    push.apply_verdict(&Account::default(), &unauthorized, ctx(0, &policy));
    assert_eq!((push.state, push.in_doubt, push.due_at.is_some()), (Uncertain, true, true));
}

#[test]
fn a_retry_after_of_zero_still_backs_off() {
    let policy = RetryPolicy::default();
    let at_once = Verdict::TryAgain { reason: "429".into(), after: Some(Duration::ZERO) };
    let mut push = Push { attempts: 5, ..sent(PushKind::Increase, Resolution::SameCallAgain) };
    push.apply_verdict(&Account::default(), &at_once, ctx(0, &policy));
    assert_eq!((push.state, ms(push.due_at), ms(push.failing_since)), (Retrying, Some(8_000), Some(0)));
}

#[test]
fn what_was_called_off_and_cannot_be_decided_asks_for_no_overwrite() {
    let policy = RetryPolicy::default();
    let mut push = sent(PushKind::Increase, Resolution::ReadBack);
    push.apply_verdict(&Account::default(), &unknown(), ctx(0, &policy));
    push.cancel("off", at(1));
    let change = push.read_back(&Account::default(), 12, ctx(10_000, &policy));
    assert_eq!((push.state, change.heal), (Cancelled, None));
}

#[test]
fn a_key_or_an_expectation_that_the_store_does_not_honour_any_more_is_not_relied_upon() {
    let all = Abilities { adjust: true, idempotency: true, compare_and_set: true, read: true, max_items: 1 };
    let with_base = sent(PushKind::Increase, Resolution::SameCallAgain);
    let without = Push { base: None, ..with_base.clone() };
    assert_eq!(with_base.resolution_at(&all, at(0)), Resolution::SameCallAgain);
    assert_eq!(with_base.resolution_at(&Abilities { compare_and_set: false, ..all }, at(0)), Resolution::ReadBack);
    assert_eq!(without.resolution_at(&all, at(0)), Resolution::SameCallAgain);
    assert_eq!(without.resolution_at(&Abilities { idempotency: false, ..all }, at(0)), Resolution::Overwrite);
    let keyed = Push { call_id: Some(CallId(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, 0, 0)))), ..without };
    assert_eq!(keyed.resolution_at(&all, at(82_800_000)), Resolution::SameCallAgain);
    assert_eq!(keyed.resolution_at(&all, at(82_800_000 + 1)), Resolution::Overwrite, "it may be forgotten");
}

#[test]
fn after_a_crash_sending_means_uncertain() {
    let policy = RetryPolicy::default();
    let mut push = sent(PushKind::Increase, Resolution::ReadBack);
    push.crashed(at(5), &policy);
    assert_eq!((push.state, push.in_doubt, ms(push.due_at)), (Uncertain, true, Some(10_005)));
}
