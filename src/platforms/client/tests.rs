//! Renewals, pages of variants, and dates.
use super::super::fixtures::{test_reply, test_stamp, test_store};
use super::super::limits::Limits;
use super::super::transport::{SendError, Transport};
use super::super::{shopee::Shopee, shopline::Shopline, simulated::Simulated};
use super::*;
use crate::clock::Clock;
use futures_util::future::BoxFuture;
use serde_json::json;

#[test]
fn tokens_from_a_failed_renewal_or_unfit_for_a_header_do_not_replace_working_ones() {
    let config = json!({ "handle": "acme", "location_id": "1", "app_key": "k" });
    let store = test_store("shopline", config, &[("access_token", "old"), ("app_secret", "s")]);
    let renewal = |status, token: &str| {
        let body = json!({ "code": 200, "i18nCode": "SUCCESS", "data": { "accessToken": token, "expireTime": "2027-01-01T00:00:00Z" } });
        read_renewal(&Shopline, &store, &test_reply(status, &[], &body.to_string()), &test_stamp("2026-11-24T12:00:00Z"))
    };
    assert!(matches!(renewal(200, "new"), Renewal::Renewed(kept) if kept.contains_key("app_secret")));
    for (status, token) in [(301, "new"), (200, ""), (200, "new\u{7f}"), (200, "né")] {
        assert!(matches!(renewal(status, token), Renewal::TryAgain { .. }), "{status} {token:?}");
    }
}

#[test]
fn a_page_has_no_variant_without_an_id_and_is_never_its_own_next_page() {
    let store = test_store("simulated", json!({}), &[]);
    let reply = test_reply(200, &[], r#"{"items": [{"external_id": ""}, {"external_id": "a"}], "next": "2"}"#);
    let page = |cursor| read_variants(&Simulated, &store, cursor, &reply).unwrap();
    assert_eq!(page(Some("1")).variants.iter().map(|v| v.external_id.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!((page(Some("1")).next.as_deref(), page(Some("2")).next), (Some("2"), None));
}

#[test]
fn an_unsuccessful_reply_is_not_a_page() {
    let store = test_store("shopee", json!({}), &[]);
    let body = r#"{"error": "", "response": {"item": [], "has_next_page": false}}"#;
    let read = |status| read_variants(&Shopee, &store, None, &test_reply(status, &[], body));
    assert_eq!((read(200).is_ok(), read(408).is_ok()), (true, false));
}

/// Answers with one item and another page, but not if more than this many are asked for.
struct Heavy(usize);

impl Transport for Heavy {
    fn send(&self, request: Request, _: Duration) -> BoxFuture<'static, Result<Reply, SendError>> {
        let limit: usize = request.url.split("limit=").nth(1).and_then(|rest| rest.split('&').next()?.parse().ok()).unwrap();
        let fits = limit <= self.0;
        Box::pin(async move {
            let body = r#"{"items": [{"external_id": "a"}], "next": "a"}"#.to_owned();
            if fits { Ok(Reply { status: 200, headers: Vec::new(), body }) } else { Err(SendError::TooLarge) }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_is_too_large_is_asked_for_in_smaller_ones_and_so_are_the_next() {
    let clock = Clock::starting_at("2027-01-04T12:00:00Z".parse().unwrap());
    let client = Client::new(Arc::new(Heavy(40)), Arc::new(Limits::default()), Duration::from_secs(1), clock);
    let mut store = test_store("simulated", json!({}), &[]);
    store.base_url = Some("http://shop.example".to_owned());
    let page = client.variants(&store, None).await.unwrap();
    assert_eq!((page.variants.len(), page.next.as_deref()), (1, Some("4~a")));
    assert_eq!(client.variants(&store, Some("4~b")).await.unwrap().next.as_deref(), Some("4~a"));
    let client = Client { transport: Arc::new(Heavy(4)), ..client };
    assert!(matches!(client.variants(&store, None).await, Err(Outcome::Unknown { .. })), "not even a few fit");
}

/// A figure of `/metrics`, which all tests of this process share; 0 if it is not there yet.
fn figure(series: &str) -> f64 {
    let text = crate::metrics::render();
    text.lines().find_map(|line| line.strip_prefix(series)).map_or(0.0, |value| value.trim().parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_limits_is_measured_on_the_clock_that_tests_can_pause() {
    const SUM: &str = "stocktide_limiter_wait_seconds_sum{platform=\"medusa\"}";
    const WITHIN_5_MINUTES: &str = "stocktide_limiter_wait_seconds_bucket{platform=\"medusa\",le=\"300\"}";
    let clock = Clock::starting_at("2027-01-04T12:00:00Z".parse().unwrap());
    let limits = Arc::new(Limits::default());
    let client = Client::new(Arc::new(Heavy(1)), Arc::clone(&limits), Duration::from_secs(1), clock);
    let store = test_store("medusa", json!({}), &[]);
    let call = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
    drop(client.permit_after(&store, &call, Duration::ZERO).await);
    let before = (figure(SUM), figure(WITHIN_5_MINUTES));
    limits.pause(store.store_id, Duration::from_mins(10));
    drop(client.permit_after(&store, &call, Duration::from_secs(5)).await);
    let took = figure(SUM) - before.0;
    assert!((604.9..605.2).contains(&took), "{took}");
    assert_eq!(figure(WITHIN_5_MINUTES), before.1, "no shorter wait was noted");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_somebody_waits_for_ends_in_time_however_long_the_limits_make_it_wait() {
    let clock = Clock::starting_at("2027-01-04T12:00:00Z".parse().unwrap());
    let limits = Arc::new(Limits::default());
    let client = Client::new(Arc::new(Heavy(1000)), Arc::clone(&limits), Duration::from_secs(7), clock);
    let mut store = test_store("simulated", json!({}), &[]);
    store.base_url = Some("http://shop.example".to_owned());
    let read = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
    drop(client.permit(&store, &read).await);
    limits.pause(store.store_id, Duration::from_mins(30));
    let asked_at = tokio::time::Instant::now();
    let page = client.variants(&store, None).await;
    assert!(matches!(&page, Err(Outcome::TryAgain { throttled: false, reason, .. }) if reason.contains("rate limit")), "{page:?}");
    assert!((7..8).contains(&asked_at.elapsed().as_secs()), "{:?}", asked_at.elapsed());
    let waited = tokio::time::timeout(LONGEST_WAIT * 2, client.permit_within(LONGEST_WAIT, &store, &read)).await;
    assert!(matches!(waited, Ok(Err(Outcome::TryAgain { .. }))), "a read before a set ends, too");
}

/// Notes when requests leave.
#[derive(Default)]
struct Noting(std::sync::Mutex<Vec<Instant>>);

impl Transport for Noting {
    fn send(&self, _: Request, _: Duration) -> BoxFuture<'static, Result<Reply, SendError>> {
        self.0.lock().unwrap().push(Instant::now());
        Box::pin(async { Err(SendError::Lost("gone".to_owned())) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_had_to_prove_its_lease_is_not_followed_too_soon() {
    let clock = Clock::starting_at("2027-01-04T12:00:00Z".parse().unwrap());
    let left = Arc::new(Noting::default());
    let client = Client::new(Arc::clone(&left) as Arc<dyn Transport>, Arc::new(Limits::default()), Duration::from_secs(1), clock);
    let mut store = test_store("simulated", json!({ "rate_limit": { "per_second": 0.1, "burst": 1 } }), &[]);
    store.base_url = Some("http://shop.example".to_owned());
    let read = Call { action: Action::Read, items: Vec::new(), idempotency_key: None };
    tokio::time::sleep(Duration::from_secs(60)).await;
    let send = async |proof_ms| {
        let permit = client.permit(&store, &read).await;
        let proven_at = Arc::new(std::sync::Mutex::new(None::<Instant>));
        let may_send: MaySend = Arc::new(move || {
            let proven_at = Arc::clone(&proven_at);
            Box::pin(async move {
                // A proof is good for a second.
                if proven_at.lock().unwrap().is_none_or(|at| at.elapsed() > Duration::from_secs(1)) {
                    tokio::time::sleep(Duration::from_millis(proof_ms)).await;
                    *proven_at.lock().unwrap() = Some(Instant::now());
                }
                true
            })
        });
        client.asking(may_send).send(&store, &read, permit).await;
    };
    // The second waits for the first, so that it has to prove it again.
    futures_util::future::join3(send(4000), send(900), send(0)).await;
    let left = left.0.lock().unwrap().clone();
    let gaps = [left[1] - left[0], left[2] - left[1]];
    assert!(gaps.iter().all(|gap| *gap >= Duration::from_secs(10)), "{gaps:?}");
}
