//! Crash at every step, and every effect twice.
//!
//! A few short stories are told again and again: once undisturbed, then once for every point that the process passes in
//! them (before and behind each piece of work on the database and each request), each time with the process dying
//! there; then once for every piece of work on the database with its answer lost, so that it is done and asked for
//! again; then with it failing; then for every request with its answer lost. Every telling must come to the very end of the undisturbed one: the same numbers
//! available, the same numbers shown, the same runs.
use crate::story::{Ability, DbFault, Event, EventId, NetFault, SellerSetup, Setting, Setup, Step, StoreChange, StoreSetup, Story};
use crate::tale::{Disturbance, Told, tell_disturbed};
use crate::world::Failure;

/// What is different each time.
const WAYS: [&str; 4] = ["dies", "loses an answer of the database", "cannot reach the database", "loses an answer of a platform"];

fn store(ability: Ability, skus: &[usize]) -> StoreSetup {
    StoreSetup { ability, share: 100.0, max_items: 2, per_second: 50.0, burst: 40, warehouses: None, skus: skus.to_vec() }
}

fn event(id: u32, kind: &'static str, sku: usize, quantity: i64) -> Event {
    Event { kind, sku, warehouse: 0, quantity, id: EventId::Fresh(id) }
}

fn events(seller: usize, events: Vec<Event>) -> Step {
    Step::Events { seller, events, ndjson: false }
}

fn story(timed: bool, stores: Vec<StoreSetup>, steps: Vec<Step>) -> Story {
    let seller = SellerSetup { zone: 2, timed, daily_at: 4, exclusive: false, catch_up_hours: 4, initial_overwrite: true, stores };
    Story { seed: 7, setup: Setup { start: "2026-06-15T03:00:00Z", poll_s: 60, calls_under_way: 2, sellers: vec![seller] }, steps }
}

/// Each with a name.
fn stories() -> Vec<(&'static str, Story)> {
    use Ability::{Adds, AddsBlindly, CompareAndSet, KeyedSets, Keys, Sets, SetsBlindly};
    // A sale that the ledger is told of comes while nothing is on its way: an overwrite between the two would rightly
    // undo the sale.
    let a_few_increases = |sells_1: usize| {
        vec![
            Step::Sleep { ms: 20_000 },
            Step::Sell { seller: 0, store: sells_1, sku: 1, quantity: 2, told: Some(2) },
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
        ("increases that are read back", story(false, vec![store(Adds, &[0, 1])], a_few_increases(0))),
        ("increases by setting", story(false, vec![store(Sets, &[0, 1]), store(KeyedSets, &[0])], a_few_increases(0))),
        ("stores that cannot be read", story(false, vec![store(AddsBlindly, &[0]), store(SetsBlindly, &[1])], a_few_increases(1))),
        ("lost answers with keys", story(false, vec![store(Keys, &[0, 1])], lost(0, 1))),
        ("lost answers without", story(false, vec![store(Adds, &[0]), store(CompareAndSet, &[0])], [lost(0, 1), lost(1, 2)].concat())),
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
            "held, switched off and on",
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

/// All the tellings.
pub struct EveryStep {
    stories: Vec<(&'static str, Story, Told)>,
    cases: Vec<(usize, usize, u64)>,
}

impl EveryStep {
    /// Of every so many-th step.
    pub fn of(every: usize) -> Self {
        let stories: Vec<_> = stories().into_iter().map(|(name, story)| (name, story.clone(), tell_disturbed(&story, None))).collect();
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

    /// What is wrong with the undisturbed tellings.
    pub fn undisturbed(&self) -> impl Iterator<Item = String> {
        self.stories.iter().filter_map(|(name, _, told)| told.failure.as_ref().map(|f| format!("{name}: {}: {}", f.name, f.detail)))
    }

    /// Tells one, and holds its end against that of the undisturbed telling.
    pub fn tell(&self, number: usize) -> (String, Told) {
        let (story, way, at) = self.cases[number];
        let (name, story, calm) = &self.stories[story];
        let disturbance = match way {
            0 => Disturbance::Dies { at },
            1 => Disturbance::Database { at, fault: DbFault::AnswerLost },
            2 => Disturbance::Database { at, fault: DbFault::Fails },
            _ => Disturbance::Platform { at },
        };
        let mut told = tell_disturbed(story, Some(disturbance));
        if told.failure.is_none() && told.end != calm.end {
            let detail = format!("undisturbed {:?}\n  disturbed {:?}", calm.end, told.end);
            told.failure = Some(Failure { name: "another end than undisturbed", detail });
        }
        (format!("{name}; the process {} at {at}", WAYS[way]), told)
    }
}
