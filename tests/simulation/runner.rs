//! Tells a story from beginning to end and says what came of it; makes a story that fails shorter.
use crate::checker::{self, walk};
use crate::story::{DbFault, Story};
use crate::world::{Failure, Verdict, World, fail};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How often a story is told again to make it shorter, at most.
const TRIES: usize = 400;
/// Lines of history that are shown of a story that failed.
const HISTORY_LINES: usize = 200;

/// What came of a story, or of many.
#[derive(Debug, Default)]
pub struct Told {
    pub failure: Option<Failure>,
    pub days: f64,
    pub counts: BTreeMap<String, u64>,
    /// Points at which the process could die, pieces of work on the database, and requests to platforms, while the
    /// story was told.
    pub points: u64,
    pub works: u64,
    pub requests: u64,
    /// How everything stood once all was quiet.
    pub end: Vec<String>,
    /// What happened, where it failed.
    pub history: Vec<String>,
}

/// What is different from the undisturbed telling.
#[derive(Debug, Clone, Copy)]
pub enum Disturbance {
    Dies {
        at: u64,
    },
    Database {
        at: u64,
        fault: DbFault,
    },
    /// The answer to this request does not come back.
    Platform {
        at: u64,
    },
}

impl Told {
    /// What must be the same each time that a seed is told.
    pub fn traces(&self) -> String {
        format!("{:?} {:?} {:?} {} {} {}", self.failure.as_ref().map(|f| f.name), self.counts, self.end, self.points, self.works, self.days)
    }

    pub fn add(&mut self, other: Self) {
        self.days += other.days;
        for (what, n) in other.counts {
            *self.counts.entry(what).or_default() += n;
        }
    }
}

/// Tells a story in a world of its own.
pub fn tell(story: &Story) -> Told {
    tell_disturbed(story, None)
}

/// Tells it with something different. A panic is a failure like others.
pub fn tell_disturbed(story: &Story, disturbance: Option<Disturbance>) -> Told {
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| tell_to_the_end(story, disturbance)));
    told.unwrap_or_else(|_| {
        let failure = Failure { name: "panic", detail: "printed above".to_owned() };
        Told { failure: Some(failure), ..Told::default() }
    })
}

fn tell_to_the_end(story: &Story, disturbance: Option<Disturbance>) -> Told {
    let story = story.clone();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(async move {
        let began = tokio::time::Instant::now();
        let mut world = World::new(&story).await;
        let mut told = Told::default();
        told.failure = to_the_end(&mut world, &story, disturbance, &mut told).await.err();
        if told.failure.is_some() {
            told.history = checker::Checker::story_so_far(&mut world, HISTORY_LINES);
        }
        let ended = world.end().await;
        told.failure = told.failure.or(ended.err());
        told.counts.extend(world.counts.clone());
        told.counts.extend(world.network.state().faults.clone());
        told.counts.extend(world.fortune.lock().unwrap().counts.clone());
        told.counts.insert("requests to platforms".to_owned(), u64::try_from(world.network.state().sendings.len()).unwrap());
        told.counts.insert("points at which the process could die".to_owned(), world.fortune.lock().unwrap().points);
        told.days = began.elapsed().as_secs_f64() / 86_400.0;
        told
    })
}

async fn to_the_end(world: &mut World, story: &Story, disturbance: Option<Disturbance>, told: &mut Told) -> Verdict {
    world.set_up().await?;
    let passed = |world: &World| {
        let fortune = world.fortune.lock().unwrap();
        (fortune.points, fortune.works, u64::try_from(world.network.state().sendings.len()).unwrap())
    };
    let before = passed(world);
    match disturbance {
        None => {}
        Some(Disturbance::Dies { at }) => world.dies_at(at),
        Some(Disturbance::Platform { at }) => {
            let mut state = world.network.state();
            state.loses_answer_of = Some(state.sendings.len() + usize::try_from(at - 1).unwrap());
        }
        Some(Disturbance::Database { at, fault }) => world.fortune.lock().unwrap().plan(fault, at - 1, 1),
    }
    for step in &story.steps {
        world.step(step).await?;
    }
    let after = passed(world);
    (told.points, told.works, told.requests) = (after.0 - before.0, after.1 - before.1, after.2 - before.2);
    world.mend_everything().await?;
    // Longer than any request is late.
    world.travel(15 * 60_000).await;
    // What was refused just before it was mended.
    world.retry_rejected().await?;
    world.quiet().await?;
    check(world, |checker| {
        told.end = checker.end();
        checker.check_owed(false)
    })
    .await?;
    // One more answer for every listing, by which a request that was applied too late is seen; then what heals it.
    for round in 0..2 {
        for seller in 0..world.sellers.len() {
            world.touch(seller, round).await?;
        }
        world.quiet().await?;
    }
    check(world, |checker| {
        for (excuse, n) in &checker.excused {
            *told.counts.entry(format!("excused: {excuse:?}")).or_default() += n;
        }
        *told.counts.entry("overwrites that healed".to_owned()).or_default() += checker.heals;
        checker.check_owed(true)
    })
    .await?;
    timed(world).await?;
    for seller in 0..world.sellers.len() {
        world.sync_everything(seller).await?;
    }
    world.quiet().await?;
    check(world, |checker| {
        *told.counts.entry("sync runs".to_owned()).or_default() += u64::try_from(checker.runs().count()).unwrap();
        for (what, n) in &checker.counts {
            *told.counts.entry((*what).to_owned()).or_default() += n;
        }
        checker.check_shown()?;
        checker.check_exclusive()?;
        checker.check_rates()
    })
    .await
}

/// Walks history so far; the ledger is checked every time.
async fn check(world: &mut World, then: impl FnOnce(&checker::Checker<'_>) -> Verdict) -> Verdict {
    let mut stock = BTreeMap::new();
    for seller in 0..world.sellers.len() {
        for sku in crate::story::SKUS {
            let (status, answer) = world.as_seller(seller, "GET", &format!("/v1/stock?sku={sku}"), None).await;
            if status != 200 {
                return fail("request refused", format!("stock of {sku}: {status} {answer}"));
            }
            for (warehouse, n) in answer["available"].as_object().unwrap() {
                stock.insert((world.sellers[seller].id.clone(), sku.to_owned(), warehouse.clone()), n.as_i64().unwrap());
            }
        }
    }
    let checker = walk(world)?;
    checker.check_ledger(&stock)?;
    then(&checker)
}

/// A day goes by with nothing else going on: the daily runs of that day have brought every listing to its target.
async fn timed(world: &mut World) -> Verdict {
    let mut any = false;
    check(world, |checker| {
        any = (0..checker.sellers_count()).any(|s| checker.of(s).settings.as_ref().is_some_and(|s| s.auto_sync && !s.incremental));
        Ok(())
    })
    .await?;
    if !any {
        return Ok(());
    }
    world.travel(25 * 3_600_000).await;
    world.quiet().await?;
    if check(world, |checker| checker.check_timed()).await.is_ok() {
        return Ok(());
    }
    // A date that had its run already when the daily time was moved behind it has no other.
    world.travel(24 * 3_600_000).await;
    world.quiet().await?;
    check(world, |checker| checker.check_timed()).await
}

/// Takes steps out as long as the story fails by the same name.
pub fn shorten(story: Story, name: &str) -> String {
    let mut story = story;
    let mut tries = 0;
    let (mut detail, mut history) = (String::new(), Vec::new());
    let mut fails = |story: &Story| {
        tries += 1;
        let told = tell(story);
        let failure = told.failure.filter(|failure| failure.name == name);
        if let Some(failure) = &failure {
            (detail, history) = (failure.detail.clone(), told.history);
        }
        (failure.is_some(), tries >= TRIES)
    };
    let mut size = story.steps.len().div_ceil(2);
    'shorter: while size > 0 {
        let mut from = 0;
        while from < story.steps.len() {
            let mut shorter = story.clone();
            shorter.steps.drain(from..(from + size).min(story.steps.len()));
            let (failed, enough) = fails(&shorter);
            if failed {
                story = shorter;
            } else {
                from += size;
            }
            if enough {
                break 'shorter;
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    let mut text = format!("  the same in {} steps: {name}: {detail}\n  {:?}\n", story.steps.len(), story.setup);
    for (n, step) in story.steps.iter().enumerate() {
        writeln!(text, "  {n:>3} {step:?}").unwrap();
    }
    writeln!(text, "  history:").unwrap();
    for line in history {
        writeln!(text, "    {line}").unwrap();
    }
    text
}
