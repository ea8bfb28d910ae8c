//! Deterministic simulation: the whole service on one thread in virtual time, in a world that goes wrong.
//!
//! `cargo test --test simulation` runs a modest number of fresh seeds and prints them; `-- --seed N` repeats one;
//! `-- --seeds K --steps S` runs more (in release mode for many), and so do the variables `STOCKTIDE_SIM_SEEDS` and
//! `STOCKTIDE_SIM_STEPS`. A story that fails is made as short as it can be and printed, with the command that repeats
//! it. `src/doc/simulation.md` tells what is simulated and what is checked; `mutations.py` shows that bugs are found.
//!
//! [`story`] draws what happens, [`world`] makes it happen, [`network`] and [`life`] bring the faults, [`journal`] keeps
//! what the service wrote, and [`checker`] holds it against [`model`], the rules said once more without the service.
//! [`every_step`] stops a few short stories at each of their steps.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may end by a panic, and does")]
mod checker;
mod every_step;
mod journal;
mod life;
mod model;
mod network;
mod story;
mod tale;
mod world;

use every_step::EveryStep;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use story::Story;
use tale::{Told, tell};

const DEFAULT_SEEDS: u64 = 12;
const DEFAULT_STEPS: u64 = 200;
/// A prime, so that over the runs all kinds of steps come up; the long run stops at every one.
const DEFAULT_EVERY_STEP: usize = 31;

/// From so many seeds on, everything in [`MUST_OCCUR`] must have occurred: a kind of fault that never does shows nothing.
const ENOUGH_SEEDS: u64 = 300;
/// Steps of each.
const ENOUGH_STEPS: usize = 150;
const MUST_OCCUR: [&str; 72] = [
    "401",
    "429",
    "5xx after applying",
    "5xx before applying",
    "Adds: adjust",
    "AddsBlindly: adjust",
    "AddsOrCompares: set",
    "CompareAndSet: set",
    "KeyedSets: set",
    "Keys: adjust",
    "Keys: set",
    "Sets: items",
    "Sets: set",
    "SetsBlindly: set",
    "answer lost",
    "applied late, beyond the settle time",
    "applied late, within the settle time",
    "batch of events",
    "batch of events as lines",
    "call refused as a whole",
    "clock stepped ahead",
    "clock stepped back",
    "connection refused",
    "crash at a point on its way",
    "crash while it waits",
    "cut before applying",
    "daily run",
    "daily run at an hour that came twice",
    "daily run at an hour that was skipped",
    "daily run missed",
    "database: answer of the commit lost",
    "database: failed",
    "database: slow",
    "event: adjustment",
    "event: cancellation",
    "event: count",
    "event: duplicate",
    "event: id of another",
    "event: purchase",
    "event: return",
    "event: sale",
    "event: transfer",
    "excused: AppliedLate",
    "graceful restart",
    "item refused",
    "listing unpaired",
    "manual sync",
    "outage: 429",
    "outage: 503",
    "outage: refused",
    "outage: silence",
    "overwrites that healed",
    "requests side by side",
    "rubbish",
    "setting: Buffer",
    "setting: Cancellations",
    "setting: Exclusive",
    "setting: Incremental",
    "setting: Off",
    "setting: Rule",
    "setting: Timed",
    "setting: Zone",
    "silence",
    "slow answer",
    "store sale",
    "store: Enabled",
    "store: Paused",
    "store: Share",
    "store: Warehouses",
    "sync runs",
    "token expired",
    "trespass",
];

struct Wanted {
    first: u64,
    seeds: u64,
    steps: usize,
    threads: usize,
    shrink: bool,
    /// Other tests are asked for.
    nothing: bool,
    /// Ends with the first seed that fails.
    until_failure: bool,
    /// Of the steps of the short stories every so many-th is stopped at; none with 0.
    every_step: usize,
}

fn wanted() -> Wanted {
    let from_env = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let fresh = || rand::random::<u64>() % 1_000_000_000;
    let mut wanted = Wanted {
        first: from_env("STOCKTIDE_SIM_SEED").unwrap_or_else(fresh),
        seeds: from_env("STOCKTIDE_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS),
        steps: usize::try_from(from_env("STOCKTIDE_SIM_STEPS").unwrap_or(DEFAULT_STEPS)).unwrap(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        shrink: true,
        nothing: false,
        until_failure: false,
        every_step: DEFAULT_EVERY_STEP,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| text.parse::<u64>().ok());
        match arg.as_str() {
            "--seed" => (wanted.first, wanted.seeds, wanted.every_step) = (number().unwrap(), 1, 0),
            "--first" => wanted.first = number().unwrap(),
            "--seeds" => wanted.seeds = number().unwrap(),
            "--steps" => wanted.steps = usize::try_from(number().unwrap()).unwrap(),
            "--threads" => wanted.threads = usize::try_from(number().unwrap()).unwrap(),
            "--every-step" => wanted.every_step = usize::try_from(number().unwrap()).unwrap(),
            "--no-shrink" => wanted.shrink = false,
            "--until-failure" => wanted.until_failure = true,
            // What the test runner of others understands: a part of a name, which chooses us or not, and options.
            "--test-threads" | "--skip" | "--format" | "--color" | "--report-time" | "-Z" => drop(args.next()),
            "--list" => wanted.nothing = true,
            option if option.starts_with('-') => {}
            part => wanted.nothing |= !"simulation".contains(part),
        }
    }
    wanted
}

/// Does `work` for every number below `count`, on all threads.
fn side_by_side(threads: usize, count: u64, work: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        break;
                    }
                    work(n);
                }
            });
        }
    });
}

fn main() {
    let wanted = wanted();
    if wanted.nothing {
        return;
    }
    let (passed, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let count = |good: bool| if good { &passed } else { &failed }.fetch_add(1, Ordering::Relaxed);
    if wanted.seeds > 0 {
        println!("seeds {} to {}, {} steps each", wanted.first, wanted.first + wanted.seeds - 1, wanted.steps);
        let began = tokio::time::Instant::now();
        let (total, first) = (Mutex::new(Told::default()), Mutex::new(None));
        side_by_side(wanted.threads, wanted.seeds, |n| {
            if wanted.until_failure && failed.load(Ordering::Relaxed) > 0 {
                return;
            }
            let story = Story::draw(wanted.first + n, wanted.steps);
            let told = tell(&story);
            count(told.failure.is_none());
            if let Some(failure) = &told.failure {
                println!("seed {}: {}: {}", story.seed, failure.name, failure.detail);
                println!("  again: cargo test --test simulation -- --seed {} --steps {}", story.seed, wanted.steps);
                if wanted.shrink {
                    println!("{}", tale::shorten(story, failure.name));
                }
            }
            if n == 0 {
                *first.lock().unwrap() = Some(told.traces());
            }
            total.lock().unwrap().add(told);
        });
        // Now behind all the others, and not beside any.
        let again = first.into_inner().unwrap().map(|traces| (traces, tell(&Story::draw(wanted.first, wanted.steps)).traces()));
        if let Some((before, after)) = again.filter(|(before, after)| before != after) {
            count(false);
            println!("seed {} was told otherwise the second time:\n  {before}\n  {after}", wanted.first);
        }
        let total = total.into_inner().unwrap();
        let took = began.elapsed().as_secs_f64();
        println!("{:.1} simulated days in {took:.1} s, {:.2} seeds per second", total.days, wanted.seeds as f64 / took);
        for (what, n) in total.counts.iter().filter(|(_, n)| **n > 0) {
            println!("{n:>9}  {what}");
        }
        let never = MUST_OCCUR.iter().filter(|what| total.counts.get(**what).is_none_or(|n| *n == 0));
        for what in never.filter(|_| wanted.seeds >= ENOUGH_SEEDS && !wanted.until_failure) {
            // What a day brings, short stories may miss altogether.
            if wanted.steps >= ENOUGH_STEPS {
                count(false);
            }
            println!("never occurred: {what}");
        }
    }
    if wanted.every_step > 0 {
        let every = EveryStep::of(wanted.every_step);
        for wrong in every.undisturbed() {
            count(false);
            println!("undisturbed: {wrong}");
        }
        println!("{} tellings, each stopped at another step", every.len());
        let began = tokio::time::Instant::now();
        side_by_side(wanted.threads, u64::try_from(every.len()).unwrap(), |n| {
            let (name, told) = every.tell(usize::try_from(n).unwrap());
            count(told.failure.is_none());
            if let Some(failure) = &told.failure {
                println!("{name}: {}: {}", failure.name, failure.detail);
            }
        });
        println!("in {:.1} s", began.elapsed().as_secs_f64());
    }
    let (passed, failed) = (passed.into_inner(), failed.into_inner());
    println!("{passed} passed, {failed} failed");
    if failed > 0 {
        std::process::exit(1);
    }
}
