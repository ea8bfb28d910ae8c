//! What is sent after a read, and what is read again.
use super::*;
use crate::domain::claim::{CallId, begin, overwrite_after_read, repetition};
use crate::domain::delivery::{Abilities, Change, Outcome};
use crate::domain::push::{Addressee, PushState};
use crate::domain::retry::RetryPolicy;
use crate::domain::{StoreId, Timestamp};
use uuid::Uuid;

const COMPARES: Abilities = Abilities { adjust: false, idempotency: false, compare_and_set: true, read: true, max_items: 10 };

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn listing(n: u128) -> ListingId {
    ListingId(Uuid::from_u128(n))
}

fn overwrite(n: u128) -> Push {
    let to = Addressee { store_id: StoreId(Uuid::nil()), listing_id: listing(n), sku: "A".into(), external_id: "a".into(), extra: None };
    Push::overwrite(to, at(0), None, None, false)
}

fn terms(abilities: Abilities) -> ClaimTerms {
    let policy = RetryPolicy::default();
    ClaimTerms { abilities, limit: 10, group_by: None, overwrites_first: false, overwrites_wait: false, policy, jitter: 0.5 }
}

fn expecting(units: i64) -> Expectation {
    Expectation { units: Some(units), ..Expectation::default() }
}

/// Overwrites of listings 1, 2, … with a target of 12 after this read. Of each, 12 was expected before, and this is now.
fn read(results: &[ItemResult], now: &[Expectation], account: Account) -> AfterOverwriteRead {
    let pushes: Vec<Push> = (1u128..).take(results.len()).map(overwrite).collect();
    let page: Vec<PushId> = pushes.iter().map(Push::id).collect();
    let of = || pushes.iter().map(Push::listing_id);
    let facts = ReadFacts {
        busy: &BTreeSet::new(),
        accounts: &of().map(|id| (id, account)).collect(),
        before: &of().map(|id| (id, expecting(12))).collect(),
        expected: &of().zip(now.iter().copied()).collect(),
        targets: &of().map(|id| (id, Some(12))).collect(),
        siblings: &[],
        beside: &HashMap::new(),
        limit: Duration::from_secs(3600),
    };
    let outcome = Outcome::Answered(results.to_vec());
    let waiting = pushes.iter().map(|push| (push.id(), push.clone())).collect();
    overwrites_after_read(&page, waiting, &facts, Answer { outcome: &outcome, raw: None, now: at(0) }, &terms(COMPARES))
}

fn shows(shown: i64) -> ItemResult {
    ItemResult::Applied { shown: Some(shown) }
}

#[test]
fn each_overwrite_leaves_out_what_its_own_listing_has_sold_and_one_without_an_answer_is_read_again() {
    let failed = ItemResult::TryAgain { reason: "busy".into() };
    let after = read(&[shows(10), shows(12), failed], &[expecting(12); 3], Account::default());
    let sent: Vec<_> = after.aimed.claimed.iter().map(|push| (push.quantity(), push.record().unseen)).collect();
    assert_eq!(sent, [(Some(10), Some(2)), (Some(12), Some(0))]);
    assert_eq!(after.others.iter().map(Push::state).collect::<Vec<_>>(), [PushState::Retrying]);
    assert_eq!(after.expectations.iter().map(|(_, found)| found.units).collect::<Vec<_>>(), [Some(12), Some(12)]);
}

#[test]
fn a_sale_that_is_reported_while_the_listing_is_read_makes_it_read_again() {
    let after = read(&[shows(10), shows(10)], &[expecting(12), expecting(11)], Account::default());
    assert_eq!(after.aimed.claimed.iter().map(Push::listing_id).collect::<Vec<_>>(), [listing(1)]);
    assert!(after.others.is_empty() && after.aimed.cancelled.is_empty(), "the other waits as it was");
}

#[test]
fn a_number_that_a_cache_may_have_kept_is_no_base() {
    let account = Account { shown: Some(12), changed_at: Some(at(0)), ..Account::default() };
    let before = crate::domain::push::LatestNumbers::default().with(7);
    let after = read(&[shows(7)], &[expecting(12)], Account { before, ..account });
    assert!(after.aimed.claimed.is_empty() && after.others.len() == 1);
    assert_eq!(read(&[shows(8)], &[expecting(12)], Account { before, ..account }).aimed.claimed.len(), 1);
}

#[test]
fn a_store_that_compares_gets_the_number_that_was_read_and_the_same_again_when_the_call_is_repeated() {
    let mut page = read(&[shows(10)], &[expecting(13)], Account::default()).aimed.claimed;
    assert!(page.is_empty(), "it was read again");
    page = read(&[shows(9)], &[expecting(12)], Account::default()).aimed.claimed;
    let id = CallId::new(at(0));
    let call = begin(&mut page, id, overwrite_after_read(&COMPARES), at(0)).unwrap();
    assert_eq!(call.items[0].change, Change::SetIf { expected: 9, to: 9 });
    let lost = Outcome::Unknown { reason: "timeout".into() };
    super::super::outcome::finish(&mut page, &HashMap::new(), Answer { outcome: &lost, raw: None, now: at(0) }, &terms(COMPARES));
    assert_eq!(begin(&mut page, id, repetition(&COMPARES), at(1)).unwrap().items, call.items);
    let sets = Abilities { compare_and_set: false, ..COMPARES };
    let mut page = read(&[shows(10)], &[expecting(12)], Account::default()).aimed.claimed;
    let call = begin(&mut page, id, overwrite_after_read(&sets), at(0)).unwrap();
    assert_eq!(call.items[0].change, Change::Set(10));
}

/// An overwrite of listing 1 with a target of 12, which shows 10, beside listing 2 of the same SKU. Of each, 12 was expected, and so many
/// units were reported.
fn read_beside(reported: i64, beside: Option<ItemResult>, busy: bool, at_ms: i64) -> AfterOverwriteRead {
    let push = overwrite(1);
    let expected = Expectation { unattributed: reported, ..expecting(12) };
    let known: HashMap<ListingId, Expectation> = [listing(1), listing(2)].into_iter().map(|id| (id, expected)).collect();
    let account = Account { shown: Some(12), ..Account::default() };
    let facts = ReadFacts {
        busy: &busy.then(|| listing(2)).into_iter().collect(),
        accounts: &known.keys().map(|id| (*id, account)).collect(),
        before: &known,
        expected: &known,
        targets: &HashMap::from([(listing(1), Some(12))]),
        siblings: &[vec![listing(1), listing(2)]],
        beside: &beside.into_iter().map(|found| (listing(2), found)).collect(),
        limit: Duration::from_secs(3600),
    };
    let (page, outcome) = ([push.id()], Outcome::Answered(vec![shows(10)]));
    let waiting = HashMap::from([(push.id(), push)]);
    overwrites_after_read(&page, waiting, &facts, Answer { outcome: &outcome, raw: None, now: at(at_ms) }, &terms(COMPARES))
}

fn sent(after: &AfterOverwriteRead) -> Vec<Option<i64>> {
    after.aimed.claimed.iter().map(Push::quantity).collect()
}

#[test]
fn what_another_listing_of_the_sku_has_sold_is_left_out_and_a_report_is_taken_off_one_of_them() {
    for (reported, other, expected) in [(0, 12, 10), (0, 9, 7), (2, 12, 12), (3, 9, 10), (5, 9, 12)] {
        let after = read_beside(reported, Some(shows(other)), false, 0);
        assert_eq!(sent(&after), [Some(expected)], "{reported} reported, the other shows {other}");
        assert!(after.expectations.iter().all(|(_, found)| found.unattributed == 0));
    }
    let changed = read_beside(3, Some(shows(9)), false, 0).expectations;
    let sum: i64 = changed.iter().map(|(_, found)| found.units.unwrap()).sum();
    assert_eq!((changed.len(), sum), (2, 21), "of what is expected of both, the report is taken off once");
}

#[test]
fn an_overwrite_waits_for_another_listing_of_the_sku_and_then_takes_no_report_for_its_own() {
    let lost = ItemResult::TryAgain { reason: "busy".into() };
    for (beside, busy) in [(None, false), (Some(lost), false), (Some(shows(12)), true)] {
        let waits = read_beside(2, beside.clone(), busy, 0);
        assert!(sent(&waits).is_empty() && waits.others[0].due_at() == Some(at(0) + TRIED_AFTER), "{beside:?}");
        let after = read_beside(2, beside.clone(), busy, 600_000);
        assert_eq!(sent(&after), [Some(10)], "{beside:?}");
        assert!(after.expectations.iter().all(|(_, found)| found.unattributed == 2));
        let expected: &[Option<i64>] = if busy { &[Some(10)] } else { &[] };
        assert_eq!(sent(&read_beside(0, beside, busy, 0)), expected, "nothing was reported, and what is on its way was read before");
    }
    let rejected = ItemResult::Rejected { reason: "deleted".into(), next_step: String::new() };
    assert_eq!(sent(&read_beside(2, Some(rejected), false, 0)), [Some(12)], "what is not there sells nothing");
}

#[test]
fn a_page_takes_as_many_overwrites_as_one_call_can_read_the_other_listings_of() {
    let page: Vec<Push> = (1..=8).map(overwrite).collect();
    let siblings: Vec<Siblings> = (1..=8).map(|n| vec![listing(n), listing(n + 100), listing(n + 200)]).collect();
    let of = |limit| with_siblings(page.clone(), &siblings, &ClaimTerms { limit, ..terms(COMPARES) });
    assert_eq!([1, 3, 4, 8, 16].map(|limit| (of(limit).0.len(), of(limit).1.len())), [(1, 2), (1, 2), (2, 4), (4, 8), (8, 16)]);
    let together = [vec![listing(1), listing(2)]];
    assert_eq!(with_siblings(page, &together, &terms(COMPARES)).1, [], "both are overwritten");
}
