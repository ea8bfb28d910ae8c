//! Runs a story from start to finish and reports the outcome; shortens a story that fails.
use crate::checker::{self, walk};
use crate::story::{DbFault, Story};
use crate::world::{Failure, Verdict, World, fail};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The most runs that are spent on shortening a story.
const TRIES: usize = 400;
/// Lines of history that are printed for a story that failed.
const HISTORY_LINES: usize = 200;

/// The outcome of one story, or the total of many.
#[derive(Debug, Default)]
pub struct Outcome {
    pub failure: Option<Failure>,
    pub days: f64,
    pub counts: BTreeMap<String, u64>,
    /// Points at which the process could die, pieces of database work, and requests to platforms during the story.
    pub points: u64,
    pub works: u64,
    pub requests: u64,
    /// The state once all was quiet.
    pub final_state: Vec<String>,
    /// What happened, if it failed.
    pub history: Vec<String>,
}

/// A single fault added to a story.
#[derive(Debug, Clone, Copy)]
pub enum Disturbance {
    Dies {
        at: u64,
    },
    Database {
        at: u64,
        fault: DbFault,
    },
    /// The answer to this request is lost.
    Platform {
        at: u64,
    },
}

impl Outcome {
    /// What must be the same every time a seed is run.
    pub fn traces(&self) -> String {
        format!(
            "{:?} {:?} {:?} {} {} {}",
            self.failure.as_ref().map(|f| f.name),
            self.counts,
            self.final_state,
            self.points,
            self.works,
            self.days
        )
    }

    pub fn add(&mut self, other: Self) {
        self.days += other.days;
        for (what, n) in other.counts {
            *self.counts.entry(what).or_default() += n;
        }
    }
}

/// Runs a story in a new world.
pub fn run(story: &Story) -> Outcome {
    run_disturbed(story, None)
}

/// Runs a story with an additional fault. A panic counts as a failure.
pub fn run_disturbed(story: &Story, disturbance: Option<Disturbance>) -> Outcome {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run_in_virtual_time(story, disturbance)));
    outcome.unwrap_or_else(|_| {
        let failure = Failure { name: "panic", detail: "printed above".to_owned() };
        Outcome { failure: Some(failure), ..Outcome::default() }
    })
}

fn run_in_virtual_time(story: &Story, disturbance: Option<Disturbance>) -> Outcome {
    let story = story.clone();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(async move {
        let started = tokio::time::Instant::now();
        let mut world = World::new(&story).await;
        let mut outcome = Outcome::default();
        outcome.failure = play(&mut world, &story, disturbance, &mut outcome).await.err();
        if outcome.failure.is_some() {
            outcome.history = checker::Checker::recent_history(&mut world, HISTORY_LINES);
        }
        let stopped = world.shut_down().await;
        outcome.failure = outcome.failure.or(stopped.err());
        outcome.counts.extend(world.counts.clone());
        outcome.counts.extend(world.network.state().faults.clone());
        outcome.counts.extend(world.fault_plan.lock().unwrap().counts.clone());
        outcome.counts.insert("requests to platforms".to_owned(), u64::try_from(world.network.state().sent_requests.len()).unwrap());
        outcome.counts.insert("points at which the process could die".to_owned(), world.fault_plan.lock().unwrap().points);
        outcome.days = started.elapsed().as_secs_f64() / 86_400.0;
        outcome
    })
}

async fn play(world: &mut World, story: &Story, disturbance: Option<Disturbance>, outcome: &mut Outcome) -> Verdict {
    world.set_up().await?;
    let passed = |world: &World| {
        let fault_plan = world.fault_plan.lock().unwrap();
        (fault_plan.points, fault_plan.works, u64::try_from(world.network.state().sent_requests.len()).unwrap())
    };
    let before = passed(world);
    match disturbance {
        None => {}
        Some(Disturbance::Dies { at }) => world.die_at(at),
        Some(Disturbance::Platform { at }) => {
            let mut state = world.network.state();
            state.lose_answer_of = Some(state.sent_requests.len() + usize::try_from(at - 1).unwrap());
        }
        Some(Disturbance::Database { at, fault }) => world.fault_plan.lock().unwrap().plan(fault, at - 1, 1),
    }
    for step in &story.steps {
        world.step(step).await?;
    }
    let after = passed(world);
    (outcome.points, outcome.works, outcome.requests) = (after.0 - before.0, after.1 - before.1, after.2 - before.2);
    world.end_all_faults().await?;
    // Longer than any request is delayed, any pause that a platform asks for, and the time after which a store is tried
    // again: what was given up must have been healed by then, without anybody's help.
    world.advance(80 * 60_000).await;
    check(world, |checker| {
        checker.check_given_up()?;
        checker.check_refused()
    })
    .await?;
    world.retry_rejected().await?;
    world.advance(60_000).await;
    // Pushes that were refused just before the faults ended.
    world.retry_rejected().await?;
    world.wait_until_quiet().await?;
    check(world, |checker| {
        outcome.final_state = checker.final_state();
        checker.check_spread()?;
        checker.check_owed(false)
    })
    .await?;
    // One more answer for every listing, which reveals requests that were applied too late; then the healing overwrites.
    for round in 0..2 {
        for seller in 0..world.sellers.len() {
            world.touch(seller, round).await?;
        }
        world.wait_until_quiet().await?;
    }
    check(world, |checker| {
        for (excuse, n) in &checker.excused {
            *outcome.counts.entry(format!("excused: {excuse:?}")).or_default() += n;
        }
        *outcome.counts.entry("healing overwrites".to_owned()).or_default() += checker.heals;
        checker.check_owed(true)
    })
    .await?;
    timed(world).await?;
    world.report_all_sales().await?;
    overwrite_everything(world).await?;
    let mut left_out = false;
    check(world, |checker| {
        *outcome.counts.entry("sync runs".to_owned()).or_default() += u64::try_from(checker.runs().count()).unwrap();
        for (what, n) in &checker.counts {
            *outcome.counts.entry((*what).to_owned()).or_default() += n;
        }
        checker.check_left_out()?;
        checker.check_shown()?;
        checker.check_exclusive()?;
        checker.check_rates()?;
        *outcome.counts.entry("taken over in time after a kill".to_owned()).or_default() += checker.check_nodes()?;
        left_out = checker.leaves_anything_out();
        Ok(())
    })
    .await?;
    if left_out {
        world.await_reports_for_an_hour().await?;
        // What was sold later than the rest has a time of its own.
        for _ in 0..2 {
            world.advance(61 * 60_000).await;
            overwrite_everything(world).await?;
        }
        check(world, |checker| checker.check_nothing_left_out()).await?;
    }
    let never_claimed = crate::journal::never_claimed(&world.journal);
    never_claimed.into_iter().for_each(|(what, n)| *outcome.counts.entry(what.to_owned()).or_default() += n);
    Ok(())
}

async fn overwrite_everything(world: &mut World) -> Verdict {
    for seller in 0..world.sellers.len() {
        world.sync_everything(seller).await?;
    }
    world.wait_until_quiet().await
}

/// Checks the history so far and the ledger, then whatever `then` asks for.
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

/// After a day with nothing else going on, that day's runs must have brought every listing to its target.
async fn timed(world: &mut World) -> Verdict {
    let mut any = false;
    check(world, |checker| {
        any = (0..checker.sellers_count()).any(|s| checker.seller_at(s).settings.as_ref().is_some_and(|s| s.auto_sync && s.timed));
        Ok(())
    })
    .await?;
    if !any {
        return Ok(());
    }
    world.advance(25 * 3_600_000).await;
    world.wait_until_quiet().await?;
    // A date that already had its run when the daily time was postponed does not get another, nor does one that comes again
    // because the clock was set back.
    for _ in 0..2 {
        if check(world, |checker| checker.check_timed()).await.is_ok() {
            return Ok(());
        }
        world.advance(24 * 3_600_000).await;
        world.wait_until_quiet().await?;
    }
    check(world, |checker| checker.check_timed()).await
}

/// Removes steps as long as the story still fails under the same name.
pub fn shorten(story: Story, name: &str) -> String {
    let mut story = story;
    let mut tries = 0;
    let (mut detail, mut history) = (String::new(), Vec::new());
    let mut fails = |story: &Story| {
        tries += 1;
        let outcome = run(story);
        let failure = outcome.failure.filter(|failure| failure.name == name);
        if let Some(failure) = &failure {
            (detail, history) = (failure.detail.clone(), outcome.history);
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
    let mut text = format!("  shortened to {} steps: {name}: {detail}\n  {:?}\n", story.steps.len(), story.setup);
    for (n, step) in story.steps.iter().enumerate() {
        writeln!(text, "  {n:>3} {step:?}").unwrap();
    }
    writeln!(text, "  history:").unwrap();
    for line in history {
        writeln!(text, "    {line}").unwrap();
    }
    text
}
