//! Deterministic simulation: the whole service on one thread in virtual time, in a world full of faults.
//!
//! `cargo test --test simulation` runs a modest number of fresh seeds and prints them; `-- --seed N` repeats one;
//! `-- --seeds K --steps S` runs more (use release mode for many), as do the variables `STOCKTIDE_SIM_SEEDS` and
//! `STOCKTIDE_SIM_STEPS`. With `--nodes`, all stories are of several nodes; without, as many as `STOCKTIDE_SIM_NODE_SEEDS` says. A story that fails is shortened as far as possible and printed, with the command that repeats
//! it. `src/doc/simulation.md` describes what is simulated and checked; `mutations.py` proves that bugs are found.
//!
//! [`story`] draws what happens, [`world`] makes it happen, [`network`], [`life`] and [`nodes`] inject faults, [`journal`] records
//! what the service wrote, and [`checker`] compares it with [`model`], an independent implementation of the rules.
//! [`runner`] runs a story from start to finish, and [`every_step`] disturbs a few short stories at each of their steps.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail by panicking")]
mod checker;
mod every_step;
mod journal;
mod life;
mod model;
mod network;
mod nodes;
mod runner;
mod story;
mod world;

use every_step::EveryStep;
use runner::{Outcome, run};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use story::Story;

const DEFAULT_SEEDS: u64 = 12;
/// Those of several nodes, which are run besides if they are asked for, and how many steps they have at most.
const DEFAULT_NODE_SEEDS: u64 = 0;
const MOST_STEPS_OF_NODES: usize = 60;
const DEFAULT_STEPS: u64 = 200;
/// A prime, so that all kinds of steps are covered over several runs; the long run disturbs every step.
const DEFAULT_EVERY_STEP: usize = 31;

/// With this many seeds, everything in [`MUST_OCCUR`] must have occurred: a kind of fault that never occurs tests nothing.
const ENOUGH_SEEDS: u64 = 300;
/// The least number of steps per story for that to be required.
const ENOUGH_STEPS: usize = 150;
const MUST_OCCUR: [&str; 106] = [
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
    "applied late, after the settle time",
    "applied late, within the settle time",
    "batch of events",
    "batch of events as NDJSON",
    "bundle saved",
    "call of a new increase lost on its way",
    "call refused as a whole",
    "clock set while an increase waits",
    "clock stepped back",
    "clock stepped forward",
    "concurrent requests",
    "connection refused",
    "crash at a point in its work",
    "corrected by a check",
    "crash while idle",
    "cut before applying",
    "daily run",
    "daily run at a repeated hour",
    "daily run at a skipped hour",
    "daily run missed",
    "database: commit answer lost",
    "database: failed",
    "database: slow",
    "decrease sent",
    "drift check",
    "event: adjustment",
    "event: cancellation",
    "event: count",
    "event: duplicate",
    "event: id already taken",
    "event: purchase",
    "event: return",
    "event: sale",
    "event: transfer",
    "excused: AppliedLate",
    "garbage",
    "graceful restart",
    "healing overwrites",
    "increase and decrease evened out",
    "increase on its way as it was recorded",
    "item refused",
    "key forgotten",
    "listing left alone by an undo",
    "listing of several units",
    "listing set back",
    "listing unpaired",
    "manual sync",
    "frozen window",
    "manual sync refused in a frozen window",
    "outage: 429",
    "outage: 503",
    "outage: refused",
    "pause of a SKU",
    "pause of a platform",
    "pause of everything",
    "return that the store has restocked",
    "outage: silence",
    "overwrite beside siblings",
    "overwrite canceled with its run",
    "overwrite of a rehearsal canceled",
    "rehearsal ended",
    "rehearsal ended by an overwrite",
    "run canceled",
    "setting: Buffer",
    "setting: Cancellations",
    "setting: Exclusive",
    "setting: Incremental",
    "setting: Off",
    "setting: Rule",
    "setting: Timed",
    "setting: Both",
    "setting: Zone",
    "several listings of a SKU",
    "silence",
    "slow answer",
    "sold between a read and what followed it",
    "store sale",
    "store sale never reported",
    "store sale reported late",
    "store: Enabled",
    "store: Paused",
    "store: Protection",
    "store: ReportsAwaited",
    "store: Share",
    "store: Warehouses",
    "sync runs",
    "token expired",
    "trespass",
    "undo",
    "unseen sales left out of siblings",
    "unseen sales too old",
];

/// The stories with which everything in [`MISBEHAVIORS`] must have occurred often.
const SHORT_STEPS: usize = 60;
const OFTEN: u64 = 100;
/// What real shops were seen to do: see `src/doc/misbehaving_shops.md`; and what they sell without a report.
const MISBEHAVIORS: [&str; 26] = [
    "5xx after an overwrite",
    "answer too large",
    "byte_order_mark",
    "challenge",
    "empty_quantity",
    "firewall",
    "live again",
    "maintenance_after",
    "maintenance_before",
    "mended address",
    "mended scopes",
    "mended token",
    "odd_ids",
    "one bad listing in a batch",
    "php_notice",
    "proxy_page_after",
    "quantity_as_text",
    "retry_after_date",
    "robot_check",
    "sale in doubt",
    "says_cached",
    "silent cache",
    "slow rows",
    "unavailable_after",
    "unseen sales left out",
    "untracked listing",
];

/// What has to occur with several nodes, beside the same steps as with one.
const MUST_OCCUR_TO_NODES: [&str; 13] = [
    "crash at a point in its work",
    "graceful restart",
    "node cut off from platforms: refused",
    "node cut off from platforms: silence",
    "node cut off from the database: Refused",
    "node cut off from the database: Silent",
    "node drained",
    "node frozen",
    "node frozen at a point in its work",
    "node joined",
    "node killed",
    "notice lost",
    "taken over in time after a kill",
];

#[derive(Clone)]
struct Options {
    first: u64,
    seeds: u64,
    steps: usize,
    threads: usize,
    shrink: bool,
    /// The arguments select other tests only.
    skip: bool,
    /// Stop at the first seed that fails.
    until_failure: bool,
    /// Disturb the short stories at every n-th step; at none if 0.
    every_step: usize,
    /// The stories are of several nodes.
    nodes: bool,
    /// So many others are, if they are not.
    node_seeds: u64,
}

impl Options {
    fn draw(&self, seed: u64) -> Story {
        if self.nodes { Story::draw_nodes(seed, self.steps) } else { Story::draw(seed, self.steps) }
    }
}

fn options() -> Options {
    let from_env = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let fresh = || rand::random::<u64>() % 1_000_000_000;
    let mut options = Options {
        first: from_env("STOCKTIDE_SIM_SEED").unwrap_or_else(fresh),
        seeds: from_env("STOCKTIDE_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS),
        steps: usize::try_from(from_env("STOCKTIDE_SIM_STEPS").unwrap_or(DEFAULT_STEPS)).unwrap(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        shrink: true,
        skip: false,
        until_failure: false,
        every_step: DEFAULT_EVERY_STEP,
        nodes: false,
        node_seeds: from_env("STOCKTIDE_SIM_NODE_SEEDS").unwrap_or(DEFAULT_NODE_SEEDS),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| text.parse::<u64>().ok());
        match arg.as_str() {
            "--seed" => {
                (options.first, options.seeds) = (number().unwrap(), 1);
                (options.every_step, options.node_seeds) = (0, 0);
            }
            "--nodes" => (options.nodes, options.every_step) = (true, 0),
            "--node-seeds" => options.node_seeds = number().unwrap(),
            "--first" => options.first = number().unwrap(),
            "--seeds" => options.seeds = number().unwrap(),
            "--steps" => options.steps = usize::try_from(number().unwrap()).unwrap(),
            "--threads" => options.threads = usize::try_from(number().unwrap()).unwrap(),
            "--every-step" => options.every_step = usize::try_from(number().unwrap()).unwrap(),
            "--no-shrink" => options.shrink = false,
            "--until-failure" => options.until_failure = true,
            // The standard test runner's arguments: options, and a part of a name, which may select this test or not.
            "--test-threads" | "--skip" | "--format" | "--color" | "--report-time" | "-Z" => drop(args.next()),
            "--list" => options.skip = true,
            option if option.starts_with('-') => {}
            part => options.skip |= !"simulation".contains(part),
        }
    }
    options
}

/// Runs `work` for every number below `count` on this many threads.
fn in_parallel(threads: usize, count: u64, work: impl Fn(u64) + Sync) {
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

/// Runs these stories, and the first of them once more.
fn run_seeds(options: &Options, count: &(impl Fn(bool) + Sync), failed: &AtomicU64) {
    if options.seeds == 0 {
        return;
    }
    let of = if options.nodes { " of several nodes" } else { "" };
    println!("seeds {} to {}{of}, {} steps each", options.first, options.first + options.seeds - 1, options.steps);
    let started = tokio::time::Instant::now();
    let (total, first) = (Mutex::new(Outcome::default()), Mutex::new(None));
    in_parallel(options.threads, options.seeds, |n| {
        if options.until_failure && failed.load(Ordering::Relaxed) > 0 {
            return;
        }
        let story = options.draw(options.first + n);
        let outcome = run(&story);
        count(outcome.failure.is_none());
        if let Some(failure) = &outcome.failure {
            println!("seed {}: {}: {}", story.seed, failure.name, failure.detail);
            let of_nodes = if options.nodes { "--nodes " } else { "" };
            if let Some(nodes) = &story.setup.nodes {
                println!("  {nodes:?}");
            }
            println!("  repeat with: cargo test --test simulation -- {of_nodes}--seed {} --steps {}", story.seed, options.steps);
            if options.shrink {
                println!("{}", runner::shorten(story, failure.name));
            }
        }
        if n == 0 {
            *first.lock().unwrap() = Some(outcome.traces());
        }
        total.lock().unwrap().add(outcome);
    });
    // Run the first seed again, now after all the others and on its own.
    let again = first.into_inner().unwrap().map(|traces| (traces, run(&options.draw(options.first)).traces()));
    if let Some((before, after)) = again.filter(|(before, after)| before != after) {
        count(false);
        println!("seed {} ran differently the second time:\n  {before}\n  {after}", options.first);
    }
    let total = total.into_inner().unwrap();
    let took = started.elapsed().as_secs_f64();
    println!("{:.1} simulated days in {took:.1} s, {:.2} seeds per second", total.days, options.seeds as f64 / took);
    for (what, n) in total.counts.iter().filter(|(_, n)| **n > 0) {
        println!("{n:>9}  {what}");
    }
    let must_occur: &[&str] = if options.nodes { &MUST_OCCUR_TO_NODES } else { &MUST_OCCUR };
    let never = must_occur.iter().filter(|what| total.counts.get(**what).is_none_or(|n| *n == 0));
    let misbehaved: Vec<String> = MISBEHAVIORS.iter().map(|what| format!("{} {what}", total.counts.get(*what).unwrap_or(&0))).collect();
    println!("shops misbehaved: {}", misbehaved.join(", "));
    for what in never.filter(|_| options.seeds >= ENOUGH_SEEDS && !options.until_failure) {
        // Short stories may legitimately miss what happens once a day.
        if options.steps >= ENOUGH_STEPS || options.nodes {
            count(false);
        }
        println!("never occurred: {what}");
    }
    for what in MISBEHAVIORS.iter().filter(|_| !options.nodes) {
        let n = total.counts.get(*what).copied().unwrap_or(0);
        if options.seeds >= ENOUGH_SEEDS && options.steps >= SHORT_STEPS && !options.until_failure && n < OFTEN {
            count(false);
            println!("occurred only {n} times, and has to {OFTEN} times: {what}");
        }
    }
}

fn main() {
    let options = options();
    if options.skip {
        return;
    }
    let (passed, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let count = |good: bool| {
        if good { &passed } else { &failed }.fetch_add(1, Ordering::Relaxed);
    };
    run_seeds(&options, &count, &failed);
    if !options.nodes && options.node_seeds > 0 {
        let steps = options.steps.min(MOST_STEPS_OF_NODES);
        run_seeds(&Options { nodes: true, seeds: options.node_seeds, steps, ..options.clone() }, &count, &failed);
    }
    if options.every_step > 0 {
        let every = EveryStep::of(options.every_step);
        for wrong in every.undisturbed() {
            count(false);
            println!("undisturbed: {wrong}");
        }
        println!("{} runs, each disturbed at a different step", every.len());
        let started = tokio::time::Instant::now();
        in_parallel(options.threads, u64::try_from(every.len()).unwrap(), |n| {
            let (name, outcome) = every.run(usize::try_from(n).unwrap());
            count(outcome.failure.is_none());
            if let Some(failure) = &outcome.failure {
                println!("{name}: {}: {}", failure.name, failure.detail);
            }
        });
        println!("in {:.1} s", started.elapsed().as_secs_f64());
    }
    let (passed, failed) = (passed.into_inner(), failed.into_inner());
    println!("{passed} passed, {failed} failed");
    if failed > 0 {
        std::process::exit(1);
    }
}
