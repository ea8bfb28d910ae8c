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
    compared(&page, &known, active, Answer { outcome: &outcome, raw: None, now: NOW }, Policy::CorrectDown)
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
    let context = crate::domain::push::VerdictContext { now: NOW, jitter: 0.5, policy: &context, items: 1, adds: false };
    let again = Verdict::TryAgain { reason: "The listing is in a campaign.".into(), after: None };
    let call = crate::domain::CallId::new(NOW);
    locked.note_base(10);
    locked.begin(call, crate::domain::push::SendBy::Increase(crate::domain::delivery::Method::ReadAndSet), NOW).unwrap();
    locked.apply_verdict(&Account::default(), &again, context);
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
    let found = compared(&[listing(1)], &HashMap::new(), &[], answer, Policy::Correct);
    assert_eq!(found, Compared { skipped: 1, ..Compared::default() });
}

#[test]
fn a_check_reads_together_what_may_be_read_together_and_smaller_if_that_fails() {
    let abilities = Abilities { adjust: false, idempotency: false, compare_and_set: false, read: true, max_items: 2 };
    let terms = |group_by| ClaimTerms {
        abilities,
        limit: 2,
        group_by,
        overwrites_first: false,
        overwrites_wait: false,
        policy: RetryPolicy::default(),
        jitter: 0.5,
    };
    let ids = |group_by| -> Vec<Vec<u128>> {
        let pages = check_pages((1..=5).map(addressee).collect(), &terms(group_by));
        pages.iter().map(|page| page.iter().map(|to| to.listing_id.0.as_u128()).collect()).collect()
    };
    assert_eq!(ids(None), [vec![1, 2], vec![3, 4], vec![5]]);
    assert_eq!(ids(Some("item")), [vec![1, 3], vec![5], vec![2, 4]]);
}

fn step(pages: Vec<Vec<u128>>) -> CheckStep {
    let pages = pages.into_iter().map(|page| page.into_iter().map(addressee).collect()).collect();
    CheckStep { check: crate::domain::DriftCheckId(Uuid::nil()), pages, to: listing(9), before: HashMap::new() }
}

#[test]
fn one_bad_listing_is_found_by_halves_and_the_others_are_read() {
    let mut reading = CheckReading::new(&step(vec![vec![1, 2, 3, 4]]));
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
        let mut reading = CheckReading::new(&step(vec![vec![1], vec![2, 3]]));
        let page = reading.next_page().unwrap();
        reading.answered(page, outcome.clone(), answered);
        assert_eq!(reading.next_page(), None);
        assert_eq!(reading.end(), (vec![], outcome, answered));
    }
}
