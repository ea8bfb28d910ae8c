//! Crash at every step, and every effect twice.
//!
//! A few short stories are run repeatedly: once undisturbed; once for every point that the process passes (before and
//! after each piece of database work and each request), with the process dying there; once for every piece of database
//! work with its answer lost, so that it is done and then requested again; once for each with the work failing; and once
//! for every request with its answer lost. Every run must end in exactly the same state as the undisturbed one: the same
//! quantities available, the same quantities shown, the same sync runs.
use crate::runner::{Disturbance, Outcome, run_disturbed};
use crate::story::{
    Ability, DbFault, Event, EventId, NetFault, Protection, Report, SKUS, SellerSetup, Setting, Setup, Step, StoreChange, StoreSetup, Story,
};
use crate::world::Failure;

/// The disturbances, in the words in which they are printed.
const DISTURBANCES: [&str; 4] =
    ["dies", "loses an answer from the database", "cannot reach the database", "loses an answer from a platform"];

fn store(ability: Ability, skus: &[usize]) -> StoreSetup {
    StoreSetup {
        ability,
        share: 100.0,
        max_items: 2,
        per_second: 50.0,
        burst: 40,
        warehouses: None,
        skus: skus.to_vec(),
        units: [1; SKUS.len()],
        siblings: Vec::new(),
        sibling_units: [1; SKUS.len()],
        named: None,
        falls: Vec::new(),
        restocks: false,
        rehearsal: false,
    }
}

fn event(id: u32, kind: &'static str, sku: usize, quantity: i64) -> Event {
    Event { kind, sku, warehouse: 0, quantity, id: EventId::Fresh(id) }
}

fn events(seller: usize, events: Vec<Event>) -> Step {
    Step::Events { seller, events, ndjson: false }
}

fn story(timed: bool, stores: Vec<StoreSetup>, steps: Vec<Step>) -> Story {
    let seller =
        SellerSetup { zone: 2, timed, daily_at: 4, exclusive: false, catch_up_hours: 4, initial_overwrite: true, stores, bundle: None };
    Story {
        seed: 7,
        setup: Setup { start: "2026-06-15T03:00:00Z", poll_s: 60, calls_under_way: 2, sellers: vec![seller], nodes: None },
        steps,
    }
}

fn stories() -> Vec<(&'static str, Story)> {
    use Ability::{Adds, AddsBlindly, CompareAndSet, KeyedSets, Keys, Sets, SetsBlindly};
    // The sale happens while nothing is in flight, because an overwrite between the sale and its stock event would
    // rightly undo it.
    let a_few_increases = |sells_1: usize| {
        vec![
            Step::Sleep { ms: 20_000 },
            Step::Sell { seller: 0, store: sells_1, sku: 1, quantity: 2, reported: Report::AtOnce(2) },
            events(0, vec![event(1, "purchase", 0, 5), event(3, "return", 1, 1)]),
            Step::Sleep { ms: 150 },
            events(0, vec![event(4, "adjustment", 0, 3)]),
            Step::Sleep { ms: 20_000 },
        ]
    };
    let lost = |store: usize, id: u32| {
        vec![
            Step::Sleep { ms: 30_000 },
            Step::Net { seller: 0, store, fault: NetFault::LostAnswer, calls: 2 },
            events(0, vec![event(id, "purchase", 0, 5)]),
            Step::Sleep { ms: 40_000 },
        ]
    };
    vec![
        ("increases with keys", story(false, vec![store(Keys, &[0, 1])], a_few_increases(0))),
        ("increases by compare-and-set", story(false, vec![store(CompareAndSet, &[0, 1])], a_few_increases(0))),
        ("increases with read-back", story(false, vec![store(Adds, &[0, 1])], a_few_increases(0))),
        ("increases by reading and setting", story(false, vec![store(Sets, &[0, 1]), store(KeyedSets, &[0])], a_few_increases(0))),
        ("stores that cannot be read", story(false, vec![store(AddsBlindly, &[0]), store(SetsBlindly, &[1])], a_few_increases(1))),
        ("lost answers with keys", story(false, vec![store(Keys, &[0, 1])], lost(0, 1))),
        ("lost answers without keys", story(false, vec![store(Adds, &[0]), store(CompareAndSet, &[0])], [lost(0, 1), lost(1, 2)].concat())),
        (
            "a daily run and a manual one",
            story(
                true,
                vec![store(Keys, &[0, 1, 2]), store(Sets, &[0])],
                vec![
                    events(0, vec![event(1, "count", 0, 9)]),
                    Step::ToDailyTime { seller: 0, before_ms: 50 },
                    Step::Sleep { ms: 60_000 },
                    events(0, vec![event(2, "sale", 1, 1)]),
                    Step::Sync { seller: 0, store: None, sku: Some(1) },
                    Step::Sleep { ms: 5_000 },
                ],
            ),
        ),
        (
            "overwrites of stores whose sales are reported late, or never",
            story(
                false,
                [Keys, Sets, CompareAndSet]
                    .map(|ability| StoreSetup { named: Some(Protection { on: true, hours: 72 }), ..store(ability, &[0]) })
                    .to_vec(),
                {
                    let each = |step: fn(usize) -> Step| (0..3).map(step);
                    let sale = |store, quantity, reported| Step::Sell { seller: 0, store, sku: 0, quantity, reported };
                    let sync = || vec![Step::Sync { seller: 0, store: None, sku: None }, Step::Sleep { ms: 20_000 }];
                    let mut steps = vec![events(0, vec![event(1, "count", 0, 20)]), Step::Sleep { ms: 20_000 }];
                    steps.extend((0..3).map(|store| sale(store, 1, Report::AtOnce(2 + u32::try_from(store).unwrap()))));
                    steps.extend(sync());
                    steps.extend((0..3).map(|store| sale(store, 2, Report::Later(5 + u32::try_from(store).unwrap()))));
                    steps.extend((0..3).map(|store| sale(store, 1, Report::Never)));
                    steps.extend(sync());
                    steps.extend(each(|store| Step::ReportSales { seller: 0, store }));
                    steps.extend(sync());
                    steps
                },
            ),
        ),
        (
            "pushes held, auto-sync switched off and on",
            story(
                false,
                vec![store(Keys, &[0]), store(Adds, &[1])],
                vec![
                    Step::TokenExpires { seller: 0, store: 0 },
                    Step::Store { seller: 0, store: 1, change: StoreChange::Paused(true) },
                    events(0, vec![event(1, "purchase", 0, 5), event(2, "purchase", 1, 5)]),
                    Step::Sleep { ms: 2_000 },
                    Step::NewToken { seller: 0, store: 0 },
                    Step::Store { seller: 0, store: 1, change: StoreChange::Paused(false) },
                    Step::Sleep { ms: 2_000 },
                    Step::Set { seller: 0, setting: Setting::Off },
                    events(0, vec![event(3, "purchase", 0, 5)]),
                    Step::Set { seller: 0, setting: Setting::Incremental { initial: true } },
                    events(0, vec![event(4, "purchase", 0, 2)]),
                    Step::Sleep { ms: 20_000 },
                ],
            ),
        ),
    ]
}

pub struct EveryStep {
    stories: Vec<(&'static str, Story, Outcome)>,
    cases: Vec<(usize, usize, u64)>,
}

impl EveryStep {
    /// Disturbs every n-th step.
    pub fn of(every: usize) -> Self {
        let stories: Vec<_> = stories().into_iter().map(|(name, story)| (name, story.clone(), run_disturbed(&story, None))).collect();
        let mut cases = Vec::new();
        for (number, (_, _, calm)) in stories.iter().enumerate() {
            for (way, most) in [(0, calm.points), (1, calm.works), (2, calm.works), (3, calm.requests)] {
                cases.extend((1..=most).map(|at| (number, way, at)));
            }
        }
        Self { stories, cases: cases.into_iter().step_by(every.max(1)).collect() }
    }

    pub fn len(&self) -> usize {
        self.cases.len()
    }

    /// The failures of the undisturbed runs.
    pub fn undisturbed(&self) -> impl Iterator<Item = String> {
        self.stories.iter().filter_map(|(name, _, outcome)| outcome.failure.as_ref().map(|f| format!("{name}: {}: {}", f.name, f.detail)))
    }

    /// Runs one case and compares its final state with that of the undisturbed run.
    pub fn run(&self, number: usize) -> (String, Outcome) {
        let (story, way, at) = self.cases[number];
        let (name, story, calm) = &self.stories[story];
        let disturbance = match way {
            0 => Disturbance::Dies { at },
            1 => Disturbance::Database { at, fault: DbFault::AnswerLost },
            2 => Disturbance::Database { at, fault: DbFault::Fails },
            _ => Disturbance::Platform { at },
        };
        let mut outcome = run_disturbed(story, Some(disturbance));
        if outcome.failure.is_none() && outcome.final_state != calm.final_state {
            let detail = format!("undisturbed {:?}\n  disturbed {:?}", calm.final_state, outcome.final_state);
            outcome.failure = Some(Failure { name: "final state differs from undisturbed", detail });
        }
        (format!("{name}; the process {} at {at}", DISTURBANCES[way]), outcome)
    }
}
