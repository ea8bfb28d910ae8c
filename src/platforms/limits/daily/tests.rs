//! Daily quotas over restarts and crashes, on tokio's paused clock.
use super::*;
use crate::domain::quota::Refill;
use chrono::TimeDelta;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A book that outlives the process, and counts how often it is written.
#[derive(Default)]
struct Shelf {
    rows: Arc<Mutex<BTreeMap<(String, i64), u32>>>,
    writes: AtomicUsize,
}

impl Book for Shelf {
    fn load(&self, app: &str) -> BoxFuture<'static, Result<[Spent; 2], String>> {
        let rows = lock(&self.rows);
        let slots: Vec<(i64, u32)> = rows.iter().filter(|((name, _), _)| name == app).map(|((_, slot), calls)| (*slot, *calls)).collect();
        Box::pin(std::future::ready(Ok([Spent::new(slots), Spent::default()])))
    }

    fn save(&self, app: &str, slots: Vec<(i64, u32)>) -> BoxFuture<'static, Result<Spent, String>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        lock(&self.rows).extend(slots.into_iter().map(|(slot, calls)| ((app.to_owned(), slot), calls)));
        Box::pin(std::future::ready(Ok(Spent::default())))
    }
}

fn limit(calls: u32, refill: Refill) -> AppLimit {
    AppLimit { name: "x".into(), limit: None, per_day: Some(DailyQuota { calls, refill }) }
}

const PACIFIC: Refill = Refill::Midnight(chrono_tz::Tz::America__Los_Angeles);

fn clock() -> Clock {
    Clock::starting_at("2026-03-02T20:00:00Z".parse().unwrap())
}

fn process(shelf: &Arc<Shelf>, clock: &Clock) -> Quotas {
    let quotas = Quotas::new(clock.clone());
    quotas.keep_in(Arc::clone(shelf) as Arc<dyn Book>);
    quotas
}

async fn call(quotas: &Quotas, limit: &AppLimit) {
    loop {
        quotas.until_free(limit).await;
        if quotas.take(limit).await {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_neither_waits_nor_forgets_what_was_spent() {
    let (shelf, clock, limit) = (Arc::new(Shelf::default()), clock(), limit(100, PACIFIC));
    let start = clock.now();
    for _ in 0..5 {
        let quotas = process(&shelf, &clock);
        for _ in 0..10 {
            call(&quotas, &limit).await;
        }
        quotas.settle().await;
    }
    assert_eq!(clock.now(), start, "50 of 100 calls are free at noon");
    let quotas = process(&shelf, &clock);
    for _ in 0..50 {
        call(&quotas, &limit).await;
    }
    let midnight: Timestamp = "2026-03-03T08:00:00Z".parse().unwrap();
    assert!(clock.now() <= midnight);
    call(&quotas, &limit).await;
    assert!(clock.now() > midnight, "the 101st call of the day is tomorrow's: {}", clock.now());
}

#[tokio::test(start_paused = true)]
async fn processes_that_are_killed_never_make_more_calls_in_a_day_than_the_quota_and_do_not_wait_for_their_first() {
    for refill in [PACIFIC, Refill::Unstated] {
        let (shelf, clock, limit) = (Arc::new(Shelf::default()), clock(), limit(200, refill));
        let (start, mut made) = (clock.now(), Vec::new());
        for n in 0..150 {
            let quotas = process(&shelf, &clock);
            for _ in 0..3 {
                call(&quotas, &limit).await;
                made.push(clock.now());
            }
            assert!(n > 10 || clock.now() == start, "{refill:?}: process {n} waited");
        }
        let day = |at: &Timestamp| at.in_zone(chrono_tz::Tz::America__Los_Angeles).date_naive();
        for (i, from) in made.iter().enumerate() {
            let within = made[i..].iter().take_while(|at| **at - *from < TimeDelta::hours(24)).count();
            let today = made.iter().filter(|at| day(at) == day(from)).count();
            assert!(if refill == PACIFIC { today } else { within } <= 200, "{refill:?}: {today}, {within} in a day from {from}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_calls_is_written_down_in_a_few_writes() {
    let (shelf, limit) = (Arc::new(Shelf::default()), limit(10_000, PACIFIC));
    let quotas = process(&shelf, &clock());
    for _ in 0..5_000 {
        call(&quotas, &limit).await;
    }
    let writes = shelf.writes.load(Ordering::Relaxed);
    assert!(writes <= 12, "{writes} writes for 5,000 calls");
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        call(&quotas, &limit).await;
    }
    assert!(shelf.writes.load(Ordering::Relaxed) <= writes + 4, "one for each slot");
}

#[tokio::test(start_paused = true)]
async fn an_overwrite_waits_before_an_increase_does() {
    let (shelf, clock, limit) = (Arc::new(Shelf::default()), clock(), limit(100, PACIFIC));
    let quotas = process(&shelf, &clock);
    for n in 0..70 {
        assert_eq!(quotas.next_overwrite(&limit).is_some(), n >= 60, "after {n} calls");
        call(&quotas, &limit).await;
    }
}

/// A shelf of several nodes.
#[derive(Default)]
struct Shared(Mutex<HashMap<(usize, i64), u32>>);

/// One node's part of it.
struct Part(Arc<Shared>, usize);

impl Part {
    fn of(&self, is_own: bool) -> Spent {
        let rows = lock(&self.0.0);
        let some = rows.iter().filter(|((node, _), _)| (*node == self.1) == is_own);
        some.fold(Spent::default(), |all, ((_, slot), calls)| all.with(&Spent::new([(*slot, *calls)])))
    }
}

impl Book for Part {
    fn load(&self, _: &str) -> BoxFuture<'static, Result<[Spent; 2], String>> {
        Box::pin(std::future::ready(Ok([self.of(true), self.of(false)])))
    }

    fn save(&self, _: &str, slots: Vec<(i64, u32)>) -> BoxFuture<'static, Result<Spent, String>> {
        lock(&self.0.0).extend(slots.into_iter().map(|(slot, calls)| ((self.1, slot), calls)));
        Box::pin(std::future::ready(Ok(self.of(false))))
    }
}

#[tokio::test(start_paused = true)]
async fn nodes_together_never_make_more_calls_than_the_quota_and_leave_little_of_it() {
    let (shared, clock) = (Arc::new(Shared::default()), clock());
    let node = |n: usize| {
        let quotas = Quotas::new(clock.clone());
        quotas.keep_in(Arc::new(Part(Arc::clone(&shared), n)));
        quotas
    };
    let nodes: Vec<Quotas> = (0..3).map(node).collect();
    let limit = limit(300, Refill::Unstated);
    let mut made = 0;
    for turn in 0..2_000 {
        if nodes[turn % 3].take(&limit).await {
            made += 1;
        }
        if turn % 100 == 0 {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }
    // Half is free at once, and a little more after twenty minutes.
    assert!((130..=155).contains(&made), "{made}");
}
