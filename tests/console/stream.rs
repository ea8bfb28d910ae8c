//! `/v1/stream`, read with an API key and with a session cookie.
use crate::support::{OPERATOR_KEY, World};
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;

/// Reads a stream until it has contained all of these texts.
async fn read_until(answer: reqwest::Response, wanted: &[&str]) -> String {
    let mut text = String::new();
    let mut chunks = answer.bytes_stream();
    let reading = async {
        while !wanted.iter().all(|words| text.contains(words)) {
            let chunk = chunks.next().await.expect("the stream continues").unwrap();
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reading).await.expect("the events arrive");
    text
}

#[actix_web::test]
async fn a_stream_reports_only_the_sellers_own_pushes_runs_and_stores() {
    let world = World::start().await;
    let (ada, bo) = (world.seller("Ada", "UTC").await, world.seller("Bo", "UTC").await);
    let store = world.store(&ada, "corner", 100, &["A"], 5).await;
    world.store(&bo, "bos", 100, &["SECRET"], 5).await;
    let (cookie, _) = world.session(&ada).await;
    let by_key = world.request(Method::GET, "/v1/stream").bearer_auth(&ada).send().await.unwrap();
    let by_cookie = world.request(Method::GET, "/v1/stream").header("cookie", cookie).send().await.unwrap();
    assert_eq!(by_key.headers()["content-type"], "text/event-stream");
    // A stream first reads the current state and then reports changes.
    let received = async {
        let (key, session) = tokio::join!(
            read_until(
                by_key,
                &["event: push", "\"state\":\"confirmed\"", "event: run", "\"state\":\"finished\"", "event: store", "\"state\":\"paused\""]
            ),
            read_until(by_cookie, &["event: push"])
        );
        (key, session)
    };
    let changes = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        world.call("POST", "/v1/syncs", &bo, json!({})).await;
        world.call("POST", "/v1/syncs", &ada, json!({})).await;
        world.until("the overwrite", || world.platform.quantity("corner", "item-A") == 5).await;
        world.call("PATCH", &format!("/v1/stores/{store}"), &ada, json!({"paused": true})).await;
    };
    let ((key, session), ()) = tokio::join!(received, changes);
    assert!(!key.contains("SECRET") && !session.contains("SECRET"));
}

#[actix_web::test]
async fn a_stream_needs_a_seller_and_does_not_delay_shutdown() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    let open_with = |key: String| world.request(Method::GET, "/v1/stream").bearer_auth(key).send();
    assert_eq!(open_with("stk_wrong".to_owned()).await.unwrap().status(), 401);
    assert_eq!(open_with(OPERATOR_KEY.to_owned()).await.unwrap().status(), 401);
    let mut open = open_with(key).await.unwrap().bytes_stream();
    open.next().await.expect("the stream starts").unwrap();
    let stopped = tokio::task::spawn_blocking(move || world.stop());
    let ended = async { while open.next().await.is_some_and(|chunk| chunk.is_ok()) {} };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the stream ends");
    stopped.await.unwrap().expect("the service ends without an error");
}

/// Reads a stream to its end, which must come soon.
async fn read_to_end(answer: reqwest::Response) -> String {
    let rest = tokio::time::timeout(Duration::from_secs(10), answer.text());
    rest.await.expect("the stream ends within seconds").unwrap()
}

#[actix_web::test]
async fn a_stream_ends_as_soon_as_its_reader_loses_the_right_to_read() {
    let world = World::start().await;
    for way in ["key revoked", "key of the session revoked", "signed out", "suspended", "deleted"] {
        let created = world.call("POST", "/admin/sellers", OPERATOR_KEY, json!({"name": way, "timezone": "UTC"})).await;
        let (seller, key) =
            (format!("/admin/sellers/{}", created["id"].as_str().unwrap()), created["api_key"].as_str().unwrap().to_owned());
        let second = world.call("POST", &format!("{seller}/keys"), OPERATOR_KEY, json!({})).await["api_key"].as_str().unwrap().to_owned();
        let store = world.store(&key, "before", 100, &["A"], 5).await;
        let (cookie, csrf) = world.session(&key).await;
        let request = world.request(Method::GET, "/v1/stream");
        let by_cookie = way.contains("session") || way == "signed out";
        let request = if by_cookie { request.header("cookie", &cookie) } else { request.bearer_auth(&key) };
        let open = request.send().await.unwrap();
        assert_eq!(open.status(), 200, "{way}");
        match way {
            "signed out" => {
                let answer = world.form("/console/sign-out", &[("csrf", &csrf)]).header("cookie", &cookie).send().await.unwrap();
                assert_eq!(answer.status(), 303);
            }
            "suspended" => drop(world.call("PATCH", &seller, OPERATOR_KEY, json!({"suspended": true})).await),
            "deleted" => drop(world.call("DELETE", &seller, OPERATOR_KEY, json!(null)).await),
            _ => {
                let revoked = format!("{seller}/keys/{}", created["key_id"].as_str().unwrap());
                drop(world.call("DELETE", &revoked, OPERATOR_KEY, json!(null)).await);
            }
        }
        if !matches!(way, "suspended" | "deleted") {
            world.call("PATCH", &format!("/v1/stores/{store}"), &second, json!({"name": "sent too late"})).await;
        }
        let text = read_to_end(open).await;
        assert!(!text.contains("sent too late"), "{way}: {text}");
    }
}

#[actix_web::test]
async fn a_stream_that_is_resumed_first_sends_what_was_missed() {
    let world = World::start().await;
    let key = world.seller("Ada", "UTC").await;
    world.store(&key, "corner", 100, &["A"], 5).await;
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
    world.call("POST", "/v1/syncs", &key, json!({})).await;
    world.until("the overwrite", || world.platform.quantity("corner", "item-A") == 5).await;
    // Long enough for the outcome to be saved, too: nothing changes any more once the stream is open.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let open = || world.request(Method::GET, "/v1/stream").bearer_auth(&key);
    let resumed = open().header("last-event-id", now.to_string()).send().await.unwrap();
    read_until(resumed, &["event: push", "\"state\":\"confirmed\"", "event: run", "\"state\":\"finished\"", "event: store"]).await;
    let mut fresh = open().send().await.unwrap().bytes_stream();
    let first = fresh.next().await.expect("the stream starts").unwrap();
    assert_eq!(String::from_utf8_lossy(&first), "retry: 3000\n\n", "a new client asks for the state itself");
}
