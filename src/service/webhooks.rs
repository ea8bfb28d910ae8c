//! Webhooks: added, changed, deleted, tried out; and their messages sent. [`domain::webhook`](crate::domain::webhook) says how a
//! message reads and when it is sent again.
use super::context::{Caller, Error, Result, Service, audited};
use crate::clock::Clock;
use crate::db::sealing::{Owner, Sealer};
use crate::db::webhooks::Webhook;
use crate::db::webhooks::due::{Due, take_due};
use crate::db::{self, Db};
use crate::domain::problem::Checks;
use crate::domain::webhook::{Message, Sent, Topic};
use crate::domain::{MessageId, Timestamp, WebhookId};
use crate::platforms::call::{Method, Request};
use crate::platforms::check_receiver;
use crate::platforms::client::Client;
use crate::platforms::sign::hmac_sha256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use serde_json::{Value, json};

/// Random bytes in a secret: Standard Webhooks wants 24 to 64.
const SECRET_BYTES: usize = 32;
/// What precedes a secret, in the words of Standard Webhooks.
const SECRET_PREFIX: &str = "whsec_";
/// The most messages that one process sends at once.
const AT_ONCE: usize = 16;

/// A webhook as it was entered; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct EnteredWebhook {
    /// Where messages go.
    pub url: Option<String>,
    /// What it is notified of; at first everything.
    pub topics: Option<Vec<String>>,
    /// Whether it gets messages; at first it does.
    pub enabled: Option<bool>,
}

impl EnteredWebhook {
    fn check(&self, allow_private: bool) -> Result<Option<Vec<Topic>>> {
        let mut checks = Checks::default();
        if let Some(Err(why)) = self.url.as_deref().map(|url| check_receiver(url, allow_private)) {
            checks.note("/url", why);
        }
        let topics = self.topics.as_deref().map(|words| {
            let (found, errors) = Topic::parse_all(words);
            checks.extend(errors);
            found
        });
        checks.done()?;
        Ok(topics)
    }
}

fn shown(webhook: &Webhook) -> Value {
    json!({ "url": webhook.url, "topics": webhook.topics, "enabled": webhook.enabled })
}

/// Adds a webhook. Returns it with its secret, which is not shown again.
///
/// # Errors
/// Every invalid field, or a conflict if there are too many.
pub async fn add(service: &Service, caller: &Caller, entered: EnteredWebhook) -> Result<(Webhook, String)> {
    let topics = entered.check(service.allow_private_targets)?.unwrap_or_else(|| Topic::ALL.to_vec());
    let url = entered.url.ok_or_else(|| Error::field("/url", "is required"))?;
    let mut bytes = [0u8; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|_| Error::NoRandomNumbers)?;
    let (now, actor, id) = (service.now(), caller.actor(), WebhookId::new(service.now()));
    let secret = service.sealer.seal_for(Owner::Webhook(caller.db.id(), id), &bytes).map_err(|_| Error::NoRandomNumbers)?;
    let enabled = entered.enabled.unwrap_or(true);
    let webhook = Webhook { id, url, topics, secret, enabled, created_at: now, failing_since: None, problem: None };
    let new = webhook.clone();
    let added = caller.db.write(move |t| {
        t.add_webhook(&new)?;
        let subject = format!("webhook:{id}");
        let mut entry = audited(&actor, "webhook.added", &subject);
        entry.after = Some(shown(&new));
        t.append_audit(&entry, now)
    });
    added.await?;
    Ok((webhook, format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes))))
}

/// Changes a webhook. What waits for it is sent at once, or given up if it is switched off.
///
/// # Errors
/// No such webhook, or every invalid field.
pub async fn change(service: &Service, caller: &Caller, id: WebhookId, entered: EnteredWebhook) -> Result<Webhook> {
    let topics = entered.check(service.allow_private_targets)?;
    let (now, actor) = (service.now(), caller.actor());
    let changed = caller.db.write(move |t| {
        let before = t.webhook(id)?;
        let mut after = Webhook { failing_since: None, problem: None, ..before.clone() };
        after.url = entered.url.clone().unwrap_or(after.url);
        after.topics = topics.clone().unwrap_or(after.topics);
        after.enabled = entered.enabled.unwrap_or(after.enabled);
        t.save_webhook(&after, now)?;
        let subject = format!("webhook:{id}");
        let mut entry = audited(&actor, "webhook.changed", &subject);
        (entry.before, entry.after) = (Some(shown(&before)), Some(shown(&after)));
        t.append_audit(&entry, now)?;
        Ok(after)
    });
    Ok(changed.await?)
}

/// Deletes a webhook and its messages.
///
/// # Errors
/// No such webhook.
pub async fn remove(service: &Service, caller: &Caller, id: WebhookId) -> Result<()> {
    let (now, actor) = (service.now(), caller.actor());
    let removed = caller.db.write(move |t| {
        let before = t.webhook(id)?;
        t.delete_webhook(id)?;
        let subject = format!("webhook:{id}");
        let mut entry = audited(&actor, "webhook.removed", &subject);
        entry.before = Some(shown(&before));
        t.append_audit(&entry, now)
    });
    Ok(removed.await?)
}

/// Sends a webhook a message to see whether it arrives.
///
/// # Errors
/// No such webhook, or a conflict if it is switched off.
pub async fn test(service: &Service, caller: &Caller, id: WebhookId) -> Result<MessageId> {
    let now = service.now();
    let sent = caller.db.write(move |t| match t.webhook(id)?.enabled {
        true => t.notify_one(id, &Message::test(), now),
        false => Err(db::Error::Conflict("this webhook is switched off".to_owned())),
    });
    Ok(sent.await?)
}

/// Sends the messages of all sellers that are due, only so many at once. Returns how many were sent.
///
/// # Errors
/// If the database cannot be reached. What was sent meanwhile is sent again.
pub async fn send_due(db: &Db, (client, sealer, clock): (&Client, &Sealer, &Clock), draw: fn() -> f64) -> db::Result<usize> {
    let now = clock.now();
    let due = db.write(move |conn| take_due(conn, AT_ONCE, now)).await?;
    let outcomes = join_all(due.iter().map(|message| send(client, sealer, message, now))).await;
    for (message, sent) in due.iter().zip(outcomes) {
        let (id, now) = (message.id, clock.now());
        match db.seller(message.seller).write(move |t| t.message_sent(id, &sent, draw(), now)).await {
            // Suspended or deleted meanwhile.
            Ok(()) | Err(db::Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(due.len())
}

async fn send(client: &Client, sealer: &Sealer, message: &Due, now: Timestamp) -> Sent {
    let Ok(secret) = sealer.open_for(Owner::Webhook(message.seller, message.webhook), &message.secret) else {
        return Sent::Failed("The webhook's secret cannot be opened: the operator must restore the credential key.".to_owned());
    };
    match client.notify(request(message, &secret, now)).await {
        Ok(status) => Sent::by_status(status),
        Err(why) => Sent::Failed(format!("The receiver could not be reached ({why}).")),
    }
}

/// The request with its signature, as Standard Webhooks describes it.
fn request(message: &Due, secret: &[u8], now: Timestamp) -> Request {
    let (id, at) = (message.id.to_string(), now.as_millis().div_euclid(1000).to_string());
    let signature = STANDARD.encode(hmac_sha256(secret, format!("{id}.{at}.{}", message.body).as_bytes()));
    let request = Request { method: Method::Post, body: Some(message.body.clone()), ..Request::get(message.url.as_str()) };
    request
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", at)
        .header("webhook-signature", format!("v1,{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SellerId;
    use uuid::Uuid;

    /// The example of Standard Webhooks' own documentation.
    #[test]
    fn a_message_is_signed_as_standard_webhooks_says() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = STANDARD.encode(hmac_sha256(&secret, br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#));
        assert_eq!(signature, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let id = MessageId(Uuid::from_u128(7));
        let (seller, webhook) = (SellerId(Uuid::nil()), WebhookId(Uuid::nil()));
        let due = Due { seller, webhook, id, url: "https://example.com/a".to_owned(), secret: Vec::new(), body: "{}".to_owned() };
        let request = request(&due, &secret, Timestamp::from_millis(1_614_265_330_999));
        let header = |name: &str| request.headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.clone()).unwrap();
        assert_eq!((header("webhook-id"), header("webhook-timestamp").as_str()), (id.to_string(), "1614265330"));
        let expected = STANDARD.encode(hmac_sha256(&secret, format!("{id}.1614265330.{{}}").as_bytes()));
        assert_eq!(header("webhook-signature"), format!("v1,{expected}"));
    }
}
