//! What a check reads together, and what it makes of the answers.
use super::*;
use crate::domain::delivery::Abilities;
use crate::domain::drift::Cause;
use crate::domain::push::Account;
use crate::domain::retry::RetryPolicy;
use crate::domain::{StoreId, Timestamp};
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_millis(3_600_000);

fn listing(n: u128) -> ListingId {
    ListingId(Uuid::from_u128(n))
}

fn addressee(n: u128) -> Addressee {
    let extra = format!(r#"{{"item":"{}"}}"#, n % 2);
    Addressee { store_id: StoreId(Uuid::nil()), listing_id: listing(n), sku: "A".into(), external_id: n.to_string(), extra: Some(extra) }
}

fn shows(shown: i64) -> ItemResult {
    ItemResult::Applied { shown: Some(shown) }
}

/// Listings 1, 2, … that showed 10, which is their target, after this read.
fn read(results: &[ItemResult], active: &[Push], account: Account) -> Compared {
    let page: Vec<ListingId> = (1u128..).take(results.len()).map(listing).collect();
    let known = Known { target: Some(10), account: Account { shown: Some(10), ..account }, ..Known::default() };
    let known = page.iter().map(|id| (*id, known)).collect();
    let outcome = Outcome::Answered(results.to_vec());
    compared(&page, &known, active, Answer { outcome: &outcome, raw: None, now: NOW }, Some(Policy::CorrectDown))
}

#[test]
fn each_listing_is_judged_by_its_own_answer() {
    let gone = ItemResult::Rejected { reason: "There is no such item.".into(), next_step: "Pair it again.".into() };
    let busy = ItemResult::TryAgain { reason: "busy".into() };
    let found = read(&[shows(10), shows(13), shows(8), gone, busy], &[], Account::default());
    assert_eq!(found.same, [listing(1)]);
    let differ: Vec<_> = found.differ.iter().map(|(id, drift)| (*id, drift.cause, drift.difference)).collect();
    assert_eq!(
        differ,
        [
            (listing(2), Cause::EditedInStore, Some(3)),
            (listing(3), Cause::SaleNotReported, Some(-2)),
            (listing(4), Cause::Unreadable, None),
        ]
    );
    assert_eq!((found.skipped, found.corrected), (1, 1));
    let healed: Vec<_> = found.updates.iter().filter(|(_, update)| update.heal.is_some()).map(|(id, _)| *id).collect();
    assert_eq!(healed, [listing(2)]);
    assert_eq!(found.updates.iter().map(|(_, update)| update.shown).collect::<Vec<_>>(), [10, 13, 8].map(Some), "what was read is known");
}

#[test]
fn a_listing_with_something_on_its_way_is_left_out_unless_the_platform_keeps_it_waiting() {
    let mut locked = Push::increase(addressee(1), 5, NOW, false);
    let context = RetryPolicy::default();
    let context = crate::domain::push::VerdictContext { now: NOW, jitter: 0.5, policy: &context, items: 1, adds: false, reads_first: true };
    let again = Verdict::TryAgain { reason: "The listing is in a campaign.".into(), after: None };
    let call = crate::domain::CallId::new(NOW);
    locked.note_base(10);
    locked.begin(call, crate::domain::push::SendBy::Increase(crate::domain::delivery::Method::ReadAndSet), NOW).unwrap();
    locked.apply_verdict(&Account::default(), &again, context);
    let failing = Timestamp::from_millis(0);
    let locked = Push::from_record(crate::domain::push::Record { failing_since: Some(failing), ..locked.into_record() }).unwrap();
    let waits = Push::increase(addressee(2), 5, NOW, false);
    let found = read(&[shows(10), shows(13)], &[locked, waits], Account::default());
    assert_eq!(found.differ.iter().map(|(id, drift)| (*id, drift.cause)).collect::<Vec<_>>(), [(listing(1), Cause::Locked)]);
    assert_eq!((found.skipped, found.same.len()), (1, 0));
}

#[test]
fn what_a_cache_may_have_answered_or_what_has_changed_since_the_read_began_is_left_out() {
    let changed = Account { before: crate::domain::push::LatestNumbers::default().with(8), changed_at: Some(NOW), ..Account::default() };
    let found = read(&[shows(8), shows(9)], &[], changed);
    assert_eq!((found.skipped, found.differ.len()), (1, 1));
    let outcome = Outcome::Answered(vec![shows(8)]);
    let answer = Answer { outcome: &outcome, raw: None, now: NOW };
    let found = compared(&[listing(1)], &HashMap::new(), &[], answer, Some(Policy::Correct));
    assert_eq!(found, Compared { skipped: 1, ..Compared::default() });
}

fn terms(group_by: Option<&'static str>, limit: usize) -> ClaimTerms {
    let abilities = Abilities { adjust: false, idempotency: false, compare_and_set: false, read: true, max_items: limit };
    let policy = RetryPolicy::default();
    ClaimTerms { abilities, limit, group_by, overwrites_first: false, overwrites_wait: false, policy, jitter: 0.5 }
}

#[test]
fn a_step_is_one_call_of_listings_that_follow_each_other_and_may_be_read_together() {
    let ids = |group_by, numbers: &[u128]| -> Vec<u128> {
        let page = check_page(numbers.iter().map(|n| addressee(*n)).collect(), &terms(group_by, 3));
        page.iter().map(|to| to.listing_id.0.as_u128()).collect()
    };
    assert_eq!(ids(None, &[1, 2, 3, 4]), [1, 2, 3]);
    assert_eq!(ids(Some("item"), &[1, 3, 2, 5]), [1, 3], "nothing is left behind that the next step would not read");
    assert_eq!(ids(Some("item"), &[]), [0; 0]);
}

#[test]
fn a_page_without_an_answer_is_read_in_smaller_ones_until_a_single_listing_is_left_out() {
    assert_eq!([0, 1, 2, 6, 7, 9].map(|tries| check_size(&terms(None, 100), tries)), [100, 50, 25, 1, 1, 1]);
    assert_eq!(check_size(&terms(None, 1000), 7), 1);
    let timeout = Outcome::Unknown { reason: "timeout".into() };
    let goes_on = |page, tries, outcome: &Outcome| check_goes_on(&CheckStep { tries, ..step(page) }, outcome);
    assert_eq!(goes_on(vec![1, 2], 30, &timeout), CheckNext::Again { tries: 31 });
    assert_eq!(goes_on(vec![1], 9, &timeout), CheckNext::Again { tries: 10 });
    assert_eq!(goes_on(vec![1], 10, &timeout), CheckNext::Skip);
    assert_eq!(goes_on(vec![1], 10, &Outcome::Unauthorized { reason: "No.".into() }), CheckNext::Again { tries: 10 });
    assert_eq!(goes_on(vec![1], 10, &Outcome::Answered(vec![shows(1)])), CheckNext::Compare);
}

#[test]
fn nothing_is_overwritten_while_nothing_may_be_sent() {
    let late = Account { doubt_until: Some(Timestamp::from_millis(i64::MAX / 2)), shown: Some(10), ..Account::default() };
    let known = HashMap::from([(listing(1), Known { target: Some(10), account: late, ..Known::default() })]);
    let outcome = Outcome::Answered(vec![shows(13)]);
    let answer = Answer { outcome: &outcome, raw: None, now: NOW };
    let heals = |policy| compared(&[listing(1)], &known, &[], answer, policy).updates[0].1.heal.is_some();
    assert_eq!([None, Some(Policy::Report)].map(heals), [false, true]);
}

fn step(page: Vec<u128>) -> CheckStep {
    let page = page.into_iter().map(addressee).collect();
    CheckStep { check: crate::domain::DriftCheckId(Uuid::nil()), from: None, page, before: HashMap::new(), tries: 0 }
}

#[test]
fn one_bad_listing_is_found_by_halves_and_the_others_are_read() {
    let mut reading = CheckReading::new(&step(vec![1, 2, 3, 4]));
    let refused = || Outcome::Refused { reason: "One is bad.".into(), next_step: String::new() };
    let mut calls = 0;
    while let Some(page) = reading.next_page() {
        calls += 1;
        let is_bad = page.iter().any(|to| to.listing_id == listing(3));
        let outcome = if is_bad { refused() } else { Outcome::Answered(vec![shows(10); page.len()]) };
        reading.answered(page, outcome, true);
    }
    let (read, outcome, answered) = reading.end();
    let rejected = ItemResult::Rejected { reason: "One is bad.".into(), next_step: String::new() };
    assert_eq!(read, [1, 2, 3, 4].map(listing));
    assert_eq!((outcome, answered), (Outcome::Answered(vec![shows(10), shows(10), rejected, shows(10)]), true));
    assert_eq!(calls, 5);
}

#[test]
fn a_store_that_cannot_be_read_is_asked_no_more() {
    let denied = Outcome::Unauthorized { reason: "No.".into() };
    let cut = Outcome::Unknown { reason: "The connection was cut.".into() };
    for (outcome, answered) in [(denied, true), (cut, false)] {
        let mut reading = CheckReading::new(&step(vec![1, 2, 3]));
        let page = reading.next_page().unwrap();
        reading.answered(page, outcome.clone(), answered);
        assert_eq!(reading.next_page(), None);
        assert_eq!(reading.end(), (vec![], outcome, answered));
    }
}
