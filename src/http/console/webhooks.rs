//! Webhooks: where messages about what happens are sent, whether they arrive, and the log of them.
use super::field::Field;
use super::form::{Fields, Posted};
use super::page::{FormErrors, Frame, PageAnswer, field_errors, go_saying, go_warning};
use super::session::SellerVisit;
use super::show::{Badge, Stamp};
use crate::db::webhooks::{Logged, Webhook};
use crate::domain::webhook::{MessageState, Topic};
use crate::domain::{MessageId, WebhookId};
use crate::http::state::State;
use crate::service;
use crate::service::webhooks::{self, EnteredWebhook};
use actix_web::web::{Path, Query};
use askama::Template;
use serde::Deserialize;

const LIST: &str = "/console/webhooks";
/// Messages per page.
const PAGE: i64 = 50;

fn address_of(id: WebhookId) -> String {
    format!("{LIST}/{id}")
}

pub(super) fn label(topic: Topic) -> &'static str {
    match topic {
        Topic::RunFinished => "A sync has ended",
        Topic::RunWaitingForAnswer => "A sync waits for your answer",
        Topic::StoreNeedsReauthorization => "A store needs reauthorization",
        Topic::PushesRejected => "Updates are rejected",
        Topic::DriftFound => "A check has found listings that differ",
        Topic::Test => "Test",
    }
}

fn badge(webhook: &Webhook) -> Badge {
    match (webhook.enabled, webhook.failing_since) {
        (false, _) => Badge::new("Off", "quiet"),
        (true, Some(_)) => Badge::new("Failing", "bad"),
        (true, None) => Badge::new("On", "good"),
    }
}

/// A topic as a box to tick.
pub(super) struct TopicBox {
    pub word: &'static str,
    pub label: &'static str,
    pub ticked: bool,
}

pub(super) fn boxes(ticked: impl Fn(Topic) -> bool) -> Vec<TopicBox> {
    Topic::ALL.into_iter().map(|topic| TopicBox { word: topic.as_str(), label: label(topic), ticked: ticked(topic) }).collect()
}

struct Row {
    address: String,
    url: String,
    topics: String,
    state: Badge,
    problem: Option<String>,
}

impl Row {
    fn new(webhook: &Webhook) -> Self {
        Self {
            address: address_of(webhook.id),
            url: webhook.url.clone(),
            topics: webhook.topics.iter().map(|topic| label(*topic)).collect::<Vec<_>>().join("; "),
            state: badge(webhook),
            problem: webhook.problem.clone(),
        }
    }
}

#[derive(Template)]
#[template(path = "webhooks.html")]
struct ListPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    webhooks: Vec<Row>,
    url: Field,
    topics: Vec<TopicBox>,
    topics_error: Option<String>,
    errors: Vec<String>,
}

fn url_field(value: &str, errors: &FormErrors) -> Field {
    let help = "An https address that can be reached from the internet.";
    Field::new("url", "Address", "url").value(value).help(help).checked(errors, "/url")
}

async fn show(visit: &SellerVisit, url: &str, ticked: impl Fn(Topic) -> bool, errors: FormErrors) -> PageAnswer {
    let webhooks = visit.caller.db.read(|t| t.webhooks()).await?;
    let page = ListPage {
        frame: &visit.frame,
        here: "webhooks",
        webhooks: webhooks.iter().map(Row::new).collect(),
        url: url_field(url, &errors),
        topics: boxes(ticked),
        topics_error: errors.at("/topics"),
        errors: errors.elsewhere(&["/url", "/topics"]),
    };
    if errors.0.is_empty() { visit.frame.page(&page) } else { visit.frame.rejected(&page) }
}

pub(super) async fn list(visit: SellerVisit) -> PageAnswer {
    show(&visit, "", |_| true, FormErrors::default()).await
}

#[derive(Template)]
#[template(path = "new_webhook.html")]
struct NewPage<'a> {
    frame: &'a Frame,
    here: &'static str,
    address: String,
    secret: &'a str,
}

fn entered(fields: &Fields) -> EnteredWebhook {
    EnteredWebhook {
        url: Some(fields.text("url").to_owned()),
        topics: Some(fields.all("topic").map(str::to_owned).collect()),
        enabled: None,
    }
}

/// Adds a webhook and shows its secret, which no other page can.
pub(super) async fn add(posted: Posted<SellerVisit>, state: State) -> PageAnswer {
    let (visit, fields) = (&posted.visit, &posted.fields);
    match field_errors(webhooks::add(&state.service, &visit.caller, entered(fields)).await)? {
        Err(errors) => show(visit, fields.text("url"), |topic| fields.all("topic").any(|word| word == topic.as_str()), errors).await,
        Ok((webhook, secret)) => {
            let address = address_of(webhook.id);
            visit.frame.page(&NewPage { frame: &visit.frame, here: "webhooks", address, secret: &secret })
        }
    }
}

struct MessageRow {
    topic: &'static str,
    about: String,
    id: String,
    state: Badge,
    attempts: i32,
    at: Stamp,
    next: Option<Stamp>,
    answer: Option<String>,
    body: String,
}

impl MessageRow {
    fn new(frame: &Frame, message: Logged) -> Self {
        let word = message.topic.as_str();
        let known = Topic::ALL.into_iter().chain([Topic::Test]).find(|topic| topic.as_str() == word);
        let pretty = serde_json::from_str::<serde_json::Value>(&message.body).and_then(|body| serde_json::to_string_pretty(&body));
        Self {
            topic: known.map_or("Other", label),
            state: match message.state {
                MessageState::Waiting if message.attempts == 0 => Badge::new("Waiting", "wait"),
                MessageState::Waiting => Badge::new("Trying again", "warn"),
                MessageState::Delivered => Badge::new("Delivered", "good"),
                MessageState::GivenUp => Badge::new("Given up", "bad"),
            },
            about: message.subject,
            id: message.id.to_string(),
            attempts: message.attempts,
            at: frame.stamp(message.created_at),
            next: frame.stamp_of(message.due_at),
            answer: message.answer,
            body: pretty.unwrap_or(message.body),
        }
    }
}

#[derive(Template)]
#[template(path = "webhook.html")]
struct OnePage<'a> {
    frame: &'a Frame,
    here: &'static str,
    address: String,
    enabled: bool,
    state: Badge,
    failing_since: Option<Stamp>,
    problem: Option<String>,
    created: Stamp,
    url: Field,
    topics: Vec<TopicBox>,
    topics_error: Option<String>,
    errors: Vec<String>,
    messages: Vec<MessageRow>,
    next: Option<String>,
    first: bool,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct LogQuery {
    after: Option<MessageId>,
}

async fn show_one(visit: &SellerVisit, id: WebhookId, after: Option<MessageId>, fields: Option<&Fields>, errors: FormErrors) -> PageAnswer {
    let frame = &visit.frame;
    let read = visit.caller.db.read(move |t| Ok((t.webhook(id)?, t.webhook_messages(id, after, PAGE + 1)?)));
    let (webhook, mut messages) = read.await?;
    let more = i64::try_from(messages.len()).is_ok_and(|count| count > PAGE);
    messages.truncate(usize::try_from(PAGE).unwrap_or(usize::MAX));
    let ticked = |topic: Topic| match fields {
        Some(fields) => fields.all("topic").any(|word| word == topic.as_str()),
        None => webhook.topics.contains(&topic),
    };
    let page = OnePage {
        frame,
        here: "webhooks",
        address: address_of(id),
        enabled: webhook.enabled,
        state: badge(&webhook),
        failing_since: frame.stamp_of(webhook.failing_since),
        problem: webhook.problem.clone(),
        created: frame.day(webhook.created_at),
        url: url_field(fields.map_or(webhook.url.as_str(), |fields| fields.text("url")), &errors),
        topics: boxes(ticked),
        topics_error: errors.at("/topics"),
        errors: errors.elsewhere(&["/url", "/topics"]),
        next: messages.last().filter(|_| more).map(|last| format!("{}?after={}", address_of(id), last.id)),
        first: after.is_none(),
        messages: messages.into_iter().map(|message| MessageRow::new(frame, message)).collect(),
    };
    if errors.0.is_empty() { frame.page(&page) } else { frame.rejected(&page) }
}

pub(super) async fn one(visit: SellerVisit, id: Path<WebhookId>, query: Query<LogQuery>) -> PageAnswer {
    show_one(&visit, id.into_inner(), query.after, None, FormErrors::default()).await
}

/// Saves address and topics.
pub(super) async fn save(posted: Posted<SellerVisit>, state: State, id: Path<WebhookId>) -> PageAnswer {
    let (id, visit) = (id.into_inner(), &posted.visit);
    match field_errors(webhooks::change(&state.service, &visit.caller, id, entered(&posted.fields)).await)? {
        Err(errors) => show_one(visit, id, None, Some(&posted.fields), errors).await,
        Ok(_) => Ok(go_saying(&address_of(id), "The webhook is saved.")),
    }
}

/// Switches a webhook on or off.
pub(super) async fn switch(posted: Posted<SellerVisit>, state: State, id: Path<WebhookId>) -> PageAnswer {
    let (id, on) = (id.into_inner(), posted.fields.text("enabled") == "on");
    let change = EnteredWebhook { enabled: Some(on), ..EnteredWebhook::default() };
    webhooks::change(&state.service, &posted.visit.caller, id, change).await?;
    let notice = if on { "The webhook is on." } else { "The webhook is off. What was waiting for it is given up." };
    Ok(go_saying(&address_of(id), notice))
}

pub(super) async fn test(posted: Posted<SellerVisit>, state: State, id: Path<WebhookId>) -> PageAnswer {
    let id = id.into_inner();
    match webhooks::test(&state.service, &posted.visit.caller, id).await {
        Ok(_) => {
            Ok(go_saying(&address_of(id), "A test message is on its way. Reload this page in a few seconds to see whether it arrived."))
        }
        Err(service::Error::Rows(crate::db::Error::Conflict(_))) => {
            Ok(go_warning(&address_of(id), "The webhook is off. Switch it on first."))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "delete_webhook.html")]
struct DeletePage<'a> {
    frame: &'a Frame,
    here: &'static str,
    url: String,
    address: String,
}

pub(super) async fn delete_page(visit: SellerVisit, id: Path<WebhookId>) -> PageAnswer {
    let id = id.into_inner();
    let webhook = visit.caller.db.read(move |t| t.webhook(id)).await?;
    visit.frame.page(&DeletePage { frame: &visit.frame, here: "webhooks", url: webhook.url, address: address_of(id) })
}

pub(super) async fn delete(posted: Posted<SellerVisit>, state: State, id: Path<WebhookId>) -> PageAnswer {
    webhooks::remove(&state.service, &posted.visit.caller, id.into_inner()).await?;
    Ok(go_saying(LIST, "The webhook is deleted."))
}
