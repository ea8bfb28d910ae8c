//! What reads, looks and answers do to pushes and to their listings.
use super::*;
use crate::domain::push::{LOOK_AFTER, LatestNumbers, ListingUpdate};

/// Reads, then sets.
const SETS: Abilities = Abilities { adjust: false, ..READS };
/// Compares, then sets.
const ALL_BUT_KEYS: Abilities = Abilities { idempotency: false, ..ALL };
const NOW_MS: i64 = 7_200_000;

fn lost() -> Outcome {
    Outcome::Unknown { reason: "timeout".into() }
}

fn account_of(n: u128, account: Account) -> HashMap<ListingId, Account> {
    HashMap::from([(listing(n), account)])
}

/// The answer to the read before these increases are sent.
fn read_before(pushes: &[Push], accounts: &HashMap<ListingId, Account>, outcome: &Outcome, abilities: Abilities) -> outcome::AfterRead {
    let ids: Vec<PushId> = pushes.iter().map(Push::id).collect();
    let waiting = pushes.iter().map(|push| (push.id(), push.clone())).collect();
    outcome::after_read(&ids, waiting, &BTreeSet::new(), accounts, Answer { outcome, raw: None, now: at(1_000) }, &terms(abilities))
}

#[test]
fn nothing_is_added_to_a_number_that_a_cache_may_have_answered() {
    let changed = Account { shown: Some(15), before: LatestNumbers::default().with(10), changed_at: Some(at(0)), ..Account::default() };
    let read = |abilities, shown| {
        let after = read_before(&[increase(1, 3)], &account_of(1, changed), &Outcome::Answered(vec![applied(shown)]), abilities);
        let bases: Vec<_> = after.claimed.iter().map(Push::base).collect();
        let waiting: Vec<_> = after.others.iter().map(|push| (push.state(), push.due_at())).collect();
        (bases, waiting, after.updates[0].1.shown)
    };
    assert_eq!(read(SETS, 10), (vec![], vec![(PushState::Retrying, Some(at(21_000)))], None), "it is asked again");
    assert_eq!(read(SETS, 15), (vec![Some(15)], vec![], Some(15)));
    assert_eq!(read(READS, 10), (vec![Some(10)], vec![], None), "a store that adds needs no base to add to");
    let doubted = Account { doubt_until: Some(at(2_000)), shown: Some(8), ..changed };
    let read_in_doubt = read_before(&[increase(1, 3)], &account_of(1, doubted), &Outcome::Answered(vec![applied(10)]), ALL_BUT_KEYS);
    assert_eq!(read_in_doubt.updates[0].1.heal, None, "it is no late request that a cache shows");
    assert_eq!(read(ALL_BUT_KEYS, 10), (vec![Some(10)], vec![], None), "a store that compares refuses a base that is not true");
}

#[test]
fn nothing_is_taken_off_by_a_number_that_a_cache_may_have_answered() {
    let changed = Account { shown: Some(10), before: LatestNumbers::default().with(0), changed_at: Some(at(0)), ..Account::default() };
    let read = |abilities, shown| {
        let after = read_before(&[increase(1, -3)], &account_of(1, changed), &Outcome::Answered(vec![applied(shown)]), abilities);
        let bases: Vec<_> = after.claimed.iter().map(Push::base).collect();
        (bases, after.others.iter().map(Push::state).collect::<Vec<_>>())
    };
    for abilities in [READS, SETS, ALL_BUT_KEYS] {
        assert_eq!(read(abilities, 0), (vec![], vec![PushState::Retrying]), "it is asked again");
        assert_eq!(read(abilities, 10), (vec![Some(10)], vec![]));
        assert_eq!(read(abilities, -1), (vec![], vec![PushState::Confirmed]), "nothing is there");
    }
    let plain = |abilities| {
        let after = read_before(&[increase(1, -3)], &HashMap::new(), &Outcome::Answered(vec![applied(0)]), abilities);
        (after.claimed.len(), after.others.len())
    };
    assert_eq!([READS, SETS, ALL_BUT_KEYS].map(plain), [(0, 1), (0, 1), (1, 0)], "a store that compares confirms it");
}

#[test]
fn a_read_of_several_listings_without_an_answer_is_repeated_at_once_among_half_as_many() {
    let read = |items: u128| {
        let pushes: Vec<Push> = (1..=items).map(|n| increase(n, 3)).collect();
        let after = read_before(&pushes, &HashMap::new(), &lost(), READS);
        assert!(after.claimed.is_empty());
        let waits = |push: &Push| {
            let record = push.record();
            assert_eq!((record.state, record.failing_since), (PushState::Retrying, Some(at(1_000))));
            assert_eq!(record.reason.as_deref(), Some("timeout"));
            (record.batch_limit, record.due_at, record.attempts)
        };
        after.others.iter().map(waits).collect::<Vec<_>>()
    };
    assert_eq!(read(3), vec![(Some(2), Some(at(1_000)), 0); 3]);
    assert_eq!(read(2), vec![(Some(1), Some(at(1_000)), 0); 2]);
    assert_eq!(read(1), [(None, Some(at(1_500)), 1)], "alone, it waits as after any failure");
}

#[test]
fn a_read_that_does_not_say_what_a_listing_shows_changes_nothing_and_is_repeated() {
    let reason = || "?".to_owned();
    for result in [
        ItemResult::Unknown { reason: reason() },
        ItemResult::NeverApplied { reason: reason() },
        ItemResult::RefusedWithOthers { reason: reason() },
        ItemResult::TryAgain { reason: reason() },
        ItemResult::Applied { shown: None },
        ItemResult::Stale { shown: 9 },
        ItemResult::Accepted,
    ] {
        let outcome = Outcome::Answered(vec![result.clone(), applied(4)]);
        let after = read_before(&[increase(1, 3), increase(2, 3)], &HashMap::new(), &outcome, READS);
        assert_eq!(after.claimed.iter().map(Push::listing_id).collect::<Vec<_>>(), [listing(2)], "{result:?}");
        let waits: Vec<_> = after.others.iter().map(|push| (push.state(), push.due_at(), push.batch_limit())).collect();
        assert_eq!(waits, [(PushState::Retrying, Some(at(1_500)), None)], "{result:?}");
        assert_eq!(after.updates[0], (listing(1), ListingUpdate::default()), "{result:?}");
    }
}

/// What the answer to a read makes of this many uncertain pushes: their state, batch limit and due time, each the same.
fn read_back(push: impl Fn(u128) -> Push, by: SendBy, items: u128, outcome: &Outcome) -> (PushState, Option<usize>, Option<i64>) {
    let page = uncertain((1..=items).map(push).collect(), by);
    let ids: Vec<PushId> = page.iter().map(Push::id).collect();
    let page = page.into_iter().map(|push| (push.id(), push)).collect();
    let answer = Answer { outcome, raw: None, now: at(NOW_MS) };
    let (changed, _) = outcome::read_back(&ids, page, &HashMap::new(), answer, &terms(READS));
    let mut found: Vec<_> = changed.iter().map(|p| (p.state(), p.batch_limit(), p.due_at().map(Timestamp::as_millis))).collect();
    assert_eq!(found.len(), ids.len());
    found.dedup();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0]
}

#[test]
fn a_read_back_of_several_listings_without_an_answer_is_repeated_at_once_among_half_as_many() {
    let refused = Outcome::Refused { reason: "400".into(), next_step: String::new() };
    let failed = Outcome::TryAgain { reason: "no connection".into(), after: None, throttled: false };
    let back =
        |items, outcome: &Outcome| read_back(|n| with_base(increase(n, 3), 10), SendBy::Increase(Method::ReadAndAdjust), items, outcome);
    let (now, later) = (Some(NOW_MS), Some(NOW_MS + 1_000));
    assert_eq!(back(4, &lost()), (PushState::Uncertain, Some(2), now));
    assert_eq!(back(4, &refused), (PushState::Uncertain, Some(2), now));
    assert_eq!(back(1, &lost()), (PushState::Uncertain, None, later), "alone, it waits as after any failure");
    assert_eq!(back(4, &failed), (PushState::Uncertain, Some(2), later), "nothing says that the call was too large");
    assert_eq!(back(1, &refused), (PushState::Superseded, None, None), "alone, it gives way to an overwrite");
}

#[test]
fn an_overwrite_whose_listing_cannot_be_read_is_sent_again_unless_the_store_asked_for_a_pause() {
    let aimed = |n| {
        let mut push = overwrite(n);
        push.aim(7);
        push
    };
    let answered = Outcome::Answered(vec![ItemResult::Unknown { reason: "?".into() }]);
    let again = |throttled| Outcome::TryAgain { reason: "later".into(), after: Some(std::time::Duration::from_secs(60)), throttled };
    let overwritten = |outcome: &Outcome| read_back(aimed, SendBy::Overwrite(Resolution::Overwrite), 1, outcome);
    let increased = |outcome: &Outcome| read_back(|n| with_base(increase(n, 3), 10), SendBy::Increase(Method::ReadAndAdjust), 1, outcome);
    let (at_once, in_a_minute) = (Some(NOW_MS), Some(NOW_MS + 60_000));
    assert_eq!(overwritten(&answered), (PushState::Retrying, None, at_once));
    assert_eq!(overwritten(&again(false)), (PushState::Retrying, None, at_once));
    assert_eq!(overwritten(&again(true)), (PushState::Uncertain, None, in_a_minute));
    assert_eq!(increased(&answered), (PushState::Uncertain, None, Some(NOW_MS + 1_000)), "an increase is never sent again on a guess");
    assert_eq!(increased(&again(false)), (PushState::Uncertain, None, in_a_minute));
    assert_eq!(increased(&again(true)), (PushState::Uncertain, None, in_a_minute));
}

/// What a look at a listing finds.
fn look(account: Account, outcome: &Outcome, busy: bool) -> ListingUpdate {
    let busy = busy.then(|| listing(1)).into_iter().collect();
    let found = outcome::looked(&[listing(1)], &busy, &account_of(1, account), Answer { outcome, raw: None, now: at(NOW_MS) });
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, listing(1));
    found[0].1.clone()
}

#[test]
fn a_look_heals_a_listing_that_contradicts_the_account_or_can_be_written_again_and_looks_on_otherwise() {
    let doubted = Account { shown: Some(10), doubt_until: Some(at(NOW_MS + 1)), ..Account::default() };
    let owed = Account { shown: Some(10), owed_since: Some(at(0)), ..Account::default() };
    let shows = |shown| Outcome::Answered(vec![applied(shown)]);
    let heals = |update: ListingUpdate| (update.shown, update.heal.is_some(), update.look_at);
    let rarer = Some(at(NOW_MS + NOW_MS / 2));
    assert_eq!(heals(look(doubted, &shows(10), false)), (Some(10), false, doubted.next_look(at(NOW_MS))));
    assert_eq!(heals(look(doubted, &shows(12), false)), (Some(12), true, None), "a late request was applied");
    assert_eq!(heals(look(owed, &shows(10), false)), (Some(10), true, None), "it can be read, so it may be written again");
    assert_eq!(heals(look(Account::default(), &shows(10), false)), (Some(10), false, None), "there is nothing left to look for");
    let gone = Outcome::Answered(vec![ItemResult::Rejected { reason: "gone".into(), next_step: String::new() }]);
    assert_eq!(look(owed, &gone, false), ListingUpdate { look_at: rarer, ..ListingUpdate::default() });
}

#[test]
fn a_look_that_found_nothing_out_is_repeated_soon() {
    let soon = ListingUpdate { look_at: Some(at(NOW_MS) + LOOK_AFTER), ..ListingUpdate::default() };
    let owed = Account { shown: Some(10), owed_since: Some(at(0)), doubt_until: Some(at(NOW_MS + 1)), ..Account::default() };
    let cached = Account { shown: Some(10), before: LatestNumbers::default().with(5), changed_at: Some(at(NOW_MS)), ..owed };
    assert_eq!(look(owed, &lost(), false), soon);
    assert_eq!(look(owed, &Outcome::Answered(vec![ItemResult::Applied { shown: None }]), false), soon);
    assert_eq!(look(owed, &Outcome::Answered(vec![applied(12)]), true), soon, "what is under way will be answered anyway");
    assert_eq!(look(cached, &Outcome::Answered(vec![applied(5)]), false), soon, "a cache may have answered");
}

#[test]
fn without_reads_what_is_owed_is_tried_again() {
    let accounts = [(1, Some(at(0))), (2, None)].map(|(n, owed_since)| (listing(n), Account { owed_since, ..Account::default() }));
    let found = outcome::looked_blindly(&[listing(1), listing(2), listing(3)], &HashMap::from(accounts));
    assert_eq!(found.iter().map(|(listing, update)| (*listing, update.heal.is_some())).collect::<Vec<_>>(), [(listing(1), true)]);
}

#[test]
fn only_overwrites_that_were_in_doubt_and_not_cancelled_may_have_been_applied_with_an_old_target() {
    let aimed = |n| {
        let mut push = overwrite(n);
        push.aim(7);
        push
    };
    let by = SendBy::Overwrite(Resolution::SameCallAgain);
    let [doubted, unconfirmed, mut cancelled] = [1, 2, 3].map(|n| uncertain(vec![aimed(n)], by).remove(0));
    cancelled.cancel("off", at(1));
    let increased = uncertain(vec![increase(4, 3)], SendBy::Increase(Method::KeyedAdjust)).remove(0);
    let fresh = sent(vec![aimed(5)], by).0.remove(0);
    let before = [doubted, unconfirmed, cancelled, increased, fresh];
    let confirmed =
        |push: &Push| push.clone().in_state(if push.listing_id() == listing(2) { PushState::Retrying } else { PushState::Confirmed });
    let page: Vec<Push> = before.iter().map(confirmed).collect();
    let found = outcome::applied_after_doubt(&before, &page);
    assert_eq!(found.iter().map(|push| push.listing_id()).collect::<Vec<_>>(), [listing(1)]);
}
