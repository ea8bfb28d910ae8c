//! Webhooks: what a seller can be notified of, how a message reads, and when it is sent again.
//!
//! Messages follow Standard Webhooks 1.0 (standardwebhooks.com): a body with `type`, `timestamp` and `data`, the headers
//! `webhook-id`, `webhook-timestamp` and `webhook-signature`, a secret that starts with `whsec_`. A message may arrive more than once,
//! always with the same id. Messages about the same subject arrive in the order in which things happened.
use super::drift::DriftCheck;
use super::news::News;
use super::push::{Push, PushState};
use super::run::{Run, RunState};
use super::{StoreId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

pub use super::topic::Topic;

/// Webhooks per seller.
pub const MAX_WEBHOOKS: usize = 10;
/// Messages that wait for one webhook. Of more, the oldest is given up.
pub const MAX_WAITING: i64 = 1_000;
/// The most pushes that one message names.
pub const MAX_PUSHES: usize = 50;
/// A message that has not arrived by then is given up.
pub const GIVEN_UP_AFTER: Duration = Duration::from_secs(3 * 24 * 3600);
/// After this time, a message about what has not changed is repeated.
pub const REMINDED_AFTER: Duration = Duration::from_secs(24 * 3600);
/// For how long a message that is being sent is nobody else's to send.
pub const SENDING: Duration = Duration::from_secs(60);
/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest one. A message that is due later was saved before the clock was set back, and is due now.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// Something that has happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What it is about.
    pub topic: Topic,
    /// What it is about in particular; messages about the same arrive in order.
    pub subject: String,
    /// What happened.
    pub data: Value,
    /// The same as a line of a mail; `None` for a test.
    pub news: Option<News>,
}

impl Message {
    /// The body of the request.
    pub fn body(&self, now: Timestamp) -> String {
        json!({ "type": self.topic, "timestamp": now, "data": self.data }).to_string()
    }

    /// A message by which a seller sees whether messages arrive.
    pub fn test() -> Self {
        let data = json!({ "note": "This message was sent on request." });
        Self { topic: Topic::Test, subject: "test".to_owned(), data, news: None }
    }

    /// The news about a run whose state was `before`, if there is any: it has ended, or it waits for an answer.
    pub fn of_run(before: RunState, run: &Run) -> Option<Self> {
        if run.state == before {
            return None;
        }
        let subject = format!("run {}", run.id);
        let news = News::of_run(run)?;
        if run.finished_at.is_some() {
            return Some(Self::with(Topic::RunFinished, subject, run_data(run), news));
        }
        let question = run.question.as_ref().filter(|_| run.state == RunState::WaitingForAnswer)?;
        let mut data = run_data(run);
        if let Some(fields) = data.as_object_mut() {
            fields.insert("question".to_owned(), json!(question.text()));
            fields.insert("answer_by".to_owned(), json!(question.answer_by));
        }
        Some(Self::with(Topic::RunWaitingForAnswer, subject, data, news))
    }

    fn with(topic: Topic, subject: String, mut data: Value, news: News) -> Self {
        news.what.add_to(&mut data);
        Self { topic, subject, data, news: Some(news) }
    }

    /// A store refuses its credentials.
    pub fn needs_reauthorization(store: StoreId, name: &str, problem: &str) -> Self {
        let data = json!({ "store_id": store, "store_name": name, "problem": problem });
        let news = News::needs_reauthorization(store, name, problem);
        Self::with(Topic::StoreNeedsReauthorization, format!("store {store}"), data, news)
    }

    /// A check of a store has ended, and listings differ.
    pub fn drift_found(check: &DriftCheck, name: &str) -> Self {
        let data = json!({
            "check_id": check.id, "store_id": check.store_id, "store_name": name, "started_at": check.started_at,
            "compared": check.compared, "skipped": check.skipped, "differ": check.counts.total(), "by_cause": check.counts,
            "corrected": check.corrected,
        });
        Self::with(Topic::DriftFound, format!("store {}", check.store_id), data, News::drift(check, name))
    }

    /// Pushes to this store were rejected; `None` if none of these was.
    pub fn pushes_rejected<'a>(store: StoreId, name: &str, pushes: impl Iterator<Item = &'a Push>) -> Option<Self> {
        let mut rejected: Vec<Value> = Vec::new();
        let mut omitted = 0;
        let mut example = None;
        for push in pushes {
            if rejected.len() == MAX_PUSHES {
                omitted += 1;
                continue;
            }
            let record = push.clone().into_record();
            let (kind, quantity) = record.effect();
            example = example.or_else(|| record.reason.as_ref().map(|reason| format!("{}: {reason}", record.sku)));
            rejected.push(json!({
                "id": record.id, "listing_id": record.listing_id, "sku": record.sku, "external_id": record.external_id,
                "kind": kind, "quantity": quantity, "reason": record.reason, "next_step": record.next_step,
            }));
        }
        if rejected.is_empty() {
            return None;
        }
        let news = News::rejected(store, name, rejected.len() + omitted, example);
        let data = json!({ "store_id": store, "store_name": name, "pushes": rejected, "pushes_omitted": omitted });
        Some(Self::with(Topic::PushesRejected, format!("store {store}"), data, news))
    }
}

fn run_data(run: &Run) -> Value {
    json!({
        "run_id": run.id, "kind": run.kind, "state": run.state, "store_id": run.store_id, "local_date": run.local_date,
        "total": run.total, "done": run.done, "failed": run.failed, "reason": run.reason,
        "started_at": run.started_at, "finished_at": run.finished_at,
    })
}

/// The pushes that were not rejected in `before` and are in `after`.
pub fn newly_rejected<'a>(before: &'a [Push], after: &'a [Push]) -> impl Iterator<Item = &'a Push> {
    let was = |push: &Push| before.iter().any(|earlier| earlier.id() == push.id() && earlier.state() == PushState::Rejected);
    after.iter().filter(move |push| push.state() == PushState::Rejected && !was(push))
}

/// What became of one sending of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// It arrived.
    Arrived(u16),
    /// It did not, as far as is known.
    Failed(String),
    /// Its receiver wants no more messages.
    Gone,
}

impl Sent {
    /// By the status of the answer.
    pub fn by_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Arrived(status),
            410 => Self::Gone,
            _ => Self::Failed(format!("The receiver answered {status}.")),
        }
    }
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = WebhookMessageState)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// To be sent, for the first time or again.
    Waiting,
    /// It has arrived.
    Delivered,
    /// It is not sent any more.
    GivenUp,
}

impl MessageState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::GivenUp];

    /// The word in the interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::GivenUp => "given_up",
        }
    }
}

/// When a message is sent again that was made at `made_at` and has been sent `attempts` times in vain; `None` if it is given up.
/// `draw` is a random number from 0 to 1.
pub fn next_attempt(made_at: Timestamp, attempts: u32, draw: f64, now: Timestamp) -> Option<Timestamp> {
    let pause = FIRST_PAUSE.saturating_mul(3u32.saturating_pow(attempts.saturating_sub(1).min(8))).min(LONGEST_PAUSE);
    // Half of it is certain: a receiver that is down is asked every few minutes, and all its messages are not sent at once.
    let at = now + pause.mul_f64(0.5 + draw.clamp(0.0, 1.0) / 2.0);
    (now < made_at + GIVEN_UP_AFTER).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn a_receiver_that_was_down_for_an_hour_hears_of_it_within_a_quarter_of_an_hour() {
        for draw in [0.0, 0.5, 1.0] {
            let (mut now, mut attempts) = (at(0), 0);
            while now < at(3600) {
                attempts += 1;
                let next = next_attempt(at(0), attempts, draw, now).unwrap();
                assert!(next > now && next <= now + Duration::from_secs(900), "{attempts}: {next:?}");
                now = next;
            }
            assert!(now <= at(3600 + 900), "{now:?}");
            assert!(attempts < 20, "{attempts}");
        }
    }

    #[test]
    fn a_message_is_given_up_after_three_days() {
        let three_days = 3 * 24 * 3600;
        assert!(next_attempt(at(0), 300, 0.5, at(three_days - 1)).is_some());
        assert_eq!(next_attempt(at(0), 300, 0.5, at(three_days)), None);
        assert_eq!(next_attempt(at(0), u32::MAX, 0.5, at(three_days)), None);
    }

    #[test]
    fn only_a_success_is_an_arrival_and_a_receiver_may_say_that_it_is_gone() {
        assert_eq!([200, 204, 299].map(Sent::by_status), [Sent::Arrived(200), Sent::Arrived(204), Sent::Arrived(299)]);
        assert_eq!(Sent::by_status(410), Sent::Gone);
        for status in [100, 301, 400, 401, 404, 429, 500, 503] {
            assert!(matches!(Sent::by_status(status), Sent::Failed(why) if why.contains(&status.to_string())), "{status}");
        }
    }
}
