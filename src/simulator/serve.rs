//! The simulated platform over HTTP, with a control face under `/control` for switching faults and looking inside.
use super::{Answer, Decision, Faults, Incoming, Simulator};
use crate::clock::Clock;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Json, Path, Query};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde::{Deserialize, Serialize};
use std::net::TcpListener;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

struct Platform {
    simulator: Simulator,
    clock: Clock,
}

/// Serves until `shutdown` ends.
///
/// # Errors
/// The listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    simulator: Simulator,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let platform = Data::new(Platform { simulator, clock: Clock::system() });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(platform.clone())
            .app_data(web::JsonConfig::default().limit(8 * 1024 * 1024))
            .app_data(web::PayloadConfig::default().limit(8 * 1024 * 1024))
            .route("/control/faults", web::get().to(faults))
            .route("/control/faults", web::put().to(set_faults))
            .route("/control/stats", web::get().to(stats))
            .route("/control/receipts", web::get().to(receipts))
            .route("/control/stores/{store}/items", web::get().to(items))
            .route("/control/stores/{store}/items", web::put().to(set_items))
            .route("/control/stores/{store}/sell", web::post().to(sell))
            .default_service(web::to(platform_call))
    })
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
    let decision = platform.simulator.decide(platform.clock.now().timestamp_micros(), &incoming);
    match platform.simulator.latency_ms() {
        0 => {}
        ms => tokio::time::sleep(Duration::from_millis(ms)).await,
    }
    match decision {
        Decision::Answer(Answer { status, retry_after, body }) => {
            let mut response = HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
            if let Some(seconds) = retry_after {
                response.insert_header(("retry-after", seconds.to_string()));
            }
            response.json(body)
        }
        Decision::Cut => cut(),
        Decision::CutAndApplyLater(ms) => {
            actix_web::rt::spawn(async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                platform.simulator.apply_late(platform.clock.now().timestamp_micros(), &incoming);
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

/// An answer whose body breaks off: the server can only close the connection.
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

async fn set_faults(platform: Data<Platform>, faults: Json<Faults>) -> Json<Faults> {
    platform.simulator.set_faults(faults.into_inner());
    Json(platform.simulator.faults())
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
    let items = platform.simulator.receipts(query.after, query.limit.unwrap_or(10_000).min(100_000));
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
    let limit = query.limit.unwrap_or(10_000).min(100_000);
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
