//! A pack is nothing but its pushes: whatever happens to it happens to each of them.
use super::*;
use crate::domain::claim::outcome::{self, Answer};
use crate::domain::claim::{self, ClaimTerms};
use crate::domain::delivery::{Abilities, ItemResult, Outcome};
use crate::domain::ids::start_id_order_of_this_thread;
use crate::domain::push::{Account, SendBy};
use crate::domain::retry::RetryPolicy;
use proptest::prelude::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn addressees(store: StoreId, count: usize) -> Vec<Addressee> {
    let to = |n: usize| Addressee {
        store_id: store,
        listing_id: ListingId::new(at(0)),
        sku: format!("SKU-{n}"),
        external_id: format!("e{n}"),
        extra: n.is_multiple_of(2).then(|| format!("{{\"location\":\"{n}\"}}")),
    };
    (0..count).map(to).collect()
}

fn queued(count: usize) -> Pack {
    Pack::queued(addressees(StoreId::new(at(0)), count), RunId::new(at(0)), at(1_000)).unwrap()
}

fn sending(count: usize) -> Pack {
    let mut pack = queued(count);
    pack.begin(CallId::new(at(1)), (0..count as i64).collect(), Resolution::SameCallAgain, at(1_300)).unwrap();
    pack
}

fn changed(pack: &Pack, change: impl Fn(&mut Push)) -> Vec<Push> {
    let mut pushes = pack.pushes().unwrap();
    pushes.iter_mut().for_each(change);
    pushes
}

#[test]
fn a_new_pack_holds_the_overwrites_that_would_be_made_one_by_one_but_for_their_ids() {
    let pack = queued(3);
    let one_by_one = |to: &Addressee| Push::overwrite(to.clone(), at(1_000), Some(pack.run_id), None, false).record();
    let expected: Vec<Record> = pack.items.iter().map(one_by_one).collect();
    let found = pack.pushes().unwrap().into_iter().map(Push::into_record);
    let without_ids: Vec<Record> = found.zip(&expected).map(|(own, other)| Record { id: other.id, ..own }).collect();
    assert_eq!(without_ids, expected);
    assert!(Pack::queued(Vec::new(), pack.run_id, at(0)).is_none());
}

#[test]
fn ids_of_a_pack_follow_each_other_and_sort_between_those_made_before_and_after() {
    // Otherwise ids that other tests make at later times would move these.
    start_id_order_of_this_thread();
    let before = PushId::new(at(1_000));
    let pack = queued(PACK_SIZE);
    let after = PushId::new(at(1_000));
    let ids: Vec<PushId> = pack.pushes().unwrap().iter().map(Push::id).collect();
    assert!(ids.is_sorted() && before < ids[0] && ids[PACK_SIZE - 1] < after, "{before} {ids:?} {after}");
    assert_eq!(ids[7].created_at(), Some(at(1_000)));
    assert_eq!(pack.push_of(ids[7]).unwrap().unwrap().id(), ids[7]);
    assert!(pack.push_of(before).is_none() && pack.push_of(after).is_none() && pack.push_of(pack.id.nth(PACK_SIZE)).is_none());
}

#[test]
fn whatever_happens_to_a_pack_happens_to_each_of_its_pushes() {
    let mut pack = queued(3);
    let call = CallId::new(at(2));
    let by = Resolution::Overwrite;
    let mut one_by_one = changed(&pack, |push| push.aim(push.quantity().unwrap_or(4)));
    let claimed = claim::begin(&mut one_by_one, call, SendBy::Overwrite(by), at(1_500)).unwrap();
    assert_eq!(pack.begin(call, vec![4, 4, 4], by, at(1_500)).unwrap(), claimed.items);
    assert_eq!(pack.pushes().unwrap(), one_by_one, "sent");

    let mut held = queued(3);
    let one_by_one = changed(&held, |push| push.hold_with_store(at(2_000)));
    held.hold_with_store(at(2_000));
    assert_eq!(held.pushes().unwrap(), one_by_one, "held");
    let mut released = held.clone();
    let one_by_one = changed(&held, |push| push.release_with_store(at(3_000)));
    released.release_with_store(at(3_000));
    assert_eq!(released.pushes().unwrap(), one_by_one, "released");
    for waiting in [queued(3), held] {
        let mut cancelled = waiting.clone();
        let one_by_one = changed(&waiting, |push| push.cancel("Because.", at(4_000)));
        cancelled.cancel("Because.", at(4_000));
        assert_eq!(cancelled.pushes().unwrap(), one_by_one, "cancelled");
    }
    let mut in_flight = sending(3);
    in_flight.cancel("Because.", at(4_000));
    in_flight.hold_with_store(at(4_000));
    in_flight.release_with_store(at(4_000));
    assert_eq!(in_flight, sending_like(&in_flight));
    assert!(in_flight.begin(call, vec![1, 2, 3], by, at(5_000)).is_err() && queued(3).begin(call, vec![1], by, at(5_000)).is_err());
}

fn sending_like(other: &Pack) -> Pack {
    Pack { state: PushState::Sending, reason: None, due_at: None, updated_at: at(1_300), ..other.clone() }
}

fn terms(limit: usize) -> ClaimTerms {
    let abilities = Abilities { adjust: true, idempotency: true, compare_and_set: false, read: true, max_items: limit };
    ClaimTerms {
        abilities,
        limit,
        group_by: None,
        overwrites_first: false,
        overwrites_wait: false,
        policy: RetryPolicy::default(),
        jitter: 0.0,
    }
}

#[test]
fn a_call_takes_as_many_packs_of_one_run_as_fit_and_a_part_of_the_last() {
    let first = queued(10);
    let like = |count| Pack { run_id: first.run_id, store_id: first.store_id, ..queued(count) };
    let all = vec![first.clone(), like(10), like(3)];
    let sizes = |limit: usize| match next_call(all.clone(), &terms(limit)).unwrap() {
        Next::Send(page, rest) => (page.iter().map(Pack::len).collect(), rest.map(|pack| pack.len())),
        Next::Unpack(pack) => (Vec::new(), Some(pack.len())),
    };
    assert_eq!(sizes(100), (vec![10, 10, 3], None));
    assert_eq!(sizes(23), (vec![10, 10, 3], None));
    assert_eq!(sizes(21), (vec![10, 10, 1], Some(2)));
    assert_eq!(sizes(20), (vec![10, 10], None));
    assert_eq!(sizes(4), (vec![4], Some(6)));
    assert_eq!(sizes(2), (vec![2], Some(8)));
    assert_eq!(sizes(1), (Vec::new(), Some(10)), "it would be written again ten times");
    let other_run = next_call(vec![first.clone(), queued(5)], &terms(100)).unwrap();
    assert_eq!(other_run, Next::Send(vec![first], None));
    assert_eq!(next_call(Vec::new(), &terms(9)), None);
}

#[test]
fn items_that_must_not_share_a_call_are_not_sent_in_one() {
    let by_location = ClaimTerms { group_by: Some("location"), ..terms(100) };
    let located = |place: &str| {
        let mut pack = queued(3);
        pack.items.iter_mut().for_each(|to| to.extra = Some(format!("{{\"location\":\"{place}\"}}")));
        pack
    };
    let first = located("one");
    let [same, other] = ["one", "two"].map(|place| Pack { run_id: first.run_id, ..located(place) });
    let call = next_call(vec![first.clone(), same.clone(), other], &by_location).unwrap();
    assert_eq!(call, Next::Send(vec![first, same], None));
    let mixed = queued(3);
    assert_eq!(next_call(vec![mixed.clone()], &by_location), Some(Next::Unpack(mixed)));
}

#[test]
fn a_confirmed_pack_holds_what_a_plain_success_makes_of_each_push() {
    let mut pack = sending(3);
    let outcome = Outcome::Answered((0..3).map(|n| ItemResult::Applied { shown: Some(n) }).collect());
    let mut one_by_one = pack.pushes().unwrap();
    let account = Account { shown: Some(7), sold_when_shown: 2, increased: 3, ..Account::default() };
    let accounts = one_by_one.iter().map(|push| (push.listing_id(), account)).collect();
    outcome::finish(&mut one_by_one, &accounts, Answer { outcome: &outcome, raw: Some("raw"), now: at(9_000) }, &terms(9));
    pack.confirm(vec![Replaced::plain(7, 2, 3); 3], at(9_000));
    assert_eq!(pack.pushes().unwrap(), one_by_one);
}

#[test]
fn a_pack_that_came_a_little_too_early_waits_once_as_if_it_had_not_been_sent() {
    let throttled =
        |after: Option<u64>| Outcome::TryAgain { reason: "slow down".to_owned(), after: after.map(Duration::from_secs), throttled: true };
    let unavailable = Outcome::TryAgain { reason: "down".to_owned(), after: None, throttled: false };
    for other in [throttled(Some(6)), unavailable, Outcome::Answered(Vec::new())] {
        let mut packs = [sending(3)];
        assert!(!wait_again(&mut packs, &other, at(2_000)), "{other:?}");
        assert_eq!(packs[0].state, PushState::Sending);
    }
    for after in [None, Some(1), Some(5)] {
        let mut packs = [sending(3), sending(2)];
        assert!(wait_again(&mut packs, &throttled(after), at(2_000)));
        for pack in &mut packs {
            assert_eq!((pack.state, pack.due_at, pack.reason.as_deref()), (PushState::Queued, Some(at(2_000)), Some("slow down")));
            assert!(pack.pushes().unwrap().iter().all(|push| push.call_id().is_none() && push.quantity().is_none()));
            let targets = vec![9; pack.len()];
            let items = pack.begin(CallId::new(at(3)), targets, Resolution::SameCallAgain, at(3_000)).unwrap();
            assert!(items.iter().all(|item| item.change == Change::Set(9)), "the target of the time at which it is sent");
        }
        assert!(!wait_again(&mut packs, &throttled(after), at(4_000)), "the second time it is retried like single pushes");
    }
}

#[test]
fn listings_are_packed_by_store_in_their_order() {
    let [one, two] = [StoreId::new(at(0)), StoreId::new(at(0))];
    let (first, second) = (addressees(one, PACK_SIZE + 1), addressees(two, 2));
    let listings: Vec<Addressee> = [&second[..1], &first[..], &second[1..]].concat();
    let packs = packs_of(listings, RunId::new(at(0)), at(5));
    let found: Vec<(StoreId, usize)> = packs.iter().map(|pack| (pack.store_id, pack.len())).collect();
    assert_eq!(found, [(two, 2), (one, PACK_SIZE), (one, 1)]);
    assert_eq!(packs[1].items, first[..PACK_SIZE]);
    assert_eq!(packs[0].span(), Some((second[0].listing_id, second[1].listing_id)));
    assert!(packs[0].concerns(&BTreeSet::from([second[1].listing_id])) && !packs[0].concerns(&BTreeSet::from([first[1].listing_id])));
}

proptest! {
    #[test]
    fn a_pack_may_be_split_anywhere(count in 1usize..20, place in 0usize..25) {
        let whole = queued(count);
        let mut head = whole.clone();
        let tail = head.split_off(place);
        prop_assert_eq!(head.len(), place.min(count));
        let parts: Vec<Push> = [head, tail].iter().flat_map(|pack| pack.pushes().unwrap()).collect();
        prop_assert_eq!(parts, whole.pushes().unwrap());
    }
}
