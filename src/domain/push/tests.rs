//! The life of a push, case by case: every verdict, read, crash and cancellation.
use super::*;
use crate::domain::delivery::Resolution;
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use crate::domain::retry::RetryPolicy;
use crate::domain::{CallId, ListingId, StoreId, Timestamp};
use PushState::{Cancelled, Confirmed, Held, Queued, Rejected, Retrying, Sending, Superseded, Uncertain};
use std::time::Duration;
use uuid::Uuid;

mod answers;
mod clock;
mod expected;
mod falls;
mod owed;
mod reads;
mod record;
mod states;
mod success;
mod validity;

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
    VerdictContext { now: at(now), jitter: 0.5, policy, items: 4, adds: true, reads_first: false }
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
    assert!(PushKind::Overwrite.is_overwrite() && !PushKind::Increase.is_overwrite());
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
        assert_eq!((state.as_str(), state.is_uncertain()), (word, state == Uncertain));
        assert_eq!((state.is_waiting(), state.is_in_flight()), (waits, in_flight), "{word}");
    }
}

#[test]
fn an_answer_with_another_number_of_items_says_nothing_about_any_of_them() {
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
fn only_waiting_increases_that_are_not_being_cancelled_are_merged() {
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
fn a_claim_that_is_given_back_is_undone() {
    let mut fresh = sent(PushKind::Increase, Resolution::ReadBack);
    fresh.give_back(at(7));
    assert_eq!((fresh.state, ms(fresh.due_at), fresh.call_id, fresh.base), (Queued, Some(7), None, None));
    let mut cancelled = Push { cancel_requested: true, ..sent(PushKind::Increase, Resolution::ReadBack) };
    cancelled.give_back(at(7));
    assert_eq!((cancelled.state, ms(cancelled.due_at)), (Cancelled, None), "a cancelled push is not sent any more");
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
fn a_push_that_failed_for_a_day_is_left_undecided_only_if_it_is_in_doubt() {
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
fn an_increase_rejected_while_an_earlier_request_may_have_arrived_is_overwritten_and_never_retried() {
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
    assert_eq!(settles_at(true, Some(10), &applied(13)), Some(11_000), "a compare-and-set may find the earlier quantity again");
    assert_eq!(settles_at(true, Some(10), &stale), Some(11_000));
    assert_eq!(settles_at(true, None, &applied(13)), None, "the key was honoured");
    assert_eq!(settles_at(true, Some(10), &unknown()), None, "it is still on its way");
    assert_eq!(settles_at(true, None, &Verdict::Item(ItemResult::NeverApplied { reason: "failed".into() })), None);
    for verdict in [applied(13), stale] {
        assert_eq!(settles_at(false, Some(10), &verdict), None, "nothing else was sent");
    }
}

#[test]
fn what_an_answer_or_a_read_shows_is_noted_in_every_case() {
    let policy = RetryPolicy::default();
    let stale = |in_doubt| {
        let mut push = Push { in_doubt, ..sent(PushKind::Increase, Resolution::SameCallAgain) };
        push.apply_verdict(&Account::default(), &Verdict::Item(ItemResult::Stale { shown: 9 }), ctx(0, &policy)).shown
    };
    assert_eq!((stale(false), stale(true)), (Some(9), Some(9)));
    let read = |shown| sent(PushKind::Increase, Resolution::ReadBack).read_back(&Account::default(), shown, ctx(5, &policy));
    assert_eq!((read(10).shown, ms(read(10).doubt_until)), (Some(10), Some(5 + DOUBT_FOR_MS)));
    assert_eq!((read(12).shown, ms(read(12).doubt_until)), (Some(12), Some(5 + DOUBT_FOR_MS)), "it may still arrive");
    assert_eq!((at(0) + DOUBT_FOR, at(0) + SHOWN_WITHIN), (at(DOUBT_FOR_MS), at(SHOWN_WITHIN_MS)));
}

#[test]
fn an_unknown_outcome_is_determined_by_what_the_store_can_do_now() {
    let all = Abilities { adjust: true, idempotency: true, compare_and_set: true, read: true, max_items: 1 };
    let found = |kind, resolution, abilities: Abilities| sent(kind, resolution).resolution_at(&abilities, at(0));
    assert_eq!(found(PushKind::Overwrite, Resolution::SameCallAgain, all), Resolution::SameCallAgain);
    let weaker = Abilities { idempotency: false, ..all };
    assert_eq!(found(PushKind::Overwrite, Resolution::SameCallAgain, weaker), Resolution::ReadBack);
    assert_eq!(found(PushKind::Overwrite, Resolution::Overwrite, Abilities { read: false, ..weaker }), Resolution::Overwrite);
    assert_eq!(found(PushKind::Increase, Resolution::ReadBack, all), Resolution::ReadBack);
    assert_eq!(found(PushKind::Increase, Resolution::ReadBack, Abilities { read: false, ..all }), Resolution::Overwrite);
}

#[test]
fn an_answer_is_doubted_while_a_late_request_may_arrive_unless_the_push_was_cancelled() {
    let policy = RetryPolicy::default();
    let heals = |shown, until, cancel_requested| {
        let account = Account { shown: Some(10), doubt_until: Some(at(until)), ..Account::default() };
        let mut push = Push { cancel_requested, ..sent(PushKind::Increase, Resolution::ReadBack) };
        push.apply_verdict(&account, &applied(shown), ctx(100, &policy)).heal.is_some()
    };
    assert!(heals(16, 101, false));
    assert!(!heals(13, 101, false), "as expected");
    assert!(!heals(16, 100, false), "too long ago");
    assert!(!heals(16, 101, true), "nothing more may be sent");
}

#[test]
fn an_accepted_push_that_needs_no_read_is_confirmed() {
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
fn a_push_that_can_be_sent_again_need_not_wait_for_the_settle_time() {
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
fn a_push_refused_while_an_earlier_sending_may_still_arrive_gives_way_and_its_listing_is_watched() {
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
fn an_accepted_overwrite_is_confirmed_and_reads_soon_after_it_are_doubted() {
    let policy = RetryPolicy::default();
    let mut push = Push { base: None, ..sent(PushKind::Overwrite, Resolution::Overwrite) };
    let change = push.apply_verdict(&Account::default(), &Verdict::Item(ItemResult::Accepted), ctx(0, &policy));
    assert_eq!((push.state, change.shown, ms(change.doubt_until)), (Confirmed, Some(3), Some(SHOWN_WITHIN_MS)));
}

#[test]
fn a_request_applied_after_it_was_given_up_is_seen_at_the_next_answer() {
    let policy = RetryPolicy::default();
    let account = Account { shown: Some(10), doubt_until: Some(at(DOUBT_FOR_MS)), ..Account::default() };
    let mut push = sent(PushKind::Increase, Resolution::ReadBack);
    let change = push.apply_verdict(&account, &applied(16), ctx(1000, &policy));
    assert_eq!((push.state, change.shown, change.heal.is_some()), (Confirmed, Some(16), true));
}

#[test]
fn compare_and_set_distinguishes_a_lost_answer_from_somebody_elses_change() {
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
fn a_refused_batch_is_split_until_the_bad_item_is_alone() {
    let policy = RetryPolicy::default();
    let refused = Verdict::Refused { reason: "bad".into(), next_step: "mend".into() };
    let mut push = sent(PushKind::Increase, Resolution::SameCallAgain);
    push.apply_verdict(&Account::default(), &refused, ctx(0, &policy));
    assert_eq!((push.state, push.batch_limit), (Retrying, Some(2)));
    push.apply_verdict(&Account::default(), &refused, VerdictContext { items: 1, ..ctx(0, &policy) });
    assert_eq!(push.state, Rejected);
}

#[test]
fn a_push_in_flight_is_cancelled_once_it_is_known_not_to_have_been_applied() {
    let policy = RetryPolicy::default();
    let mut push = sent(PushKind::Increase, Resolution::SameCallAgain);
    push.cancel("off", at(0));
    assert_eq!(push.state, Sending);
    push.apply_verdict(&Account::default(), &later(), ctx(0, &policy));
    assert_eq!(push.state, Cancelled);
}

#[test]
fn refused_credentials_hold_a_push_and_keep_its_doubt() {
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
fn a_cancelled_push_that_cannot_be_decided_asks_for_no_overwrite() {
    let policy = RetryPolicy::default();
    let mut push = sent(PushKind::Increase, Resolution::ReadBack);
    push.apply_verdict(&Account::default(), &unknown(), ctx(0, &policy));
    push.cancel("off", at(1));
    let change = push.read_back(&Account::default(), 12, ctx(10_000, &policy));
    assert_eq!((push.state, change.heal), (Cancelled, None));
}

#[test]
fn a_key_or_an_expectation_that_the_store_no_longer_honors_is_not_relied_upon() {
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
fn after_a_crash_a_push_that_was_being_sent_is_uncertain() {
    let policy = RetryPolicy::default();
    let mut push = sent(PushKind::Increase, Resolution::ReadBack);
    push.crashed(at(5), &policy);
    assert_eq!((push.state, push.in_doubt, ms(push.due_at)), (Uncertain, true, Some(10_005)));
}
