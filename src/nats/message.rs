//! What becomes of a message: the same as of a request, and its answer decides how NATS is answered.
use super::settings::Settings;
use crate::db::{self, sellers};
use crate::domain::SellerId;
use crate::domain::retry::RetryPolicy;
use crate::http::AppState;
use crate::http::bodies::Owner;
use crate::http::body::Content;
use crate::http::error::ApiError;
use crate::http::stock_events::{EventsAnswer, read_body, take_in};
use crate::metrics;
use crate::service::Caller;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::{AckKind, Message};
use async_nats::{Client, HeaderMap};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long to put a message off.
const LONGEST_FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Later messages come back a little after the first that was put off, which may take longer to reach the server.
const BEHIND: Duration = Duration::from_millis(20);
/// The most results that are published of a message with many events.
const MAX_RESULTS: usize = 100;
/// Say which message it is about: its place in the stream, and the id that its sender gave it.
const ABOUT_SEQUENCE: &str = "Stocktide-Stream-Sequence";
const ABOUT_ID: &str = "Stocktide-Msg-Id";
/// The longest id of a sender that is repeated, and room for all headers. A server cuts off whoever publishes more than it takes.
const MAX_ID: usize = 1000;
const HEADERS: usize = 2048;

/// A seller's messages are put off until then, so that none overtakes the first of them.
#[derive(Debug, Default)]
pub struct Pause {
    /// How many attempts have failed since the last that succeeded.
    failures: u32,
    until: Option<Instant>,
}

impl Pause {
    /// How much is left of it.
    pub fn rest(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now)).filter(|rest| !rest.is_zero())
    }

    /// Begins after something that may pass. A quota says itself how long to wait, and that is no failure.
    fn begin(&mut self, error: &ApiError, now: Instant, jitter: f64) -> Duration {
        let asked = error.retry_after_s().map(Duration::from_secs);
        self.failures = if error.is_quota() { 1 } else { self.failures.saturating_add(1) };
        let policy = RetryPolicy { base: LONGEST_FIRST_PAUSE, cap: LONGEST_PAUSE, ..RetryPolicy::default() };
        let length = if error.is_suspension() { LONGEST_PAUSE } else { policy.pause(self.failures, jitter, asked) };
        self.until = Some(now + length);
        length
    }

    /// Whether it has been over for so long that nothing depends on it any more.
    pub fn is_forgotten(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now.saturating_duration_since(until) > LONGEST_PAUSE)
    }
}

/// What a message's answer means for NATS.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// All is committed: acknowledge it.
    Recorded,
    /// Some events are committed, and the others never will be: acknowledge it and publish this.
    PartlyRejected(Value),
    /// It never will be: terminate it and publish this.
    Rejected(Value),
    /// It may be recorded later.
    PutOff,
}

impl Verdict {
    fn of(answer: &Result<EventsAnswer, ApiError>) -> Self {
        match answer {
            Ok(answer) if answer.rejected == 0 => Self::Recorded,
            Ok(answer) => Self::PartlyRejected(rejections(answer)),
            // Whoever asks over HTTP hears of a suspension and asks again later. A message cannot, so it waits.
            Err(error) if error.may_pass() || error.is_suspension() => Self::PutOff,
            Err(error) => Self::Rejected(json!(error.problem())),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::PartlyRejected(_) => "partly_rejected",
            Self::Rejected(_) => "rejected",
            Self::PutOff => "put_off",
        }
    }
}

/// The answer with the results of the rejected events only, and no more than fit into a message.
fn rejections(answer: &EventsAnswer) -> Value {
    let results: Vec<_> = answer.results.iter().filter(|result| result.status == "rejected").take(MAX_RESULTS).collect();
    let EventsAnswer { accepted, duplicates, rejected, .. } = answer;
    let omitted = rejected - results.len();
    json!({ "accepted": accepted, "duplicates": duplicates, "rejected": rejected, "results": results, "results_omitted": omitted })
}

/// Adds the body that was rejected, so that it can be sent again once the reason is gone; the stream does not have it any more.
/// It is left out if the whole would be longer than this.
fn with_body(mut content: Value, body: &[u8], longest: usize) -> String {
    let (name, text) = match std::str::from_utf8(body) {
        Ok(text) => ("body", json!(text)),
        Err(_) => ("body_base64", json!(STANDARD.encode(body))),
    };
    let Value::Object(members) = &mut content else { return content.to_string() };
    members.insert(name.to_owned(), text);
    let whole = json!(members).to_string();
    if whole.len() <= longest {
        return whole;
    }
    members.remove(name);
    members.insert("body_omitted".to_owned(), json!(true));
    content.to_string()
}

/// The content type of a message. Senders write the names of headers in any case, and NATS keeps it.
fn content_type(headers: &HeaderMap) -> Option<&str> {
    let (_, values) = headers.iter().find(|(name, _)| AsRef::<str>::as_ref(*name).eq_ignore_ascii_case("Content-Type"))?;
    values.first().map(|value| value.as_str())
}

/// Records messages and answers them.
pub struct Desk {
    /// The service behind it.
    pub state: Arc<AppState>,
    /// Its settings.
    pub settings: Settings,
    /// Publishes what was rejected.
    pub client: Client,
}

impl Desk {
    /// Records a message of a seller, or puts it off while the seller's messages are.
    pub async fn handle(&self, seller: SellerId, message: &Message, pause: &Mutex<Pause>) {
        let pause = || pause.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = pause().rest(Instant::now());
        if let Some(rest) = rest {
            metrics::note(|metrics| metrics.nats_message(Verdict::PutOff.name()));
            return answer(message, AckKind::Nak(Some(rest + BEHIND))).await;
        }
        let taken = self.take_in(seller, message).await;
        let verdict = Verdict::of(&taken);
        match &taken {
            Err(error) if verdict == Verdict::PutOff => {
                metrics::note(|metrics| metrics.nats_message(verdict.name()));
                let length = pause().begin(error, Instant::now(), rand::random());
                answer(message, AckKind::Nak(Some(length))).await;
            }
            _ => {
                *pause() = Pause::default();
                self.settle(&seller.to_string(), message, verdict, taken.err()).await;
            }
        }
    }

    /// Terminates a message that is not for any seller. Where its subject is a way in, `addressee` is its word for the seller.
    pub async fn refuse(&self, addressee: Option<&str>, message: &Message) {
        let error = ApiError::not_found("seller");
        let verdict = Verdict::of(&Err(error.clone()));
        self.settle(addressee.unwrap_or_default(), message, verdict, Some(error)).await;
    }

    async fn take_in(&self, seller: SellerId, message: &Message) -> Result<EventsAnswer, ApiError> {
        let state = &self.state;
        let (bytes, limit) = (message.payload.len(), state.settings.max_body_bytes);
        if bytes > limit {
            return Err(ApiError::too_large(limit));
        }
        let caller = self.caller(seller).await?;
        let _reservation = state.bodies.reserve(Owner::Seller(seller), bytes)?;
        let content_type = message.headers.as_ref().and_then(content_type).unwrap_or_default();
        let content = Content::new(message.payload.clone(), content_type);
        let (read, single) = state.bodies.parse(bytes, move || read_body(&content)).await?;
        take_in(state, &caller, read, single, None).await
    }

    /// The seller, if it may send now. That it may send as this seller was for NATS to decide.
    async fn caller(&self, id: SellerId) -> Result<Caller, ApiError> {
        let seller = match self.state.db.read(move |conn| sellers::seller(conn, id)).await {
            Err(db::Error::NotFound) => return Err(ApiError::not_found("seller")),
            seller => seller?,
        };
        if seller.suspended {
            return Err(ApiError::suspended());
        }
        self.state.quota.check(id, seller.limits.events_per_second)?;
        Ok(Caller { db: self.state.db.seller(id), name: "nats".to_owned() })
    }

    /// Publishes what was rejected, then answers: if the connection is lost in between, both happen again.
    async fn settle(&self, addressee: &str, message: &Message, verdict: Verdict, error: Option<ApiError>) {
        metrics::note(|metrics| metrics.nats_message(verdict.name()));
        let kind = if matches!(verdict, Verdict::Rejected(_)) { AckKind::Term } else { AckKind::Ack };
        if let Verdict::PartlyRejected(content) | Verdict::Rejected(content) = verdict {
            let (reason, subject) = (error.as_ref().map_or("some of its events were rejected", ApiError::detail), message.subject.as_str());
            tracing::warn!(?subject, sequence = sequence(message), reason, "a message from NATS was rejected");
            let problem = error.is_some();
            if !addressee.is_empty()
                && let Err(error) = self.publish(addressee, message, content, problem).await
            {
                tracing::warn!(%error, ?subject, "the reason could not be published");
            }
        }
        answer(message, kind).await;
    }

    async fn publish(&self, addressee: &str, about: &Message, content: Value, problem: bool) -> Result<(), async_nats::PublishError> {
        let mut headers = HeaderMap::new();
        headers.insert("Content-Type", if problem { "application/problem+json" } else { "application/json" });
        if let Some(sequence) = sequence(about) {
            headers.insert(ABOUT_SEQUENCE, sequence.to_string());
            // A stream that keeps what is published keeps it once.
            headers.insert(NATS_MESSAGE_ID, format!("{}-{sequence}-rejected", self.settings.stream));
        }
        let id = about.headers.as_ref().and_then(|headers| headers.get(NATS_MESSAGE_ID));
        if let Some(id) = id.filter(|id| id.as_str().len() <= MAX_ID) {
            headers.insert(ABOUT_ID, id.clone());
        }
        let longest = self.client.server_info().max_payload.saturating_sub(HEADERS);
        let content = with_body(content, &about.payload, longest);
        self.client.publish_with_headers(self.settings.subjects.rejected(addressee), headers, content.into()).await
    }
}

/// Its place in the stream.
fn sequence(message: &Message) -> Option<u64> {
    message.info().ok().map(|info| info.stream_sequence)
}

/// Answers a message. If the answer is lost, it is delivered again.
pub async fn answer(message: &Message, kind: AckKind) {
    if let Err(error) = message.ack_with(kind).await {
        tracing::debug!(%error, "a message could not be answered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::FieldError;
    use crate::http::stock_events::ResultAnswer;

    fn name_of(error: impl Into<ApiError>) -> &'static str {
        Verdict::of(&Err(error.into())).name()
    }

    #[test]
    fn what_may_pass_is_put_off() {
        for error in [
            db::Error::Busy,
            db::Error::Fenced,
            db::Error::TooMuchAtOnce,
            db::Error::Unavailable("no connection".to_owned()),
            db::Error::Corrupt("sellers.timezone".to_owned()),
        ] {
            assert_eq!(name_of(error.clone()), "put_off", "{error:?}");
        }
        assert_eq!(name_of(ApiError::quota(Duration::from_secs(1))), "put_off");
        assert_eq!(name_of(ApiError::bodies_too_large()), "put_off");
        assert_eq!(name_of(ApiError::unavailable("busy")), "put_off");
        assert_eq!(name_of(ApiError::suspended()), "put_off");
    }

    #[test]
    fn what_never_can_be_recorded_is_rejected_with_its_problem() {
        for error in [
            ApiError::not_found("seller"),
            ApiError::malformed("no JSON"),
            ApiError::too_large(10),
            ApiError::media_type("Send JSON."),
            ApiError::field("/sku", "is required"),
            ApiError::conflicting(vec![FieldError::new("/event_id", "belongs to another event")]),
            db::Error::NotFound.into(),
        ] {
            assert_eq!(name_of(error.clone()), "rejected", "{error}");
        }
        let Verdict::Rejected(problem) = Verdict::of(&Err(ApiError::field("/sku", "is required"))) else { panic!() };
        assert_eq!(problem["type"], "urn:stocktide:problem:invalid");
        assert_eq!((&problem["status"], &problem["errors"][0]["pointer"]), (&json!(422), &json!("/sku")));
    }

    #[test]
    fn the_results_of_rejected_events_are_published_up_to_a_limit() {
        let answer = |rejected: usize| EventsAnswer {
            accepted: 1,
            duplicates: 0,
            rejected,
            results: std::iter::once("accepted").chain(std::iter::repeat_n("rejected", rejected)).map(ResultAnswer::with_status).collect(),
        };
        assert_eq!(Verdict::of(&Ok(answer(0))), Verdict::Recorded);
        let Verdict::PartlyRejected(some) = Verdict::of(&Ok(answer(3))) else { panic!() };
        assert_eq!((&some["accepted"], &some["rejected"], &some["results_omitted"]), (&json!(1), &json!(3), &json!(0)));
        assert!(some["results"].as_array().unwrap().iter().all(|result| result["status"] == "rejected"));
        let Verdict::PartlyRejected(many) = Verdict::of(&Ok(answer(250))) else { panic!() };
        assert_eq!((many["results"].as_array().unwrap().len(), &many["results_omitted"]), (100, &json!(150)));
    }

    #[test]
    fn a_rejected_body_is_published_if_there_is_room() {
        let published =
            |body: &[u8], longest| -> Value { serde_json::from_str(&with_body(json!({ "status": 422 }), body, longest)).unwrap() };
        assert_eq!(published(b"{\"a\": 1}", 100), json!({ "status": 422, "body": "{\"a\": 1}" }));
        assert_eq!(published(&[0xff, 0], 100), json!({ "status": 422, "body_base64": "/wA=" }));
        let exact = with_body(json!({}), b"abc", 100).len();
        assert_eq!(published(b"abc", exact + "\"status\":422,".len())["body"], "abc");
        assert_eq!(published(b"abc", exact), json!({ "status": 422, "body_omitted": true }));
    }

    #[test]
    fn a_content_type_is_found_in_any_case() {
        for name in ["Content-Type", "content-type", "CONTENT-TYPE"] {
            let mut headers = HeaderMap::new();
            headers.insert("Accept", "text/plain");
            headers.insert(name, "application/x-ndjson");
            assert_eq!(content_type(&headers), Some("application/x-ndjson"), "{name}");
        }
        assert_eq!(content_type(&HeaderMap::new()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_with_failures_but_not_with_a_quota() {
        let (mut pause, now) = (Pause::default(), Instant::now());
        let down = ApiError::unavailable("down");
        let lengths: Vec<u64> = (0..8).map(|_| pause.begin(&down, now, 1.0).as_secs()).collect();
        assert_eq!(lengths, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause.rest(now + Duration::from_secs(59)), Some(Duration::from_secs(1)));
        assert_eq!(pause.rest(now + Duration::from_secs(60)), None);
        assert!(!pause.is_forgotten(now + Duration::from_secs(100)) && pause.is_forgotten(now + Duration::from_secs(121)));
        let lengths: Vec<u64> = (0..3).map(|_| pause.begin(&ApiError::quota(Duration::from_secs(2)), now, 1.0).as_secs()).collect();
        assert_eq!(lengths, [2, 2, 2]);
        assert_eq!(Pause::default().begin(&ApiError::suspended(), now, 0.0), LONGEST_PAUSE);
        assert!(Pause::default().is_forgotten(now) && Pause::default().rest(now).is_none());
    }
}
