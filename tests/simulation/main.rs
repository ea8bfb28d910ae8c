//! Deterministic simulation: the whole service on one thread in virtual time, in a world that goes wrong.
//!
//! `cargo test --test simulation` runs a modest number of fresh seeds and prints them; `-- --seed N` repeats one;
//! `-- --seeds K --steps S` runs more (in release mode for many). A story that fails is made as short as it can be and
//! printed, with the command that repeats it.
//!
//! [`story`] draws what happens, [`world`] makes it happen, [`network`] and [`life`] bring the faults, [`journal`] keeps
//! what the service wrote, and [`checker`] holds it against [`model`], the rules said once more without the service.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may end by a panic, and does")]
mod checker;
mod journal;
mod life;
mod model;
mod network;
mod story;
mod tale;
mod world;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use story::Story;
use tale::{Told, tell};

const DEFAULT_SEEDS: u64 = 20;
const DEFAULT_STEPS: usize = 200;

struct Wanted {
    first: u64,
    seeds: u64,
    steps: usize,
    threads: usize,
    shrink: bool,
}

fn wanted() -> Wanted {
    let from_env = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let fresh = || rand::random::<u64>() % 1_000_000_000;
    let mut wanted = Wanted {
        first: from_env("STOCKTIDE_SIM_SEED").unwrap_or_else(fresh),
        seeds: from_env("STOCKTIDE_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS),
        steps: DEFAULT_STEPS,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        shrink: true,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|text| text.parse::<u64>().ok());
        match arg.as_str() {
            "--seed" => (wanted.first, wanted.seeds) = (number().unwrap(), 1),
            "--first" => wanted.first = number().unwrap(),
            "--seeds" => wanted.seeds = number().unwrap(),
            "--steps" => wanted.steps = usize::try_from(number().unwrap()).unwrap(),
            "--threads" => wanted.threads = usize::try_from(number().unwrap()).unwrap(),
            "--no-shrink" => wanted.shrink = false,
            // What the test runner of others understands is not for us.
            _ => {}
        }
    }
    wanted
}

fn main() {
    let wanted = wanted();
    if std::env::args().any(|arg| arg == "--list") {
        return;
    }
    println!("seeds {} to {}, {} steps each", wanted.first, wanted.first + wanted.seeds - 1, wanted.steps);
    let began = tokio::time::Instant::now();
    let next = AtomicU64::new(0);
    let (passed, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    let total = Mutex::new(Told::default());
    std::thread::scope(|scope| {
        for _ in 0..wanted.threads {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= wanted.seeds {
                        break;
                    }
                    let story = Story::draw(wanted.first + n, wanted.steps);
                    let told = tell(&story);
                    match &told.failure {
                        None => drop(passed.fetch_add(1, Ordering::Relaxed)),
                        Some(failure) => {
                            failed.fetch_add(1, Ordering::Relaxed);
                            println!("seed {}: {}: {}", story.seed, failure.name, failure.detail);
                            println!("  again: cargo test --test simulation -- --seed {} --steps {}", story.seed, wanted.steps);
                            if wanted.shrink {
                                println!("{}", tale::shorten(story, failure.name));
                            }
                        }
                    }
                    total.lock().unwrap().add(told);
                }
            });
        }
    });
    let total = total.into_inner().unwrap();
    let (passed, failed) = (passed.into_inner(), failed.into_inner());
    let took = began.elapsed().as_secs_f64();
    println!("{:.1} simulated days in {took:.1} s, {:.1} seeds per second", total.days, wanted.seeds as f64 / took);
    let mut lines: BTreeMap<String, u64> = total.counts.clone();
    lines.retain(|_, n| *n > 0);
    for (what, n) in &lines {
        println!("{n:>9}  {what}");
    }
    println!("{passed} passed, {failed} failed");
    if failed > 0 {
        std::process::exit(1);
    }
}
