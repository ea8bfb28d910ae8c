//! Sends the requests of all lanes; those of one lane are sent one after another. An unanswered request is retried with
//! the same event ids until it is answered, so in the end every event has been accepted once or rejected for good.
use super::api::{Answer, Api, Body, Error, OnLost, Retries, excerpt};
use super::fleet::{SECOND_WAREHOUSE, Seller, sku};
use super::latency::Durations;
use super::model::Times;
use super::plan::Kind;
use super::progress::Progress;
use super::workload::{Batch, Event, Form, Repeat, Workload};
use crate::clock::Clock;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// How many reasons for rejection a report quotes.
const MAX_REASONS: usize = 5;
const PATH: &str = "/v1/stock-events";

#[derive(Serialize)]
struct OutgoingEvent<'a> {
    event_id: String,
    sku: String,
    kind: Kind,
    quantity: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    warehouse: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_warehouse: Option<&'a str>,
}

#[derive(Deserialize)]
struct EventsResponse {
    results: Vec<EventResult>,
}

#[derive(Deserialize)]
struct EventResult {
    status: EventStatus,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EventStatus {
    Accepted,
    Duplicate,
    Rejected,
}

/// The outcome of sending, for one lane or for all.
#[derive(Debug)]
pub(super) struct Sent {
    /// The accepted events by index, and when they were accepted.
    pub(super) accepted: Vec<(usize, Times)>,
    /// Events accepted more than once, or reported as duplicates without having been accepted: faults of the service.
    pub(super) accepted_twice: u64,
    /// Results with the status `duplicate`.
    pub(super) duplicates: u64,
    pub(super) refused: u64,
    /// The first reasons for rejection.
    pub(super) refusals: Vec<String>,
    /// Requests deliberately sent twice.
    pub(super) repeated: u64,
    /// Response times of the service.
    pub(super) answered_in: Durations,
    /// Retries of all lanes.
    pub(super) retries: Retries,
    pub(super) took: Duration,
}

/// What all lanes share.
pub(super) struct Sender<'a> {
    pub(super) api: &'a Api,
    pub(super) clock: &'a Clock,
    pub(super) sellers: &'a [Seller],
    pub(super) workload: &'a Workload,
    /// The prefix of every event id of the run.
    pub(super) run: &'a str,
    /// Events per second over all lanes.
    pub(super) rate: Option<f64>,
    pub(super) progress: &'a Progress,
}

impl Sender<'_> {
    pub(super) async fn send(&self) -> Result<Sent, Error> {
        let started_at = Instant::now();
        let lanes = self.workload.lanes.iter().map(|lane| self.lane(lane, started_at));
        let lanes = futures_util::future::try_join_all(lanes).await?;
        let mut all = Sent::new()?;
        lanes.into_iter().for_each(|lane| all.merge(lane));
        all.took = started_at.elapsed();
        Ok(all)
    }

    async fn lane(&self, batches: &[Batch], started_at: Instant) -> Result<Sent, Error> {
        let mut sent = Sent::new()?;
        let in_lane: usize = batches.iter().map(|batch| batch.events.len()).sum();
        let mut before = 0;
        for batch in batches {
            if let Some(rate) = self.rate {
                // A lane's part of the rate is its part of the events.
                #[expect(clippy::cast_precision_loss, reason = "a few million events")]
                let due = before as f64 / in_lane.max(1) as f64 * self.workload.events.len() as f64 / rate;
                tokio::time::sleep_until(started_at + Duration::from_secs_f64(due)).await;
            }
            before += batch.events.len();
            self.batch(batch, &mut sent).await?;
            self.progress.advance(batch.events.len());
        }
        Ok(sent)
    }

    async fn batch(&self, batch: &Batch, sent: &mut Sent) -> Result<(), Error> {
        let text = self.body(batch)?;
        let sent_us = self.now_us();
        let mut answers = Vec::with_capacity(2);
        let accepted_us = match batch.repeat {
            Repeat::AtTheSameTime => {
                let (one, other) = futures_util::future::try_join(self.request(batch, &text), self.request(batch, &text)).await?;
                let accepted_us = one.1.min(other.1);
                answers.extend([one.0, other.0]);
                accepted_us
            }
            Repeat::Afterwards => {
                let (answer, accepted_us) = self.request(batch, &text).await?;
                answers.push(answer);
                answers.push(self.request(batch, &text).await?.0);
                accepted_us
            }
            Repeat::No => {
                let (answer, accepted_us) = self.request(batch, &text).await?;
                answers.push(answer);
                accepted_us
            }
        };
        sent.repeated += u64::from(batch.repeat != Repeat::No);
        sent.add(batch, &answers, Times { sent_us, accepted_us })
    }

    /// Sends one request and returns its response, and when that arrived.
    async fn request(&self, batch: &Batch, text: &str) -> Result<(Answer, i64), Error> {
        let key = self.sellers.get(batch.seller).map(|seller| &seller.key);
        let body = if batch.form == Form::Ndjson { Body::Ndjson(text) } else { Body::Json(text) };
        let answer = self.api.send(Method::POST, PATH, key, body, OnLost::Repeat).await?;
        Ok((answer, self.now_us()))
    }

    fn now_us(&self) -> i64 {
        self.clock.now_us()
    }

    fn body(&self, batch: &Batch) -> Result<String, Error> {
        let event = |index: &usize| self.workload.events.get(*index).map(|event| outgoing(self.run, *index, event));
        let events: Vec<OutgoingEvent> = batch.events.iter().filter_map(event).collect();
        let text = match (batch.form, events.as_slice()) {
            (Form::Single, [event]) => serde_json::to_string(event),
            (Form::Single | Form::Array, events) => serde_json::to_string(events),
            (Form::Ndjson, events) => events.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>().map(|lines| lines.join("\n")),
        };
        text.map_err(|e| Error::Internal(e.to_string()))
    }
}

fn outgoing<'a>(run: &str, index: usize, event: &Event) -> OutgoingEvent<'a> {
    let code = |warehouse| if warehouse == 0 { "main" } else { SECOND_WAREHOUSE };
    let transfer = event.kind == Kind::Transfer;
    OutgoingEvent {
        event_id: format!("{run}-{index}"),
        sku: sku(event.sku),
        kind: event.kind,
        quantity: event.quantity,
        // No warehouse means `main`; both ways of saying so are used.
        warehouse: (event.warehouse != 0 || transfer).then(|| code(event.warehouse)),
        to_warehouse: transfer.then(|| code(1 - event.warehouse)),
    }
}

impl Sent {
    fn new() -> Result<Self, Error> {
        Ok(Self {
            accepted: Vec::new(),
            accepted_twice: 0,
            duplicates: 0,
            refused: 0,
            refusals: Vec::new(),
            repeated: 0,
            answered_in: Durations::new().map_err(Error::Internal)?,
            retries: Retries::default(),
            took: Duration::ZERO,
        })
    }

    fn merge(&mut self, lane: Self) {
        self.accepted.extend(lane.accepted);
        self.accepted_twice += lane.accepted_twice;
        self.duplicates += lane.duplicates;
        self.refused += lane.refused;
        self.refusals.extend(lane.refusals);
        self.refusals.truncate(MAX_REASONS);
        self.repeated += lane.repeated;
        self.answered_in.merge(&lane.answered_in);
    }

    /// Adds the answers to one request, or to both copies of a repeated one.
    fn add(&mut self, batch: &Batch, answers: &[Answer], times: Times) -> Result<(), Error> {
        let mut results_of: Vec<Vec<EventResult>> = Vec::with_capacity(answers.len());
        for answer in answers {
            self.answered_in.add_us(i64::try_from(answer.took.as_micros()).unwrap_or(i64::MAX));
            let unexpected = || Error::Refused { what: format!("POST {PATH}"), status: answer.status, detail: excerpt(&answer.body) };
            let results = serde_json::from_slice::<EventsResponse>(&answer.body).map_err(|_| unexpected())?.results;
            if results.len() != batch.events.len() {
                return Err(unexpected());
            }
            results_of.push(results);
        }
        // The attempt that was accepted may be one whose answer was lost.
        let some_lost = answers.iter().any(|answer| answer.maybe_repeated);
        for (position, index) in batch.events.iter().enumerate() {
            let results: Vec<&EventResult> = results_of.iter().filter_map(|results| results.get(position)).collect();
            let of = |status| results.iter().filter(|result| result.status == status).count();
            self.duplicates += u64::try_from(of(EventStatus::Duplicate)).unwrap_or(0);
            if let Some(rejected) = results.iter().find(|result| result.status == EventStatus::Rejected) {
                self.refused += 1;
                if self.refusals.len() < MAX_REASONS {
                    self.refusals.push(rejected.reason.clone().unwrap_or_default());
                }
                continue;
            }
            match of(EventStatus::Accepted) {
                1 => {}
                0 if some_lost => {}
                // A duplicate of an event that was never accepted is just as wrong as accepting it twice.
                _ => self.accepted_twice += 1,
            }
            self.accepted.push((*index, times));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(statuses: [&str; 2], maybe_repeated: bool) -> Answer {
        let results = statuses.map(|status| serde_json::json!({ "status": status, "event_id": "x" }));
        let body = serde_json::json!({ "accepted": 0, "results": results }).to_string().into_bytes();
        Answer { status: 200, body, took: Duration::from_millis(1), maybe_repeated }
    }

    fn add(answers: &[Answer]) -> Sent {
        let mut sent = Sent::new().unwrap();
        let batch = Batch { seller: 0, form: Form::Array, repeat: Repeat::No, events: vec![4, 2] };
        sent.add(&batch, answers, Times { sent_us: 1, accepted_us: 2 }).unwrap();
        sent
    }

    #[test]
    fn an_event_that_is_accepted_again_is_counted() {
        let good = add(&[answer(["accepted", "duplicate"], false), answer(["duplicate", "accepted"], false)]);
        assert_eq!((good.accepted_twice, good.duplicates, good.accepted.len()), (0, 2, 2));
        assert_eq!(add(&[answer(["accepted"; 2], false), answer(["accepted", "duplicate"], false)]).accepted_twice, 1);
    }

    #[test]
    fn a_first_answer_of_duplicate_is_right_only_after_a_lost_answer() {
        assert_eq!(add(&[answer(["duplicate"; 2], true)]).accepted_twice, 0);
        assert_eq!(add(&[answer(["duplicate"; 2], false)]).accepted_twice, 2);
    }

    #[test]
    fn a_rejected_event_is_not_part_of_the_model() {
        let sent = add(&[answer(["accepted", "rejected"], false)]);
        assert_eq!((sent.refused, sent.accepted), (1, vec![(4, Times { sent_us: 1, accepted_us: 2 })]));
    }

    #[test]
    fn events_are_serialized_as_the_interface_expects() {
        let event = Event { seller: 0, sku: 7, kind: Kind::Transfer, quantity: 3, warehouse: 0 };
        let text = serde_json::to_string(&outgoing("r", 9, &event)).unwrap();
        assert_eq!(
            text,
            r#"{"event_id":"r-9","sku":"SKU-00007","kind":"transfer","quantity":3,"warehouse":"main","to_warehouse":"second"}"#
        );
        let sale = Event { kind: Kind::Sale, ..event };
        assert_eq!(
            serde_json::to_string(&outgoing("r", 9, &sale)).unwrap(),
            r#"{"event_id":"r-9","sku":"SKU-00007","kind":"sale","quantity":3}"#
        );
    }
}
