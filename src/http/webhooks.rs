//! Webhooks: listed, added, changed, deleted, tried out; and the log of their messages. A webhook's secret is shown once.
use super::auth::Caller;
use super::body::Body;
use super::error::Problem;
use super::request::{Page, PageQuery, id_cursor, limit, query, read_text_cursor, text_cursor};
use super::state::{Answer, State};
use crate::db::webhooks::{Logged, Webhook};
use crate::domain::webhook::{MessageState, Topic};
use crate::domain::{MessageId, Timestamp, WebhookId};
use crate::service::webhooks::{self, EnteredWebhook};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A webhook.
#[derive(Serialize, utoipa::ToSchema)]
struct WebhookAnswer {
    id: WebhookId,
    /// Where messages go.
    url: String,
    /// What it is notified of.
    topics: Vec<Topic>,
    /// Whether it gets messages.
    enabled: bool,
    created_at: Timestamp,
    /// Since when no message has arrived; null while they do.
    failing_since: Option<Timestamp>,
    /// Why not.
    problem: Option<String>,
    /// What messages are signed with; only in the answer to the request that has added the webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl WebhookAnswer {
    fn new(webhook: Webhook, secret: Option<String>) -> Self {
        let Webhook { id, url, topics, enabled, created_at, failing_since, problem, .. } = webhook;
        Self { id, url, topics, enabled, created_at, failing_since, problem, secret }
    }
}

/// A webhook to add.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct NewWebhook {
    /// An https address that can be reached from the internet.
    url: String,
    /// What to send messages about; everything by default.
    topics: Option<Vec<String>>,
    /// Whether to send messages; by default they are sent.
    enabled: Option<bool>,
}

/// A change to a webhook. What is left out stays as it is.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
struct WebhookChange {
    url: Option<String>,
    topics: Option<Vec<String>>,
    /// Off: what waits is given up.
    enabled: Option<bool>,
}

/// A message of a webhook.
#[derive(Serialize, utoipa::ToSchema)]
struct WebhookMessageAnswer {
    /// Its ID, which is also the header `webhook-id`.
    id: MessageId,
    topic: String,
    /// What it is about in particular; messages about the same arrive in order.
    subject: String,
    /// The body of the request.
    #[schema(value_type = Object)]
    body: Value,
    state: MessageState,
    /// How often it was sent.
    attempts: i32,
    created_at: Timestamp,
    /// When it is sent next.
    due_at: Option<Timestamp>,
    /// When it arrived or was given up.
    ended_at: Option<Timestamp>,
    /// The status of the receiver's answer, or why there was none.
    answer: Option<String>,
}

impl From<Logged> for WebhookMessageAnswer {
    fn from(message: Logged) -> Self {
        let Logged { id, topic, subject, body, state, attempts, created_at, due_at, ended_at, answer } = message;
        let body = serde_json::from_str(&body).unwrap_or(Value::Null);
        Self { id, topic, subject, body, state, attempts, created_at, due_at, ended_at, answer }
    }
}

/// Lists webhooks, oldest first.
#[utoipa::path(tag = "webhooks", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<WebhookAnswer>), (status = 401, body = Problem)))]
#[get("/v1/webhooks")]
pub async fn list_webhooks(caller: Caller, request: HttpRequest) -> Answer {
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, read_text_cursor(params.cursor.as_deref())?);
    let mut found = caller.db.read(|t| t.webhooks()).await?;
    found.retain(|webhook| after.as_ref().is_none_or(|after| webhook.id.to_string() > *after));
    let cursor = |webhook: &Webhook| text_cursor(&webhook.id.to_string());
    Ok(HttpResponse::Ok().json(Page::of(found, limit, cursor, |webhook| WebhookAnswer::new(webhook, None))))
}

/// Adds a webhook, which is notified of what happens by signed `POST` requests, as [Standard Webhooks](https://www.standardwebhooks.com)
/// describes them. The answer holds the secret to check the signatures with; it is not shown again. A message is sent until it is
/// answered with 2xx, for three days, and may arrive twice, with the same `webhook-id`.
#[utoipa::path(tag = "webhooks", security(("seller_key" = [])), request_body = NewWebhook,
    responses((status = 201, body = WebhookAnswer), (status = 401, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
#[post("/v1/webhooks")]
pub async fn create_webhook(caller: Caller, state: State, body: Body) -> Answer {
    let NewWebhook { url, topics, enabled } = body.object().await?;
    let (webhook, secret) = webhooks::add(&state.service, &caller, EnteredWebhook { url: Some(url), topics, enabled }).await?;
    Ok(HttpResponse::Created().json(WebhookAnswer::new(webhook, Some(secret))))
}

/// Returns a webhook.
#[utoipa::path(tag = "webhooks", security(("seller_key" = [])),
    responses((status = 200, body = WebhookAnswer), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/v1/webhooks/{id}")]
pub async fn get_webhook(caller: Caller, id: Path<WebhookId>) -> Answer {
    let id = id.into_inner();
    let webhook = caller.db.read(move |t| t.webhook(id)).await?;
    Ok(HttpResponse::Ok().json(WebhookAnswer::new(webhook, None)))
}

/// Changes a webhook. What waits for it is sent at once, or given up if it is switched off.
#[utoipa::path(tag = "webhooks", security(("seller_key" = [])), request_body = WebhookChange,
    responses((status = 200, body = WebhookAnswer), (status = 401, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
#[patch("/v1/webhooks/{id}")]
pub async fn patch_webhook(caller: Caller, state: State, id: Path<WebhookId>, body: Body) -> Answer {
    let WebhookChange { url, topics, enabled } = body.object().await?;
    let webhook = webhooks::change(&state.service, &caller, id.into_inner(), EnteredWebhook { url, topics, enabled }).await?;
    Ok(HttpResponse::Ok().json(WebhookAnswer::new(webhook, None)))
}

/// Deletes a webhook and the log of its messages.
#[utoipa::path(tag = "webhooks", security(("seller_key" = [])),
    responses((status = 204, description = "The webhook was deleted."), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[delete("/v1/webhooks/{id}")]
pub async fn delete_webhook(caller: Caller, state: State, id: Path<WebhookId>) -> Answer {
    webhooks::remove(&state.service, &caller, id.into_inner()).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Sends a webhook a message of the type `webhook.test`. The log of its messages shows what came of it.
#[utoipa::path(tag = "webhooks", security(("seller_key" = [])),
    responses((status = 202, body = WebhookTest), (status = 401, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
#[post("/v1/webhooks/{id}/test")]
pub async fn test_webhook(caller: Caller, state: State, id: Path<WebhookId>) -> Answer {
    let message_id = webhooks::test(&state.service, &caller, id.into_inner()).await?;
    Ok(HttpResponse::Accepted().json(json!(WebhookTest { message_id })))
}

/// The message that is sent to try a webhook out.
#[derive(Serialize, utoipa::ToSchema)]
struct WebhookTest {
    message_id: MessageId,
}

/// Lists the messages of a webhook, newest first, also those that have arrived.
#[utoipa::path(tag = "webhooks", security(("seller_key" = [])),
    params(("limit" = Option<i64>, Query), ("cursor" = Option<String>, Query)),
    responses((status = 200, body = Page<WebhookMessageAnswer>), (status = 401, body = Problem), (status = 404, body = Problem)))]
#[get("/v1/webhooks/{id}/messages")]
pub async fn list_webhook_messages(caller: Caller, id: Path<WebhookId>, request: HttpRequest) -> Answer {
    let id = id.into_inner();
    let params: PageQuery = query(&request)?;
    let (limit, after) = (limit(params.limit.as_deref())?, id_cursor(params.cursor.as_deref())?.map(MessageId));
    let read = caller.db.read(move |t| {
        t.webhook(id)?;
        t.webhook_messages(id, after, limit + 1)
    });
    Ok(HttpResponse::Ok().json(Page::of(read.await?, limit, |message| message.id.to_string(), WebhookMessageAnswer::from)))
}
