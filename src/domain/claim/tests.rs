//! What goes next, in tables, and what holds for every page.
mod answers;
mod pages;
mod retries;

use super::outcome::{self, Answer};
use super::waiting::{self, RetryFacts};
use super::*;
use crate::domain::delivery::{ItemResult, Outcome};
use crate::domain::push::{Account, Addressee, PushState};
use crate::domain::retry::RetryPolicy;
use crate::domain::{PushId, RunId, StoreId};
use proptest::prelude::*;
use uuid::Uuid;

const ALL: Abilities = Abilities { adjust: true, idempotency: true, compare_and_set: true, read: true, max_items: 10 };
/// Reads, then adds: nothing else.
const READS: Abilities = Abilities { idempotency: false, compare_and_set: false, ..ALL };

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn listing(n: u128) -> ListingId {
    ListingId(Uuid::from_u128(n))
}

fn addressee(n: u128) -> Addressee {
    let extra = format!(r#"{{"location":"{}"}}"#, n % 2);
    Addressee { store_id: StoreId(Uuid::nil()), listing_id: listing(n), sku: "A".into(), external_id: n.to_string(), extra: Some(extra) }
}

fn increase(n: u128, units: i64) -> Push {
    Push::increase(addressee(n), units, at(0), false)
}

fn overwrite(n: u128) -> Push {
    Push::overwrite(addressee(n), at(0), None, None, false)
}

fn terms(abilities: Abilities) -> ClaimTerms {
    ClaimTerms {
        abilities,
        limit: 10,
        group_by: None,
        overwrites_first: false,
        overwrites_wait: false,
        policy: RetryPolicy::default(),
        jitter: 0.5,
    }
}

fn sent(mut pushes: Vec<Push>, by: SendBy) -> (Vec<Push>, ClaimedCall) {
    let call = begin(&mut pushes, CallId::new(at(0)), by, at(0)).unwrap();
    (pushes, call)
}

/// The same after their call's answer was lost.
fn uncertain(pushes: Vec<Push>, by: SendBy) -> Vec<Push> {
    let (mut page, _) = sent(pushes, by);
    let lost = Outcome::Unknown { reason: "timeout".into() };
    outcome::finish(&mut page, &HashMap::new(), Answer { outcome: &lost, raw: None, now: at(0) }, &terms(ALL));
    page.sort_by_key(Push::listing_id);
    page
}

fn with_base(mut push: Push, base: i64) -> Push {
    push.note_base(base);
    push
}

fn applied(shown: i64) -> ItemResult {
    ItemResult::Applied { shown: Some(shown) }
}

#[test]
fn overwrites_follow_increases_and_take_their_turn_before_them() {
    let kinds = |overwrites_first| ClaimTerms { overwrites_first, ..terms(ALL) }.kinds().collect::<Vec<_>>();
    let spent = |overwrites_first| ClaimTerms { overwrites_first, overwrites_wait: true, ..terms(ALL) }.kinds().collect::<Vec<_>>();
    assert_eq!((spent(false), spent(true)), (vec![PushKind::Increase], vec![PushKind::Increase]));
    assert_eq!(kinds(false), [PushKind::Increase, PushKind::Overwrite]);
    assert_eq!(kinds(true), [PushKind::Overwrite, PushKind::Increase, PushKind::Overwrite]);
}

#[test]
fn every_method_sends_its_own_change_and_nothing_without_the_numbers_it_needs() {
    let change = |push: Push, by| begin(&mut [push], CallId::new(at(0)), by, at(0)).map(|call| call.items[0].change).ok();
    let by = SendBy::Increase;
    let table = [
        (increase(1, 3), by(Method::KeyedAdjust), Some(Change::Add(3))),
        (increase(1, 3), by(Method::BlindAdjust), Some(Change::Add(3))),
        (with_base(increase(1, 3), 10), by(Method::ReadAndAdjust), Some(Change::Add(3))),
        (with_base(increase(1, 3), 10), by(Method::CompareAndSet), Some(Change::SetIf { expected: 10, to: 13 })),
        (with_base(increase(1, 3), 10), by(Method::ReadAndSet), Some(Change::Set(13))),
        (increase(1, 3), by(Method::ReadAndAdjust), None),
        (increase(1, 3), by(Method::CompareAndSet), None),
        (increase(1, 3), by(Method::ReadAndSet), None),
        (increase(1, 3), SendBy::Overwrite(Resolution::Overwrite), None),
        (overwrite(1), SendBy::Overwrite(Resolution::Overwrite), None),
        (overwrite(1), by(Method::KeyedAdjust), None),
        (increase(1, 3), SendBy::Repeat, None),
    ];
    for (push, by, expected) in table {
        assert_eq!(change(push.clone(), by), expected, "{by:?} {push:?}");
    }
    let again = |pushes, by| change(uncertain(pushes, by).remove(0), SendBy::Repeat);
    assert_eq!(again(vec![increase(1, 3)], by(Method::KeyedAdjust)), Some(Change::Add(3)));
    assert_eq!(again(vec![with_base(increase(1, 3), 10)], by(Method::CompareAndSet)), Some(Change::SetIf { expected: 10, to: 13 }));
}

#[test]
fn a_call_that_added_adds_again_even_if_a_push_still_has_the_base_of_an_earlier_call() {
    for (first, second) in [(Some(10), None), (None, Some(10))] {
        let mut page = uncertain(vec![increase(1, 3), increase(2, 4)], SendBy::Increase(Method::KeyedAdjust));
        for (push, base) in page.iter_mut().zip([first, second]) {
            base.into_iter().for_each(|base| push.note_base(base));
        }
        let id = page[0].call_id().unwrap();
        let call = begin(&mut page, id, SendBy::Repeat, at(1)).unwrap();
        assert_eq!(call.items.iter().map(|item| item.change).collect::<Vec<_>>(), [Change::Add(3), Change::Add(4)]);
        assert!(page.iter().all(|push| push.base().is_none()));
    }
}

#[test]
fn an_uncertain_push_is_repeated_read_back_or_given_up_by_what_its_store_can_do() {
    let keyed = uncertain(vec![increase(1, 3)], SendBy::Increase(Method::KeyedAdjust));
    let call = keyed[0].call_id().unwrap();
    assert_eq!(resolve_uncertain(keyed.clone(), &terms(ALL), at(1)), Some(Uncertain::Repeat(call)));
    assert_eq!(resolve_uncertain(keyed.clone(), &terms(READS), at(1)), Some(Uncertain::GiveUp(keyed)));
    let by_read = uncertain(vec![with_base(increase(1, 3), 10)], SendBy::Increase(Method::ReadAndAdjust));
    assert_eq!(resolve_uncertain(by_read.clone(), &terms(READS), at(1)), Some(Uncertain::ReadBack(by_read)));
    assert_eq!(resolve_uncertain(Vec::new(), &terms(ALL), at(1)), None);
}

#[test]
fn uncertain_pushes_are_read_back_in_one_group_and_no_more_than_fit() {
    let pushes = (1..=6).map(|n| with_base(increase(n, 3), 10)).collect();
    let page = uncertain(pushes, SendBy::Increase(Method::ReadAndAdjust));
    let grouped = ClaimTerms { group_by: Some("location"), limit: 2, ..terms(READS) };
    let Some(Uncertain::ReadBack(read)) = resolve_uncertain(page, &grouped, at(1)) else { panic!("they are not read") };
    assert_eq!(read.iter().map(Push::listing_id).collect::<Vec<_>>(), [listing(1), listing(3)]);
}

#[test]
fn a_listing_that_settles_is_sent_nothing_until_then() {
    let settling = HashMap::from([(listing(2), at(9))]);
    let (page, postponed) = postpone(vec![increase(1, 3), increase(2, 3)], &settling, at(1));
    assert_eq!(page.iter().map(Push::listing_id).collect::<Vec<_>>(), [listing(1)]);
    assert_eq!(postponed.iter().map(|p| (p.listing_id(), p.due_at())).collect::<Vec<_>>(), [(listing(2), Some(at(9)))]);
}

#[test]
fn an_increase_that_cannot_be_sent_gives_way_to_an_overwrite() {
    let none = Abilities { adjust: false, read: false, ..ALL };
    let Step::OverwriteInstead(page, updates) = next_step(PushKind::Increase, vec![increase(1, 3)], &none, at(1)) else {
        panic!("it is sent")
    };
    assert_eq!((page[0].state(), updates[0].1.heal.is_some()), (PushState::Superseded, true));
    assert!(matches!(next_step(PushKind::Increase, vec![increase(1, 3)], &ALL, at(1)), Step::Send(_, Method::KeyedAdjust)));
    assert!(matches!(next_step(PushKind::Increase, vec![increase(1, 3)], &READS, at(1)), Step::ReadFirst(_)));
    assert!(matches!(next_step(PushKind::Overwrite, vec![overwrite(1)], &none, at(1)), Step::Aim(_)));
}

#[test]
fn an_overwrite_takes_the_target_and_one_without_a_target_is_cancelled() {
    let targets = HashMap::from([(listing(1), Some(7)), (listing(2), None)]);
    let aimed = aim(vec![overwrite(1), overwrite(2), overwrite(3)], &targets, at(1));
    assert_eq!(aimed.claimed.iter().map(Push::quantity).collect::<Vec<_>>(), [Some(7)]);
    assert!(aimed.before.iter().all(|push| push.state() == PushState::Queued));
    assert_eq!(
        aimed.cancelled.iter().map(|p| (p.listing_id(), p.state())).collect::<Vec<_>>(),
        [(listing(2), PushState::Cancelled), (listing(3), PushState::Cancelled)]
    );
    let (in_flight, _) = sent(vec![increase(1, 3)], SendBy::Increase(Method::KeyedAdjust));
    let superseded = contained([vec![increase(1, 3), overwrite(1)], in_flight].concat(), at(1));
    assert_eq!(superseded.iter().map(Push::state).collect::<Vec<_>>(), [PushState::Superseded]);
}

#[test]
fn a_read_gives_each_increase_its_own_base_and_passes_over_listings_with_something_in_flight() {
    let pushes: Vec<Push> = (1..=4).map(|n| increase(n, 3)).collect();
    let ids: Vec<PushId> = pushes.iter().map(Push::id).collect();
    let waiting: HashMap<PushId, Push> = pushes.into_iter().map(|push| (push.id(), push)).collect();
    let outcome = Outcome::Answered(vec![applied(10), applied(20), ItemResult::Unknown { reason: "?".into() }, applied(40)]);
    let answer = Answer { outcome: &outcome, raw: None, now: at(1) };
    let doubted = HashMap::from([(listing(4), Account { shown: Some(39), doubt_until: Some(at(2)), ..Account::default() })]);
    let after = outcome::after_read(&ids, waiting, &BTreeSet::from([listing(2)]), &doubted, answer, &terms(READS));
    assert_eq!(after.claimed.iter().map(|p| (p.listing_id(), p.base())).collect::<Vec<_>>(), [(listing(1), Some(10))]);
    assert_eq!(after.others.iter().map(|p| (p.listing_id(), p.state())).collect::<Vec<_>>(), [(listing(3), PushState::Retrying)]);
    let shown: HashMap<ListingId, Option<i64>> = after.updates.iter().map(|(of, update)| (*of, update.shown)).collect();
    assert_eq!(shown, HashMap::from([(listing(1), Some(10)), (listing(3), None), (listing(4), Some(40))]));
    let healed: Vec<_> = after.updates.iter().filter(|(_, update)| update.heal.is_some()).map(|(of, _)| *of).collect();
    assert_eq!(healed, [listing(4)], "a late request was applied");
}

#[test]
fn an_overwrite_applied_after_doubt_is_followed_by_another_only_if_the_target_moved_otherwise_than_by_waiting_increases() {
    let mut aimed = overwrite(1);
    aimed.aim(7);
    let before = uncertain(vec![aimed], SendBy::Overwrite(Resolution::SameCallAgain));
    let mut page = before.clone();
    begin(&mut page, before[0].call_id().unwrap(), SendBy::Repeat, at(1)).unwrap();
    let outcome = Outcome::Answered(vec![applied(7)]);
    outcome::finish(&mut page, &HashMap::new(), Answer { outcome: &outcome, raw: None, now: at(2) }, &terms(ALL));
    let applied = outcome::applied_after_doubt(&before, &page);
    assert_eq!(applied.len(), 1);
    for (target, waiting, moved) in
        [(7, vec![], false), (9, vec![], true), (9, vec![increase(1, 2)], false), (9, vec![increase(1, 1)], true)]
    {
        let targets = HashMap::from([(listing(1), Some(target))]);
        let healed: Vec<bool> =
            outcome::moved_targets(&applied, &targets, &waiting).iter().map(|(_, update)| update.heal.is_some()).collect();
        assert_eq!(healed, vec![true; usize::from(moved)], "{target} {waiting:?}");
    }
}

#[test]
fn increases_that_wait_beside_each_other_become_one() {
    let (in_flight, _) = sent(vec![increase(2, 9)], SendBy::Increase(Method::KeyedAdjust));
    let changed = waiting::merge([vec![increase(1, 3), increase(1, 4), increase(2, 5)], in_flight].concat(), at(1));
    let waiting: Vec<_> = changed.iter().filter(|p| p.state().is_waiting()).filter(|p| p.listing_id() == listing(1)).collect();
    assert_eq!(waiting.iter().map(|p| p.quantity()).collect::<Vec<_>>(), [Some(7)]);
    assert!(waiting::merge(vec![increase(1, 3), increase(2, 4)], at(1)).is_empty());
}

#[test]
fn a_retry_passes_over_listings_that_are_not_paired_any_more() {
    let held = || Push::increase(addressee(1), 3, at(0), true);
    assert_eq!(waiting::retry(vec![held()], &RetryFacts::default(), at(1)), waiting::Retried::default());
    let facts = RetryFacts { paired: BTreeSet::from([listing(1)]), ..RetryFacts::default() };
    let retried = waiting::retry(vec![held()], &facts, at(1));
    assert_eq!((retried.changed[0].state(), retried.queued), (PushState::Queued, vec![listing(1)]));
    let facts = RetryFacts { held: BTreeSet::from([StoreId(Uuid::nil())]), ..facts };
    assert_eq!(waiting::retry(vec![held()], &facts, at(1)).changed[0].state(), PushState::Held);
}

#[test]
fn a_listing_is_healed_by_one_overwrite() {
    let addressees = || HashMap::from([(listing(1), addressee(1))]);
    let wanted = [(listing(1), "a".to_owned()), (listing(1), "b".to_owned()), (listing(2), "unpaired".to_owned())];
    assert_eq!(waiting::heal(&wanted, &[], addressees(), &BTreeSet::new(), at(1)).len(), 1);
    assert!(waiting::heal(&wanted, &[overwrite(1)], addressees(), &BTreeSet::new(), at(1)).is_empty());
    let of_run = Push::overwrite(addressee(1), at(0), Some(RunId::new(at(0))), None, false);
    assert_eq!(waiting::heal(&wanted, &[of_run], addressees(), &BTreeSet::new(), at(1)).len(), 1, "the run may be canceled");
}

proptest! {
    #[test]
    fn a_page_has_one_push_a_listing_one_group_no_more_than_the_limit_and_the_order_in_which_they_were_due(
        listings in prop::collection::vec(1_u128..8, 0..20), limit in 1_usize..6, grouped: bool,
    ) {
        let due: Vec<Push> = listings.iter().map(|n| increase(*n, 1)).collect();
        let terms = ClaimTerms { limit, group_by: grouped.then_some("location"), ..terms(ALL) };
        let page = page_of(due.clone(), &terms);
        prop_assert!(page.len() <= limit && page.is_empty() == due.is_empty());
        prop_assert_eq!(page.iter().map(Push::listing_id).collect::<BTreeSet<_>>().len(), page.len());
        let place = |push: &Push| due.iter().position(|other| other.id() == push.id());
        prop_assert!(page.iter().map(place).is_sorted());
        prop_assert!(!grouped || page.iter().all(|push| push.extra() == page[0].extra()));
    }

    #[test]
    fn each_items_answer_goes_to_its_own_push(answers in prop::collection::vec(any::<bool>(), 1..12)) {
        let pushes: Vec<Push> = (1..).take(answers.len()).map(|n| increase(n, 1)).collect();
        let (mut page, call) = sent(pushes, SendBy::Increase(Method::KeyedAdjust));
        prop_assert!(page.iter().map(Push::id).eq(call.items.iter().map(|item| item.push)));
        let refused = || ItemResult::Rejected { reason: "gone".into(), next_step: "pair it".into() };
        let results = answers.iter().map(|ok| if *ok { applied(1) } else { refused() }).collect();
        let outcome = Outcome::Answered(results);
        outcome::finish(&mut page, &HashMap::new(), Answer { outcome: &outcome, raw: None, now: at(1) }, &terms(ALL));
        prop_assert!(page.iter().map(Push::is_confirmed).eq(answers));
    }
}

#[test]
fn an_increase_that_nothing_can_resolve_gives_way_to_an_overwrite_of_its_own_listing() {
    let terms = terms(READS);
    let mut page = uncertain(vec![increase(1, 3), increase(2, 4)], SendBy::Increase(Method::BlindAdjust));
    let updates = give_up(&mut page, terms.context(at(60_000), 1));
    assert_eq!(
        updates.iter().map(|(id, update)| (*id, update.heal.is_some())).collect::<Vec<_>>(),
        [(listing(1), true), (listing(2), true)]
    );
    assert!(page.iter().all(|push| push.state() == PushState::Superseded));
}

#[test]
fn a_read_back_decides_each_uncertain_increase_by_its_own_listing() {
    let pushes = (1..=3).map(|n| with_base(increase(n, 3), 10)).collect();
    let page = uncertain(pushes, SendBy::Increase(Method::ReadAndAdjust));
    let ids: Vec<PushId> = page.iter().map(Push::id).collect();
    let uncertain = page.into_iter().map(|push| (push.id(), push)).collect();
    let outcome = Outcome::Answered(vec![applied(13), applied(10), ItemResult::Unknown { reason: "?".into() }]);
    let answer = Answer { outcome: &outcome, raw: Some("raw"), now: at(60_000) };
    let (changed, updates) = outcome::read_back(&ids, uncertain, &HashMap::new(), answer, &terms(READS));
    let states: Vec<_> = changed.iter().map(|push| (push.listing_id(), push.state())).collect();
    let expected = [(listing(1), PushState::Confirmed), (listing(2), PushState::Retrying), (listing(3), PushState::Uncertain)];
    assert_eq!(states, expected, "arrived, did not arrive, still unknown");
    assert_eq!(
        updates.iter().map(|(of, update)| (*of, update.shown)).collect::<Vec<_>>(),
        [(listing(1), Some(13)), (listing(2), Some(10)), (listing(3), None)]
    );
}

#[test]
fn only_a_push_that_was_not_confirmed_keeps_the_platforms_answer() {
    let (mut page, _) = sent(vec![increase(1, 3), increase(2, 3)], SendBy::Increase(Method::KeyedAdjust));
    let outcome = Outcome::Answered(vec![applied(3), ItemResult::Unknown { reason: "?".into() }]);
    outcome::finish(&mut page, &HashMap::new(), Answer { outcome: &outcome, raw: Some("raw"), now: at(1) }, &terms(ALL));
    let kept: Vec<_> = page.iter().map(|push| (push.is_confirmed(), push.record().raw_answer)).collect();
    assert_eq!(kept, [(true, None), (false, Some("raw".to_owned()))]);
}

#[test]
fn a_finished_call_says_what_waits_again_what_was_confirmed_and_what_was_overwritten() {
    let page =
        [(1, PushState::Confirmed), (2, PushState::Retrying), (3, PushState::Rejected)].map(|(n, state)| increase(n, 3).in_state(state));
    let overwrites = [(4, PushState::Confirmed), (5, PushState::Queued)].map(|(n, state)| overwrite(n).in_state(state));
    let page = [page.to_vec(), overwrites.to_vec()].concat();
    assert_eq!(outcome::waiting_again(&page), [listing(2), listing(5)]);
    assert_eq!(outcome::confirmed(&page), 2);
    assert_eq!(outcome::overwritten(&page), [listing(4)]);
}

#[test]
fn more_due_pushes_are_loaded_where_only_some_fit_into_one_call() {
    let plain = terms(ALL);
    assert_eq!((plain.rows(), plain.uncertain_rows()), (10, 1000));
    let large = ClaimTerms { limit: 5000, ..plain };
    assert_eq!((large.rows(), large.uncertain_rows()), (5000, 5000));
    assert_eq!(ClaimTerms { group_by: Some("location"), ..plain }.rows(), 1000);
}
