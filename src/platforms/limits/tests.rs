//! Rate limits on tokio's paused clock.
use super::super::connector::AppLimit;
use super::*;
use crate::domain::delivery::Abilities;
use uuid::Uuid;

fn facts(per_second: f64, burst: u32, per_app: Option<AppLimit>) -> Facts {
    let abilities = Abilities { adjust: true, idempotency: true, compare_and_set: false, read: true, max_items: 1 };
    Facts {
        abilities,
        reads_before_set: false,
        proves_writes: false,
        group_by: None,
        location: None,
        per_store: RateLimit { per_second, burst },
        per_app,
    }
}

/// In every window from one permit to another, the number of calls is at most burst + rate × time.
fn assert_within(instants: &[Instant], per_second: f64, burst: f64) {
    for (i, from) in instants.iter().enumerate() {
        for (j, to) in instants.iter().enumerate().skip(i) {
            let calls = (j - i + 1) as f64;
            assert!(calls <= burst + per_second * (*to - *from).as_secs_f64() + 1e-6, "{calls} calls from {i} to {j}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_window_holds_more_calls_than_the_bucket_allows() {
    let limits = Arc::new(Limits::default());
    let store = StoreId(Uuid::from_u128(1));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let start = Instant::now();
    let mut instants = Vec::new();
    for _ in 0..40 {
        let expected = Instant::now() + limits.expected_wait(store, &facts(2.5, 3, None), 1);
        drop(limits.acquire(store, &facts(2.5, 3, None), 1).await);
        let late = Instant::now().saturating_duration_since(expected);
        assert!(Instant::now() >= expected && late < Duration::from_millis(3), "the wait was predicted to within 3 ms: {late:?}");
        instants.push(Instant::now());
    }
    assert_within(&instants, 2.5, 3.0);
    assert!(start.elapsed() < Duration::from_secs_f64(37.0 / 2.5 + 0.1), "and no longer than that");
}

#[tokio::test(start_paused = true)]
async fn calls_leave_no_closer_together_than_the_bucket_allows_however_long_they_waited_after_their_permits() {
    for per_app in [None, Some(AppLimit { name: "app".to_owned(), limit: Some(RateLimit { per_second: 2.0, burst: 2 }), per_day: None })] {
        let limits = Arc::new(Limits::default());
        // With an app's limit, each call is one of another store.
        let store = |n: u128| StoreId(Uuid::from_u128(if per_app.is_some() { n } else { 1 }));
        let mut facts = facts(2.0, 2, per_app.clone());
        if per_app.is_some() {
            facts.per_store = RateLimit { per_second: 100.0, burst: 100 };
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        let mut under_way = Vec::new();
        for n in 0..12 {
            let permit = limits.acquire(store(n), &facts, 1).await;
            let delay = Duration::from_millis(if n.is_multiple_of(3) { 900 } else { 5 });
            under_way.push(tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                while let Some(wait) = permit.try_depart() {
                    tokio::time::sleep(wait).await;
                }
                Instant::now()
            }));
        }
        let mut left = Vec::new();
        for call in under_way {
            left.push(call.await.unwrap());
        }
        left.sort_unstable();
        assert_within(&left, 2.0, 2.0);
        assert!(left[11] - left[0] <= Duration::from_millis(6_000), "and they hardly leave later: {:?}", left[11] - left[0]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_an_app_is_divided_among_the_nodes_that_live() {
    let app = RateLimit { per_second: 4.0, burst: 4 };
    let (facts, nodes) = (facts(100.0, 100, None), [Limits::of_one_app(app), Limits::of_one_app(app)].map(Arc::new));
    let store = |n: u128| StoreId(Uuid::from_u128(n));
    tokio::time::sleep(Duration::from_secs(60)).await;
    nodes.iter().for_each(|node| node.share_among(2));
    let mut instants = Vec::new();
    for n in 0..20 {
        for node in &nodes {
            drop(node.acquire(store(n), &facts, 1).await);
            instants.push(Instant::now());
        }
    }
    assert_within(&instants, 4.0, 4.0);
    nodes[0].share_among(1);
    let alone_since = Instant::now();
    for n in 0..20 {
        drop(nodes[0].acquire(store(n), &facts, 1).await);
    }
    assert!(alone_since.elapsed() < Duration::from_millis(5_100), "it has all of it: {:?}", alone_since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn no_extra_permits_accumulate_during_a_pause() {
    let limits = Arc::new(Limits::default());
    let store = StoreId(Uuid::from_u128(1));
    let mut instants = Vec::new();
    for n in 0..20 {
        drop(limits.acquire(store, &facts(2.0, 3, None), 1).await);
        instants.push(Instant::now());
        if n % 5 == 0 {
            limits.pause(store, Duration::from_secs(3));
        }
    }
    assert_within(&instants, 2.0, 3.0);
}

#[tokio::test(start_paused = true)]
async fn buckets_are_empty_when_a_process_starts() {
    let store = StoreId(Uuid::from_u128(1));
    let mut instants = Vec::new();
    for _ in 0..5 {
        let limits = Arc::new(Limits::default());
        for _ in 0..4 {
            drop(limits.acquire(store, &facts(2.0, 3, None), 1).await);
            instants.push(Instant::now());
        }
    }
    assert_within(&instants, 2.0, 3.0);
}

#[tokio::test(start_paused = true)]
async fn stores_of_one_app_share_its_bucket() {
    let limits = Arc::new(Limits::default());
    let app = Some(AppLimit { name: "x".into(), limit: Some(RateLimit { per_second: 10.0, burst: 1 }), per_day: None });
    let mut instants = Vec::new();
    for n in 0..30u128 {
        drop(limits.acquire(StoreId(Uuid::from_u128(n % 5)), &facts(100.0, 10, app.clone()), 1).await);
        instants.push(Instant::now());
    }
    assert_within(&instants, 10.0, 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_store_waits_as_long_as_the_platform_says() {
    let limits = Arc::new(Limits::default());
    let (store, other) = (StoreId(Uuid::from_u128(1)), StoreId(Uuid::from_u128(2)));
    tokio::time::sleep(Duration::from_secs(60)).await;
    drop(limits.acquire(store, &facts(100.0, 10, None), 1).await);
    limits.pause(store, Duration::from_secs(7));
    let start = Instant::now();
    drop(limits.acquire(other, &facts(100.0, 10, None), 1).await);
    assert_eq!(start.elapsed(), Duration::ZERO);
    drop(limits.acquire(store, &facts(100.0, 10, None), 1).await);
    assert!(start.elapsed() >= Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn stores_waiting_for_their_app_take_turns() {
    let limits = Arc::new(Limits::default());
    let app = Some(AppLimit { name: "x".into(), limit: Some(RateLimit { per_second: 10.0, burst: 1 }), per_day: None });
    let served = Arc::new(Mutex::new(Vec::new()));
    let store = |n: u128| {
        let (limits, served, facts) = (Arc::clone(&limits), Arc::clone(&served), facts(100.0, 10, app.clone()));
        tokio::spawn(async move {
            for _ in 0..10 {
                drop(limits.acquire(StoreId(Uuid::from_u128(n)), &facts, 1).await);
                served.lock().unwrap().push(n);
            }
        })
    };
    for task in [store(1), store(2), store(3)] {
        task.await.unwrap();
    }
    let served = served.lock().unwrap();
    assert!(served.chunks(3).all(|round| round.iter().sum::<u128>() == 6), "{served:?}");
}

#[tokio::test(start_paused = true)]
async fn the_bucket_follows_the_platforms_report() {
    let limits = Arc::new(Limits::default());
    let (store, stated) = (StoreId(Uuid::from_u128(1)), facts(100.0, 2000, None));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let first = limits.acquire(store, &stated, 13).await;
    let second = limits.acquire(store, &stated, 13).await;
    // Another user of the app has spent most of it; the report does not include the second call yet.
    first.learn(ReportedQuota { per_second: 50.0, burst: 1000, available: Some(20), cost: None });
    drop((first, second));
    let start = Instant::now();
    drop(limits.acquire(store, &stated, 13).await);
    assert!(start.elapsed() >= Duration::from_millis(120), "7 points are left and 13 are needed, at 50/s: {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_millis(130), "and no longer than that");
}

#[tokio::test(start_paused = true)]
async fn no_report_can_stop_a_store_for_more_than_a_day() {
    for per_second in [f64::MIN_POSITIVE, 1e-6, f64::MAX, f64::INFINITY, f64::NAN] {
        for burst in [0, 1, u32::MAX] {
            let limits = Arc::new(Limits::default());
            let (store, stated) = (StoreId(Uuid::from_u128(1)), facts(50.0, 1000, None));
            let reported = ReportedQuota { per_second, burst, available: Some(0), cost: Some(40) };
            limits.acquire(store, &stated, 13).await.learn(reported);
            let start = Instant::now();
            drop(limits.acquire(store, &stated, 13).await);
            assert!(start.elapsed() <= Duration::from_secs(24 * 3600), "{reported:?}: {:?}", start.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_costs_what_the_platform_says_it_costs() {
    let limits = Arc::new(Limits::default());
    let (store, stated) = (StoreId(Uuid::from_u128(1)), facts(50.0, 1000, None));
    let first = limits.acquire(store, &stated, 13).await;
    first.learn(ReportedQuota { per_second: 50.0, burst: 1000, available: Some(0), cost: Some(100) });
    drop(first);
    let start = Instant::now();
    drop(limits.acquire(store, &stated, 13).await);
    assert!(start.elapsed() >= Duration::from_secs(2), "100 points at 50/s: {:?}", start.elapsed());
    drop(limits.acquire(store, &stated, 5).await);
    assert!(start.elapsed() < Duration::from_millis(2200), "the cost of other calls is unchanged: {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_another_node_has_called_before_gets_an_empty_bucket_once_for_each_epoch() {
    let limits = Arc::new(Limits::default());
    let (store, facts) = (StoreId(Uuid::from_u128(1)), facts(1.0, 10, None));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(limits.expected_wait(store, &facts, 10), Duration::ZERO);
    limits.begin_under(store, 3, Instant::now());
    assert!(limits.expected_wait(store, &facts, 1) > Duration::from_millis(900));
    tokio::time::sleep(Duration::from_secs(5)).await;
    limits.begin_under(store, 3, Instant::now());
    assert_eq!(limits.expected_wait(store, &facts, 4), Duration::ZERO, "its actor has only started again");
    limits.begin_under(store, 4, Instant::now() - Duration::from_secs(3));
    let waits = [3, 4].map(|cost| limits.expected_wait(store, &facts, cost).is_zero());
    assert_eq!(waits, [true, false], "the epoch began three seconds ago");
    tokio::time::sleep(Duration::from_secs(60)).await;
    drop(limits.acquire(store, &facts, 10).await);
    tokio::time::sleep(Duration::from_secs(2)).await;
    limits.begin_under(store, 5, Instant::now() - Duration::from_secs(30));
    let waits = [2, 3].map(|cost| limits.expected_wait(store, &facts, cost).is_zero());
    assert_eq!(waits, [true, false], "its own calls count, although it has held the store for longer");
}

#[tokio::test(start_paused = true)]
async fn nodes_together_stay_within_the_limit_of_an_app() {
    let app = || Some(AppLimit { name: "x".into(), limit: Some(RateLimit { per_second: 6.0, burst: 6 }), per_day: None });
    let facts = facts(1000.0, 1000, app());
    let nodes: Vec<Arc<Limits>> = (0..3).map(|_| Arc::new(Limits::default())).collect();
    nodes.iter().for_each(|limits| limits.share_among(3));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let calls = |limits: Arc<Limits>| {
        let facts = facts.clone();
        async move {
            let mut instants = Vec::new();
            for n in 0..20 {
                drop(limits.acquire(StoreId(Uuid::from_u128(n)), &facts, 1).await);
                instants.push(Instant::now());
            }
            instants
        }
    };
    let mut instants: Vec<Instant> = futures_util::future::join_all(nodes.into_iter().map(calls)).await.concat();
    instants.sort_unstable();
    assert_within(&instants, 6.0, 6.0);
}
