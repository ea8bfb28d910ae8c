//! A run from its start to its end, and how its pushes are counted.
use super::*;
use crate::domain::allocation::Share;
use crate::domain::guard::{Guard, Weighing};
use crate::domain::push::PushState::{self, *};
use crate::domain::settings::{Rule, StoreRules, SyncSettings};
use chrono::NaiveDate;
use proptest::prelude::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn store() -> StoreRules {
    let (falls, restocks) = Default::default();
    StoreRules {
        store_id: StoreId::new(at(0)),
        share: Some(Share::ALL),
        sync_enabled: true,
        warehouses: None,
        has_multiples: false,
        falls,
        restocks,
        repeats_skus: false,
    }
}

fn rules(stores: &[(&StoreRules, bool)], rules: Vec<Rule>) -> SellerRules {
    let settings = SyncSettings::new(chrono_tz::UTC, at(0));
    SellerRules::new(settings, stores.iter().map(|(store, held)| ((*store).clone(), *held)), rules)
}

fn listed(store: &StoreRules, sku: &str) -> Addressee {
    Addressee { store_id: store.store_id, listing_id: ListingId::new(at(0)), sku: sku.to_owned(), external_id: sku.to_owned(), extra: None }
}

fn started() -> Expansion {
    Expansion::new(Run::start(RunKind::Manual, at(1)), RunFilter::default(), None)
}

/// A run of this many listings, expanded, with its overwrites.
fn expanded(listings: usize) -> (Run, Vec<Push>) {
    let shop = store();
    let mut expansion = started();
    let page = (0..listings).map(|n| listed(&shop, &n.to_string())).collect();
    let overwrites = expansion.next_page(page, &rules(&[(&shop, false)], Vec::new()), at(2));
    (expansion.run, pushes_of(&overwrites))
}

fn pushes_of(overwrites: &Overwrites) -> Vec<Push> {
    overwrites.packs.iter().flat_map(|pack| pack.pushes().unwrap()).chain(overwrites.held.clone()).collect()
}

#[test]
fn kinds_and_states_have_the_words_of_the_interface() {
    assert_eq!(RunKind::ALL.map(RunKind::as_str), ["manual", "daily", "initial", "undo"]);
    assert_eq!(RunKind::ALL.map(RunKind::is_automatic), [false, true, true, false]);
    assert_eq!(RunState::ALL.map(RunState::as_str), ["running", "waiting_for_answer", "finished", "cancelled", "missed"]);
}

#[test]
fn a_daily_run_belongs_to_its_store_and_date_and_may_only_be_recorded_as_missed() {
    let store = StoreId::new(at(0));
    let date = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap();
    let daily = |missed| Run::daily(store, &DueRun { date, scheduled_for: at(5), missed }, at(9));
    let (run, missed) = (daily(false), daily(true));
    assert_eq!((run.kind, run.state, run.expanded, run.has_ended()), (RunKind::Daily, RunState::Running, false, false));
    assert_eq!((run.store_id, run.local_date.as_deref(), run.scheduled_for), (Some(store), Some("2026-03-01"), Some(at(5))));
    assert_eq!((missed.state, missed.expanded, missed.finished_at), (RunState::Missed, true, Some(at(9))));
    assert!(missed.reason.is_some());
    let only = RunFilter { store_ids: Some(vec![store]), skus: None };
    assert_eq!(Expansion::new(run, RunFilter::default(), None).filter, only);
}

#[test]
fn a_page_becomes_overwrites_of_the_listings_that_the_rules_push_held_where_their_store_is() {
    let (open, held, off) = (store(), store(), StoreRules { sync_enabled: false, ..store() });
    let never = Rule { sku: Some(Sku::parse("B").unwrap()), sync_enabled: Some(false), ..Rule::default() };
    let rules = rules(&[(&open, false), (&held, true), (&off, false)], vec![never]);
    let mut expansion = started();
    let page = vec![listed(&open, "A"), listed(&open, "B"), listed(&held, "A"), listed(&off, "A"), listed(&store(), "A")];
    let last = page[4].listing_id;
    let overwrites = expansion.next_page(page, &rules, at(3));
    assert_eq!((overwrites.packs.len(), overwrites.held.len()), (1, 1));
    let overwrites = pushes_of(&overwrites);
    let found: Vec<_> = overwrites.iter().map(|push| (push.store_id(), push.is_held(), push.due_at(), push.run_id())).collect();
    let run = Some(expansion.run.id);
    assert_eq!(found, [(open.store_id, false, Some(at(3)), run), (held.store_id, true, None, run)]);
    assert!(overwrites.iter().all(|push| push.is_overwrite() && push.quantity().is_none()));
    assert_eq!((expansion.run.total, expansion.run.expanded, expansion.expanded_to), (2, true, Some(last)));
    assert_eq!(expansion.run.state, RunState::Running);
}

#[test]
fn a_run_is_expanded_when_a_page_is_not_full_and_a_run_without_listings_is_finished_at_once() {
    let shop = store();
    let rules = rules(&[(&shop, false)], Vec::new());
    let mut expansion = started();
    let full: Vec<Addressee> = (0..EXPAND_PAGE).map(|n| listed(&shop, &n.to_string())).collect();
    let last = full.last().map(|to| to.listing_id);
    expansion.next_page(full, &rules, at(2));
    assert_eq!((expansion.run.total, expansion.run.expanded, expansion.expanded_to), (EXPAND_PAGE, false, last));
    expansion.next_page(Vec::new(), &rules, at(3));
    assert_eq!((expansion.run.expanded, expansion.run.state, expansion.expanded_to), (true, RunState::Running, last));
    let mut empty = started();
    assert_eq!(empty.next_page(Vec::new(), &rules, at(3)), Overwrites::default());
    assert_eq!((empty.run.state, empty.run.finished_at), (RunState::Finished, Some(at(3))));
}

#[test]
fn pushes_count_once_as_they_end_as_done_only_when_confirmed() {
    let (run, overwrites) = expanded(1);
    let counted = |from: PushState, to: PushState| {
        let (before, after) = (overwrites[0].clone().in_state(from), overwrites[0].clone().in_state(to));
        progress(&[before], &[after]).get(&run.id).map(|progress| (progress.done, progress.failed))
    };
    let ended = [(Confirmed, (1, 0)), (Rejected, (0, 1)), (Superseded, (0, 1)), (Cancelled, (0, 1))];
    for open in [Queued, Sending, Retrying, Uncertain, Held] {
        for (end, count) in ended {
            assert_eq!(counted(open, end), Some(count), "{open:?} to {end:?}");
        }
        assert_eq!(counted(open, Uncertain), None);
    }
    for (end, _) in ended {
        assert_eq!((counted(end, end), counted(end, Queued)), (None, None));
    }
    let gone = overwrites[0].clone().in_state(Confirmed);
    assert!(progress(&[], &[gone]).is_empty(), "what was not seen open is not counted");
    let alone = Push::increase(listed(&store(), "A"), 1, at(1), false);
    let confirmed = alone.clone().in_state(Confirmed);
    assert!(progress(&[alone], &[confirmed]).is_empty(), "it belongs to no run");
}

#[test]
fn a_run_finishes_with_its_last_push_and_only_once() {
    let (mut run, _) = expanded(3);
    run.count(Progress { done: 1, failed: 1 }, at(5));
    assert_eq!((run.state, run.finished_at), (RunState::Running, None));
    run.count(Progress { done: 1, failed: 0 }, at(6));
    assert_eq!((run.state, run.finished_at, run.done, run.failed), (RunState::Finished, Some(at(6)), 2, 1));
    run.count(Progress { done: 1, failed: 0 }, at(7));
    run.cancel("too late", at(8));
    assert_eq!((run.state, run.finished_at, run.reason), (RunState::Finished, Some(at(6)), None));
}

#[test]
fn a_run_that_is_not_expanded_does_not_finish() {
    let mut run = Run { total: 1, ..Run::start(RunKind::Manual, at(1)) };
    run.count(Progress { done: 1, failed: 0 }, at(5));
    assert_eq!(run.state, RunState::Running);
}

#[test]
fn a_cancelled_run_is_expanded_no_further_and_stays_cancelled() {
    let (mut run, _) = expanded(2);
    run.expanded = false;
    run.cancel("Auto-sync was switched off.", at(5));
    assert_eq!((run.state, run.expanded, run.finished_at), (RunState::Cancelled, true, Some(at(5))));
    assert_eq!(run.reason.as_deref(), Some("Auto-sync was switched off."));
    run.count(Progress { done: 0, failed: 2 }, at(6));
    assert_eq!((run.state, run.failed, run.finished_at), (RunState::Cancelled, 2, Some(at(5))));
}

#[test]
fn the_end_of_a_run_is_expected_at_its_pace_so_far() {
    let run = Run { total: 4, done: 1, failed: 1, expanded: true, ..Run::start(RunKind::Manual, at(1_000)) };
    assert_eq!(run.eta(at(3_000)), Some(at(5_000)));
    assert_eq!(run.eta(at(500)), Some(at(500)), "the clock was set back");
    let unknown = [
        Run { expanded: false, ..run.clone() },
        Run { done: 0, failed: 0, ..run.clone() },
        Run { state: RunState::Finished, ..run.clone() },
    ];
    assert_eq!(unknown.map(|run| run.eta(at(3_000))), [None; 3]);
    assert_eq!(Run { total: 9, done: 2, ..run.clone() }.eta(at(4_000)), Some(at(10_000)), "1 s for each of 6 more");
    assert_eq!(Run { total: 1, ..run }.eta(at(3_000)), Some(at(3_000)));
}

#[test]
fn only_held_overwrites_of_runs_give_way_to_a_later_held_overwrite() {
    let to = listed(&store(), "A");
    let overwrite = |state| Push::overwrite(to.clone(), at(1), Some(RunId::new(at(0))), None, false).in_state(state);
    let healing = Push::overwrite(to.clone(), at(1), None, Some("late"), true);
    let increase = Push::increase(to.clone(), 1, at(1), true);
    let (before, after) = supersede_held(vec![overwrite(Queued), overwrite(Held), healing, overwrite(Sending), increase], at(4));
    assert_eq!(before.iter().map(Push::state).collect::<Vec<_>>(), [Held]);
    assert_eq!(after.iter().map(|push| (push.id(), push.state())).collect::<Vec<_>>(), [(before[0].id(), Superseded)]);
}

proptest! {
    #[test]
    fn a_run_finishes_exactly_when_it_is_expanded_and_each_of_its_pushes_has_ended(
        listings in 0usize..12,
        steps in proptest::collection::vec((0usize..12, 0usize..PushState::ALL.len()), 0..60),
    ) {
        let (mut run, mut pushes) = expanded(listings);
        for (which, state) in steps {
            let Some(push) = pushes.get_mut(which) else { continue };
            if push.state().has_ended() {
                continue;
            }
            let before = push.clone();
            *push = before.clone().in_state(PushState::ALL[state]);
            for (_, progress) in progress(&[before], std::slice::from_ref(push)) {
                run.count(progress, at(3));
            }
            let ended = |wanted: bool| pushes.iter().filter(|push| push.state().has_ended() && push.is_confirmed() == wanted).count();
            prop_assert_eq!((run.done, run.failed), (i64::try_from(ended(true)).unwrap(), i64::try_from(ended(false)).unwrap()));
            prop_assert_eq!(run.state == RunState::Finished, ended(true) + ended(false) == pushes.len());
        }
    }
}

/// A run that has asked whether it may set 60 of 60 listings to 0.
fn asking() -> Run {
    let mut weighing = Weighing::default();
    let shop = StoreId::new(at(0));
    (0..60).for_each(|_| weighing.add(shop, 1, Some(0)));
    weighing.showing(shop, 60);
    let mut run = Run::start(RunKind::Daily, at(1));
    run.weigh(weighing.question(Guard::default(), at(2)));
    run
}

#[test]
fn a_run_that_asks_has_nothing_to_expand_until_it_may_go_ahead() {
    let mut run = asking();
    assert_eq!((run.state, run.expanded, run.weighed, run.has_ended()), (RunState::WaitingForAnswer, true, false, false));
    assert_eq!(run.reason.as_deref(), Some("Nothing has been sent yet: 60 of 60 listings that show stock now would be set to 0."));
    assert_eq!(run.answer(true, at(5_000)), Answered::Taken);
    assert_eq!((run.state, run.expanded, run.weighed, run.reason.clone()), (RunState::Running, false, true, None));
    assert_eq!(run.answer(true, at(6_000)), Answered::Repeated);
    assert_eq!(run.answer(false, at(6_000)), Answered::NotAsked);
    let answered = run.question.clone().unwrap();
    assert_eq!((answered.go, answered.answered_at), (Some(true), Some(at(5_000))));
    let again = run.clone();
    run.weigh(answered.into());
    assert_eq!(run, again, "it is not asked twice");
    (run.expanded, run.total, run.done) = (true, 10, 5);
    assert_eq!(run.eta(at(6_000)), Some(at(7_000)), "the time that it waited is not part of its pace");
}

#[test]
fn a_run_ends_when_the_answer_is_no_or_when_nobody_answers() {
    let mut refused = asking();
    assert_eq!(refused.answer(false, at(9)), Answered::Taken);
    assert_eq!((refused.state, refused.finished_at), (RunState::Cancelled, Some(at(9))));
    assert_eq!(refused.answer(false, at(10)), Answered::Repeated);
    let late = asking().question.unwrap().answer_by;
    let mut forgotten = asking();
    assert!(!forgotten.lapse(late - Duration::from_millis(1)) && forgotten.lapse(late) && !forgotten.lapse(late));
    assert_eq!((forgotten.state, forgotten.finished_at), (RunState::Cancelled, Some(late)));
    assert_eq!(forgotten.answer(true, late), Answered::NotAsked);
    let mut light = Run::start(RunKind::Manual, at(1));
    light.weigh(None);
    assert_eq!(
        (light.state, light.weighed, light.answer(true, at(2)), light.lapse(at(3))),
        (RunState::Running, true, Answered::NotAsked, false)
    );
}
