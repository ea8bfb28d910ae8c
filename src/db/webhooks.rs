//! Webhooks of one seller, and the messages for them. A message is written in the transaction in which it happens, so that there
//! is one if and only if it has happened.
pub mod due;

use super::connection::on;
use super::schema::{webhook_messages, webhooks};
use super::{Error, Result, Tenant, id_of};
use crate::domain::push::Push;
use crate::domain::webhook::{MAX_WAITING, MAX_WEBHOOKS, Message, MessageState, Sent, Topic, newly_rejected, next_attempt};
use crate::domain::{MessageId, StoreId, Timestamp, WebhookId};
use diesel::prelude::*;

/// The reason of messages that were given up because others followed them.
const TOO_MANY: &str = "Too many messages were waiting.";
/// The reason of messages that were waiting for a webhook when it was switched off.
const SWITCHED_OFF: &str = "The webhook was switched off.";
/// The reason of messages whose receiver has answered 410.
const GONE: &str = "The receiver wants no more messages (410).";

fn state_code(state: MessageState) -> i16 {
    match state {
        MessageState::Waiting => 0,
        MessageState::Delivered => 1,
        MessageState::GivenUp => 2,
    }
}

fn state_of(code: i16) -> Option<MessageState> {
    MessageState::ALL.into_iter().find(|state| state_code(*state) == code)
}

/// A webhook as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Where messages go.
    pub url: String,
    /// What it wants to hear of.
    pub topics: Vec<Topic>,
    /// What messages are signed with, sealed.
    pub secret: Vec<u8>,
    /// Whether it gets messages.
    pub enabled: bool,
    /// When it was added.
    pub created_at: Timestamp,
    /// Since when nothing has arrived.
    pub failing_since: Option<Timestamp>,
    /// Why not.
    pub problem: Option<String>,
}

type WebhookRow = (Vec<u8>, String, String, Vec<u8>, bool, Timestamp, Option<Timestamp>, Option<String>);

macro_rules! webhook_columns {
    () => {
        (
            webhooks::id,
            webhooks::url,
            webhooks::topics,
            webhooks::secret,
            webhooks::enabled,
            webhooks::created_at,
            webhooks::failing_since,
            webhooks::problem,
        )
    };
}

pub(super) fn topics_of(text: &str) -> Result<Vec<Topic>> {
    let words: Vec<String> = serde_json::from_str(text).map_err(|_| Error::Corrupt("webhooks.topics".to_owned()))?;
    // A later version may know more of them.
    Ok(words.iter().filter_map(|word| Topic::parse(word)).collect())
}

pub(super) fn topics_text(topics: &[Topic]) -> String {
    serde_json::json!(topics).to_string()
}

fn webhook((id, url, topics, secret, enabled, created_at, failing_since, problem): WebhookRow) -> Result<Webhook> {
    let id = id_of(&id, WebhookId::from_bytes, "webhooks.id")?;
    Ok(Webhook { id, url, topics: topics_of(&topics)?, secret, enabled, created_at, failing_since, problem })
}

/// A message as people view it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its id, which its receiver sees as well.
    pub id: MessageId,
    /// What it is about.
    pub topic: String,
    /// What it is about in particular.
    pub subject: String,
    /// The body.
    pub body: String,
    /// Where it is.
    pub state: MessageState,
    /// How often it was sent.
    pub attempts: i32,
    /// When it happened.
    pub created_at: Timestamp,
    /// When it is sent next.
    pub due_at: Option<Timestamp>,
    /// When it arrived or was given up.
    pub ended_at: Option<Timestamp>,
    /// What came of the last attempt.
    pub answer: Option<String>,
}

impl Tenant<'_> {
    /// The seller's webhooks, oldest first.
    pub fn webhooks(&mut self) -> Result<Vec<Webhook>> {
        let scope = self.scope();
        let rows: Vec<WebhookRow> = on!(self.conn, c => scope.webhooks().select(webhook_columns!()).order(webhooks::id).load(c))?;
        rows.into_iter().map(webhook).collect()
    }

    /// One webhook.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub fn webhook(&mut self, id: WebhookId) -> Result<Webhook> {
        let scope = self.scope();
        webhook(on!(self.conn, c => scope.webhooks().filter(webhooks::id.eq(id.bytes())).select(webhook_columns!()).get_result(c))?)
    }

    /// Adds a webhook.
    ///
    /// # Errors
    /// [`Error::Conflict`] when there are too many.
    pub fn add_webhook(&mut self, new: &Webhook) -> Result<()> {
        if self.webhooks()?.len() >= MAX_WEBHOOKS {
            return Err(Error::Conflict(format!("a seller may have at most {MAX_WEBHOOKS} webhooks")));
        }
        let key = self.key();
        on!(self.conn, c => diesel::insert_into(webhooks::table).values((
            webhooks::seller_id.eq(&key), webhooks::id.eq(new.id.bytes()), webhooks::url.eq(&new.url),
            webhooks::topics.eq(topics_text(&new.topics)), webhooks::secret.eq(&new.secret), webhooks::enabled.eq(new.enabled),
            webhooks::created_at.eq(new.created_at),
        )).execute(c))?;
        Ok(())
    }

    /// Saves a changed webhook. What waits for it is sent at once, or given up if it is switched off.
    pub fn save_webhook(&mut self, changed: &Webhook, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => diesel::update(scope.webhooks().filter(webhooks::id.eq(changed.id.bytes()))).set((
            webhooks::url.eq(&changed.url), webhooks::topics.eq(topics_text(&changed.topics)), webhooks::enabled.eq(changed.enabled),
            webhooks::failing_since.eq(None::<Timestamp>), webhooks::problem.eq(None::<String>),
        )).execute(c))?;
        if !changed.enabled {
            return self.give_up_messages(changed.id, SWITCHED_OFF, now);
        }
        on!(self.conn, c => diesel::update(scope.webhook_messages().filter(webhook_messages::webhook_id.eq(changed.id.bytes()))
            .filter(webhook_messages::due_at.is_not_null())).set(webhook_messages::due_at.eq(now)).execute(c))?;
        Ok(())
    }

    /// Deletes a webhook and its messages.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none.
    pub fn delete_webhook(&mut self, id: WebhookId) -> Result<()> {
        let scope = self.scope();
        let deleted = on!(self.conn, c => diesel::delete(scope.webhooks().filter(webhooks::id.eq(id.bytes()))).execute(c))?;
        if deleted == 0 {
            return Err(Error::NotFound);
        }
        on!(self.conn, c => diesel::delete(scope.webhook_messages().filter(webhook_messages::webhook_id.eq(id.bytes()))).execute(c))?;
        Ok(())
    }

    /// Makes a message for every webhook that wants to hear of it, and collects it for the addresses that want to be mailed.
    pub(super) fn notify(&mut self, message: &Message, now: Timestamp) -> Result<()> {
        for id in self.who_wants(message.topic)? {
            self.notify_one(id, message, now)?;
        }
        self.collect_news(message, now)
    }

    /// Notifies webhooks of those pushes of a call that were rejected.
    pub(super) fn notify_rejected(&mut self, store: StoreId, before: &[Push], after: &[Push], now: Timestamp) -> Result<()> {
        let topic = Topic::PushesRejected;
        if newly_rejected(before, after).next().is_none() || self.who_wants(topic)?.is_empty() && self.who_wants_mail(topic)?.is_empty() {
            return Ok(());
        }
        let name = self.store(store)?.name;
        match Message::pushes_rejected(store, &name, newly_rejected(before, after)) {
            Some(message) => self.notify(&message, now),
            None => Ok(()),
        }
    }

    /// When a message about the same was last made between these times.
    pub(super) fn last_message(&mut self, message: &Message, (since, until): (Timestamp, Timestamp)) -> Result<Option<Timestamp>> {
        let scope = self.scope();
        let same = || scope.webhook_messages().filter(webhook_messages::subject.eq(&message.subject));
        Ok(
            on!(self.conn, c => same().filter(webhook_messages::created_at.gt(since)).filter(webhook_messages::created_at.le(until)).filter(webhook_messages::topic.eq(message.topic.as_str()))
            .select(webhook_messages::created_at).order(webhook_messages::created_at.desc()).first(c).optional())?,
        )
    }

    fn who_wants(&mut self, topic: Topic) -> Result<Vec<WebhookId>> {
        let scope = self.scope();
        let rows: Vec<(Vec<u8>, String)> = on!(self.conn, c => scope.webhooks().filter(webhooks::enabled)
            .select((webhooks::id, webhooks::topics)).order(webhooks::id).load(c))?;
        let mut found = Vec::new();
        for (id, topics) in rows {
            if topics_of(&topics)?.contains(&topic) {
                found.push(id_of(&id, WebhookId::from_bytes, "webhooks.id")?);
            }
        }
        Ok(found)
    }

    /// Makes a message for one webhook, which must not have been switched off. If too many messages wait for it, the oldest is given up.
    pub fn notify_one(&mut self, webhook: WebhookId, message: &Message, now: Timestamp) -> Result<MessageId> {
        let (key, scope, id) = (self.key(), self.scope(), MessageId::new(now));
        let of_one = || scope.webhook_messages().filter(webhook_messages::webhook_id.eq(webhook.bytes()));
        let waiting = || of_one().filter(webhook_messages::due_at.is_not_null());
        let count: i64 = on!(self.conn, c => waiting().count().get_result(c))?;
        if count >= MAX_WAITING {
            let oldest: Option<Vec<u8>> =
                on!(self.conn, c => waiting().select(webhook_messages::id).order(webhook_messages::id).first(c).optional())?;
            if let Some(oldest) = oldest {
                on!(self.conn, c => diesel::update(scope.webhook_messages().filter(webhook_messages::id.eq(&oldest))).set((
                    webhook_messages::state.eq(state_code(MessageState::GivenUp)), webhook_messages::due_at.eq(None::<Timestamp>),
                    webhook_messages::ended_at.eq(now), webhook_messages::answer.eq(TOO_MANY))).execute(c))?;
            }
        }
        on!(self.conn, c => diesel::insert_into(webhook_messages::table).values((
            webhook_messages::seller_id.eq(&key), webhook_messages::id.eq(id.bytes()), webhook_messages::webhook_id.eq(webhook.bytes()),
            webhook_messages::topic.eq(message.topic.as_str()), webhook_messages::subject.eq(&message.subject),
            webhook_messages::body.eq(message.body(now)), webhook_messages::state.eq(state_code(MessageState::Waiting)),
            webhook_messages::attempts.eq(0), webhook_messages::created_at.eq(now), webhook_messages::due_at.eq(now),
        )).execute(c))?;
        Ok(id)
    }

    fn give_up_messages(&mut self, webhook: WebhookId, why: &str, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        on!(self.conn, c => diesel::update(scope.webhook_messages().filter(webhook_messages::webhook_id.eq(webhook.bytes()))
            .filter(webhook_messages::due_at.is_not_null())).set((
                webhook_messages::state.eq(state_code(MessageState::GivenUp)), webhook_messages::due_at.eq(None::<Timestamp>),
                webhook_messages::ended_at.eq(now), webhook_messages::answer.eq(why))).execute(c))?;
        Ok(())
    }

    /// Notes what became of sending a message. `draw` is a random number from 0 to 1.
    pub fn message_sent(&mut self, id: MessageId, sent: &Sent, draw: f64, now: Timestamp) -> Result<()> {
        let scope = self.scope();
        let one = || scope.webhook_messages().filter(webhook_messages::id.eq(id.bytes()));
        let found: Option<(Vec<u8>, i32, Timestamp, Option<Timestamp>)> = on!(self.conn, c => one().select((
            webhook_messages::webhook_id, webhook_messages::attempts, webhook_messages::created_at, webhook_messages::due_at
        )).get_result(c).optional())?;
        // Given up or deleted meanwhile.
        let Some((webhook, attempts, created_at, Some(_))) = found else { return Ok(()) };
        let webhook = id_of(&webhook, WebhookId::from_bytes, "webhook_messages.webhook_id")?;
        let attempts = attempts.saturating_add(1);
        let again = || next_attempt(created_at, u32::try_from(attempts).unwrap_or(u32::MAX), draw, now);
        let (state, due_at, answer) = match sent {
            Sent::Arrived(status) => (MessageState::Delivered, None, status.to_string()),
            Sent::Gone => (MessageState::GivenUp, None, GONE.to_owned()),
            Sent::Failed(why) => match again() {
                Some(at) => (MessageState::Waiting, Some(at), why.clone()),
                None => (MessageState::GivenUp, None, why.clone()),
            },
        };
        let ended_at = due_at.is_none().then_some(now);
        on!(self.conn, c => diesel::update(one()).set((webhook_messages::state.eq(state_code(state)),
            webhook_messages::attempts.eq(attempts), webhook_messages::due_at.eq(due_at), webhook_messages::ended_at.eq(ended_at),
            webhook_messages::answer.eq(&answer))).execute(c))?;
        let of = || scope.webhooks().filter(webhooks::id.eq(webhook.bytes()));
        match sent {
            Sent::Arrived(_) => on!(self.conn, c => diesel::update(of().filter(webhooks::failing_since.is_not_null()))
                .set((webhooks::failing_since.eq(None::<Timestamp>), webhooks::problem.eq(None::<String>))).execute(c))?,
            Sent::Failed(why) => {
                on!(self.conn, c => diesel::update(of().filter(webhooks::failing_since.is_null()))
                    .set(webhooks::failing_since.eq(now)).execute(c))?;
                on!(self.conn, c => diesel::update(of()).set(webhooks::problem.eq(why)).execute(c))?
            }
            Sent::Gone => {
                self.give_up_messages(webhook, GONE, now)?;
                on!(self.conn, c => diesel::update(of()).set((webhooks::enabled.eq(false), webhooks::problem.eq(GONE))).execute(c))?
            }
        };
        Ok(())
    }

    /// Messages of a webhook, newest first, starting below `after`.
    pub fn webhook_messages(&mut self, webhook: WebhookId, after: Option<MessageId>, limit: i64) -> Result<Vec<Logged>> {
        type Row = (Vec<u8>, String, String, String, i16, i32, Timestamp, Option<Timestamp>, Option<Timestamp>, Option<String>);
        let scope = self.scope();
        let rows: Vec<Row> = on!(self.conn, c => {
            let mut query = scope.webhook_messages().filter(webhook_messages::webhook_id.eq(webhook.bytes()))
                .order(webhook_messages::id.desc()).limit(limit).into_boxed();
            if let Some(after) = after { query = query.filter(webhook_messages::id.lt(after.bytes())); }
            query.select((webhook_messages::id, webhook_messages::topic, webhook_messages::subject, webhook_messages::body,
                webhook_messages::state, webhook_messages::attempts, webhook_messages::created_at, webhook_messages::due_at,
                webhook_messages::ended_at, webhook_messages::answer)).load(c)?
        });
        let read = |(id, topic, subject, body, state, attempts, created_at, due_at, ended_at, answer): Row| {
            let id = id_of(&id, MessageId::from_bytes, "webhook_messages.id")?;
            let state = state_of(state).ok_or_else(|| Error::Corrupt(format!("webhook_messages.state {state} is unknown")))?;
            Ok(Logged { id, topic, subject, body, state, attempts, created_at, due_at, ended_at, answer })
        };
        rows.into_iter().map(read).collect()
    }
}
