//! The simulated platform over HTTP, with endpoints under `/control` for setting faults and reading its state.
//!
//! A single worker: all stores share one lock anyway, and a call of a hundred items holds it for well under a millisecond.
use super::exchange::{Decision, Incoming};
use super::faults::Faults;
use super::platform::Simulator;
use super::shops::{NewShop, Tokens};
use crate::clock::Clock;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Json, Path, Query};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde::{Deserialize, Serialize};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpSocket;

/// Connections that may wait to be accepted: a service with hundreds of stores opens them all at once.
const BACKLOG: u32 = 4096;
/// Longer than callers keep idle connections, so that this side never closes one just as a request arrives on it.
const KEEP_ALIVE: Duration = Duration::from_secs(300);
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// Receipts or items on a page under `/control`: default and maximum.
const DEFAULT_PAGE: usize = 10_000;
const MAX_PAGE: usize = 100_000;

/// Binds `address` with a long backlog. Must be called within a tokio runtime.
pub fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

struct Platform {
    simulator: Simulator,
    clock: Clock,
}

/// Serves `simulator` until `shutdown` completes.
pub async fn serve(
    listener: TcpListener,
    simulator: Simulator,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let platform = Data::new(Platform { simulator, clock: Clock::system() });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(platform.clone())
            .app_data(web::JsonConfig::default().limit(MAX_BODY_BYTES))
            .app_data(web::PayloadConfig::default().limit(MAX_BODY_BYTES))
            .route("/control/faults", web::get().to(faults))
            .route("/control/faults", web::put().to(set_faults))
            .route("/control/stats", web::get().to(stats))
            .route("/control/receipts", web::get().to(receipts))
            .route("/control/stores/{store}/items", web::get().to(items))
            .route("/control/stores/{store}/items", web::put().to(set_items))
            .route("/control/stores/{store}/sell", web::post().to(sell))
            .route("/control/shopee/{shop}", web::put().to(open_shopee_shop))
            .route("/control/shopee/{shop}", web::delete().to(close_shopee_shop))
            .default_service(web::to(platform_call))
    })
    .keep_alive(KEEP_ALIVE)
    .listen(listener)?
    .workers(1)
    .shutdown_timeout(2)
    .disable_signals()
    .run();
    let handle = server.handle();
    tokio::spawn(async move {
        shutdown.await;
        handle.stop(false).await;
    });
    server.await
}

async fn platform_call(request: HttpRequest, body: Bytes, platform: Data<Platform>) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let incoming = Incoming {
        target: request.uri().to_string(),
        post: request.method() == actix_web::http::Method::POST,
        authorization: header("authorization").or_else(|| header("x-shopify-access-token")),
        key: header("idempotency-key"),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let decision = platform.simulator.decide(platform.clock.now_us(), &incoming);
    let after_ms = if let Decision::Answer(answer) = &decision { answer.after_ms } else { 0 };
    match platform.simulator.latency_ms().saturating_add(after_ms) {
        0 => {}
        ms => tokio::time::sleep(Duration::from_millis(ms)).await,
    }
    match decision {
        Decision::Answer(mut answer) => {
            let mut response = HttpResponse::build(StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
            response.content_type("application/json");
            if platform.simulator.repeats() {
                let sent: Vec<String> = request.headers().iter().map(|(name, value)| format!("{name}: {}", text_of(value))).collect();
                for (n, line) in sent.iter().enumerate() {
                    response.insert_header((format!("x-sent-{n}"), line.clone()));
                }
                repeat(&mut answer.body, &format!("{} {} {}", incoming.target, sent.join(" "), incoming.body));
            }
            if let Some(seconds) = answer.retry_after {
                response.insert_header(("retry-after", seconds.to_string()));
            }
            for (name, value) in &answer.headers {
                response.insert_header((*name, value.clone()));
            }
            response.body(answer.text() + &" ".repeat(answer.padding))
        }
        Decision::Cut => cut(),
        Decision::CutAndApplyLater(ms) => {
            actix_web::rt::spawn(async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                platform.simulator.apply_late(platform.clock.now_us(), &incoming);
            });
            cut()
        }
        Decision::Silence => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            cut()
        }
        Decision::Refuse => HttpResponse::ServiceUnavailable().finish(),
    }
}

fn text_of(value: &actix_web::http::header::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// Puts the request beside the data of an answer, and in the place of every text about an error.
fn repeat(body: &mut serde_json::Value, sent: &str) {
    fn replace_errors(value: &mut serde_json::Value, sent: &str) {
        let Some(members) = value.as_object_mut() else {
            return value.as_array_mut().into_iter().flatten().for_each(|value| replace_errors(value, sent));
        };
        for (name, value) in members {
            if matches!(name.as_str(), "error" | "message") && value.is_string() && value != "stale" {
                *value = sent.into();
            }
            replace_errors(value, sent);
        }
    }
    replace_errors(body, sent);
    if let Some(members) = body.as_object_mut() {
        members.insert("sent".to_owned(), sent.into());
    }
}

/// Cuts the connection: when the body fails before its first byte, the server drops the connection while the head is
/// still in its buffer, so the caller receives nothing at all.
fn cut() -> HttpResponse {
    HttpResponse::Ok().body(BoxBody::new(BrokenOff))
}

struct BrokenOff;

impl MessageBody for BrokenOff {
    type Error = std::io::Error;
    fn size(&self) -> BodySize {
        BodySize::Sized(1_000)
    }
    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionReset.into())))
    }
}

async fn faults(platform: Data<Platform>) -> Json<Faults> {
    Json(platform.simulator.faults())
}

async fn set_faults(platform: Data<Platform>, faults: Json<Faults>) -> HttpResponse {
    if let Err(error) = faults.check() {
        return HttpResponse::UnprocessableEntity().json(serde_json::json!({ "error": error }));
    }
    platform.simulator.set_faults(faults.into_inner());
    HttpResponse::Ok().json(platform.simulator.faults())
}

async fn stats(platform: Data<Platform>) -> HttpResponse {
    HttpResponse::Ok().json(platform.simulator.stats())
}

#[derive(Deserialize)]
struct ReceiptsQuery {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
}

async fn receipts(platform: Data<Platform>, query: Query<ReceiptsQuery>) -> HttpResponse {
    let items = platform.simulator.receipts(query.after, query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE));
    let next = items.last().map(|r| r.seq);
    HttpResponse::Ok().json(serde_json::json!({ "items": items, "next": next }))
}

#[derive(Deserialize)]
struct ItemsQuery {
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize, Deserialize)]
struct Item {
    external_id: String,
    quantity: i64,
}

#[derive(Serialize, Deserialize)]
struct Items {
    items: Vec<Item>,
    #[serde(default)]
    next: Option<String>,
}

async fn items(platform: Data<Platform>, store: Path<String>, query: Query<ItemsQuery>) -> Json<Items> {
    let limit = query.limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE);
    let found = platform.simulator.items(&store, query.after.as_deref(), limit);
    let next = (found.len() == limit).then(|| found.last().map(|(id, _)| id.clone())).flatten();
    Json(Items { items: found.into_iter().map(|(external_id, quantity)| Item { external_id, quantity }).collect(), next })
}

async fn set_items(platform: Data<Platform>, store: Path<String>, body: Json<Items>) -> HttpResponse {
    for item in &body.items {
        platform.simulator.set_quantity(&store, &item.external_id, item.quantity);
    }
    HttpResponse::NoContent().finish()
}

async fn sell(platform: Data<Platform>, store: Path<String>, item: Json<Item>) -> HttpResponse {
    platform.simulator.sell(&store, &item.external_id, item.quantity);
    HttpResponse::NoContent().finish()
}

async fn open_shopee_shop(platform: Data<Platform>, shop: Path<u64>, new: Json<NewShop>) -> Json<Tokens> {
    let now_us = platform.clock.now_us();
    Json(platform.simulator.open_shopee_shop(now_us, shop.into_inner(), new.into_inner()))
}

async fn close_shopee_shop(platform: Data<Platform>, shop: Path<u64>) -> HttpResponse {
    platform.simulator.close_shopee_shop(shop.into_inner());
    HttpResponse::NoContent().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Sends one request on a new connection and returns everything that comes back.
    async fn exchange(address: SocketAddr, body: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let head = format!("POST /stores/s/adjust HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.ok();
        String::from_utf8(response).unwrap()
    }

    #[actix_web::test]
    async fn a_cut_connection_returns_not_a_single_byte() {
        let simulator = Simulator::new(1);
        let listener = listener("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let served = actix_web::rt::spawn(serve(listener, simulator.clone(), async { stopped.await.unwrap_or(()) }));
        let body = r#"{"items":[{"external_id":"a","delta":3}]}"#;
        assert!(exchange(address, body).await.starts_with("HTTP/1.1 200"));
        simulator.set_faults(Faults { cut: 1.0, ..Faults::default() });
        assert_eq!(exchange(address, body).await, "");
        assert_eq!(simulator.quantity("s", "a"), 3, "the connection was cut before the request was applied");
        simulator.set_faults(Faults { lose_answer: 1.0, ..Faults::default() });
        assert_eq!(exchange(address, body).await, "");
        assert_eq!(simulator.quantity("s", "a"), 6, "the request was applied and its answer lost");
        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
    }
}
