//! How many decisions per second do the pure rules make: steps of a store's state machine, and targets of a SKU's
//! listings? They run for every message and every event, so their cost should be negligible next to a commit.
//!
//! Baselines: for a step, the `Vec` of one effect that it returns; for shared targets, a plain `floor(pool × share)`; for
//! exclusive targets, Sainte-Laguë by its definition, one unit at a time.

use criterion::Criterion;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;
use stocktide::domain::allocation::{AllocationMode, ListingRules, Share, targets};
use stocktide::domain::stock::Levels;
use stocktide::domain::sync::{Effect, Input, StoreSync};
use stocktide::domain::units::UnitsEach;
use stocktide::domain::{StoreId, Timestamp, WarehouseCode};
use tokio::time::Instant;

/// Units in the pool; splitting them one at a time takes this many steps.
const POOL: i64 = 1_000;
/// Listings of one SKU: a single store, a typical seller, a large one.
const LISTINGS: [u16; 3] = [1, 3, 20];

/// The shortest time of each benchmark, for the ratios; criterion prints its own statistics.
#[derive(Default)]
struct Best(RefCell<BTreeMap<String, f64>>);

impl Best {
    fn measure(&self, criterion: &mut Criterion, name: &str, mut work: impl FnMut()) {
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let began = Instant::now();
                for _ in 0..times {
                    work();
                }
                let took = began.elapsed();
                let each = took.as_secs_f64() / f64::from(u32::try_from(times).unwrap_or(u32::MAX));
                let mut best = self.0.borrow_mut();
                let shortest = best.entry(name.to_owned()).or_insert(f64::INFINITY);
                *shortest = shortest.min(each);
                took
            });
        });
    }

    fn ratio(&self, what: &str, baseline: &str) {
        let best = self.0.borrow();
        if let (Some(what_took), Some(baseline_took)) = (best.get(what), best.get(baseline)) {
            let (rate, ratio) = (1.0 / what_took, what_took / baseline_took);
            println!("{what}: {rate:.0}/s; time against `{baseline}`: {ratio:.2} : 1");
        }
    }
}

fn rules(listings: u16) -> Vec<ListingRules> {
    let share = Share::from_hundredths(i64::from(9_000 / listings));
    let listing = || ListingRules {
        store_id: StoreId::new(Timestamp::default()),
        share,
        buffer: 2,
        threshold: Some(1),
        max_shown: Some(100_000),
        sync_enabled: true,
        warehouses: None,
        units: UnitsEach::ONE,
    };
    (0..listings).map(|_| listing()).collect()
}

fn one_unit_at_a_time(pool: i64, shares: &[i64]) -> Vec<i64> {
    let mut parts = vec![0i64; shares.len()];
    for _ in 0..pool {
        let next = shares.iter().zip(&mut parts).max_by(|(s, p), (t, q)| (*s * (2 * **q + 1)).cmp(&(*t * (2 * **p + 1))));
        if let Some((_, part)) = next {
            *part += 1;
        }
    }
    parts
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .without_plots()
        .configure_from_args();
    let best = Best::default();
    let now = Timestamp::from_millis(1_800_000_000_000);

    best.measure(&mut criterion, "a Vec of one effect", || {
        black_box(vec![Effect::Claim { probe: black_box(false), overwrites_first: false, check_times: false }]);
    });
    // A hint triggers a claim, and the claim finds nothing: the two steps of an idle store for every message.
    let mut sync = StoreSync::new(4);
    let mut is_hint = false;
    best.measure(&mut criterion, "StoreSync::step", || {
        is_hint = !is_hint;
        let input = if is_hint { Input::Hint } else { Input::NothingDue(None) };
        black_box(sync.step(black_box(now), input));
    });

    let levels = Levels::from([(WarehouseCode::main(), POOL + 2)]);
    for listings in LISTINGS {
        let all = rules(listings);
        let shares: Vec<i64> = all.iter().filter_map(|listing| listing.share.map(Share::hundredths)).collect();
        let with_rest: Vec<i64> = shares.iter().copied().chain([10_000 - shares.iter().sum::<i64>()]).collect();
        let name = |what: &str| format!("{what}, {listings} listings");
        best.measure(&mut criterion, &name("floor(pool × share)"), || {
            black_box(shares.iter().map(|share| black_box(POOL) * share / 10_000).collect::<Vec<i64>>());
        });
        best.measure(&mut criterion, &name("shared targets"), || {
            black_box(targets(AllocationMode::Shared, black_box(&levels), &all));
        });
        best.measure(&mut criterion, &name("one unit at a time"), || {
            black_box(one_unit_at_a_time(black_box(POOL), &with_rest));
        });
        best.measure(&mut criterion, &name("exclusive targets"), || {
            black_box(targets(AllocationMode::Exclusive, black_box(&levels), &all));
        });
    }
    criterion.final_summary();

    println!("\nsync_step: decisions per second on one core; pool of {POOL} units, shares of 90 % in total");
    best.ratio("StoreSync::step", "a Vec of one effect");
    for listings in LISTINGS {
        let name = |what: &str| format!("{what}, {listings} listings");
        best.ratio(&name("shared targets"), &name("floor(pool × share)"));
        best.ratio(&name("exclusive targets"), &name("one unit at a time"));
    }
}
