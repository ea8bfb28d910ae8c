//! Sends the requests of all lanes, each lane one after another. A request that was not answered is sent again with
//! the same event ids until it is: after this, every event was either accepted once or refused for good.
use super::api::{Answer, Api, Body, Error, Lost, excerpt};
use super::fleet::{SECOND_WAREHOUSE, Seller, sku};
use super::latency::Durations;
use super::model::Times;
use super::plan::Kind;
use super::progress::Progress;
use super::report::Retries;
use super::workload::{Batch, Event, Form, Repeat, Workload};
use crate::clock::Clock;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// Refusals that are told word by word.
const REFUSALS_TOLD: usize = 5;
const PATH: &str = "/v1/stock-events";

#[derive(Serialize)]
struct EventOut<'a> {
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
struct EventsIn {
    results: Vec<ResultIn>,
}

#[derive(Deserialize)]
struct ResultIn {
    status: Taken,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Taken {
    Accepted,
    Duplicate,
    Rejected,
}

/// What became of all events.
#[derive(Debug)]
pub(super) struct Sent {
    /// Accepted events, and when.
    pub(super) accepted: Vec<(usize, Times)>,
    /// Events whose repetition was accepted again: each is a failure of the service.
    pub(super) accepted_twice: u64,
    /// Events answered `duplicate`.
    pub(super) duplicates: u64,
    pub(super) refused: u64,
    /// The first refusals, in words.
    pub(super) refusals: Vec<String>,
    /// Requests that were sent twice on purpose.
    pub(super) repeated: u64,
    /// How long the service took to answer each request.
    pub(super) answered_in: Durations,
    /// Sendings that had to be repeated, over all lanes.
    pub(super) retries: Retries,
    pub(super) took: Duration,
}

/// What lanes have in common.
pub(super) struct Sender<'a> {
    pub(super) api: &'a Api,
    pub(super) clock: &'a Clock,
    pub(super) sellers: &'a [Seller],
    pub(super) workload: &'a Workload,
    /// Begins every event id of the run.
    pub(super) run: &'a str,
    /// Events per second, all lanes together.
    pub(super) rate: Option<f64>,
    pub(super) progress: &'a Progress,
}

impl Sender<'_> {
    /// Sends everything.
    pub(super) async fn send(&self) -> Result<Sent, Error> {
        let began = Instant::now();
        let lanes = self.workload.lanes.iter().map(|lane| self.lane(lane, began));
        let lanes = futures_util::future::try_join_all(lanes).await?;
        let mut all = Sent::new()?;
        lanes.into_iter().for_each(|lane| all.join(lane));
        all.took = began.elapsed();
        Ok(all)
    }

    async fn lane(&self, batches: &[Batch], began: Instant) -> Result<Sent, Error> {
        let mut sent = Sent::new()?;
        let in_lane: usize = batches.iter().map(|batch| batch.events.len()).sum();
        let mut before = 0;
        for batch in batches {
            if let Some(rate) = self.rate {
                // Every lane has the part of the rate that it has of the events.
                #[expect(clippy::cast_precision_loss, reason = "a few million events")]
                let due = before as f64 / in_lane.max(1) as f64 * self.workload.events.len() as f64 / rate;
                tokio::time::sleep_until(began + Duration::from_secs_f64(due)).await;
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
        sent.take(batch, &answers, Times { sent_us, accepted_us })
    }

    /// One request, and when its answer was here.
    async fn request(&self, batch: &Batch, text: &str) -> Result<(Answer, i64), Error> {
        let key = self.sellers.get(batch.seller).map(|seller| &seller.key);
        let body = if batch.form == Form::Ndjson { Body::Ndjson(text) } else { Body::Json(text) };
        let answer = self.api.send(Method::POST, PATH, key, body, Lost::Repeat).await?;
        Ok((answer, self.now_us()))
    }

    fn now_us(&self) -> i64 {
        self.clock.now_us()
    }

    fn body(&self, batch: &Batch) -> Result<String, Error> {
        let event = |index: &usize| self.workload.events.get(*index).map(|event| event_out(self.run, *index, event));
        let events: Vec<EventOut> = batch.events.iter().filter_map(event).collect();
        let text = match (batch.form, events.as_slice()) {
            (Form::Single, [event]) => serde_json::to_string(event),
            (Form::Single | Form::Array, events) => serde_json::to_string(events),
            (Form::Ndjson, events) => events.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>().map(|lines| lines.join("\n")),
        };
        text.map_err(|e| Error::Internal(e.to_string()))
    }
}

fn event_out<'a>(run: &str, index: usize, event: &Event) -> EventOut<'a> {
    let code = |warehouse| if warehouse == 0 { "main" } else { SECOND_WAREHOUSE };
    let transfer = event.kind == Kind::Transfer;
    EventOut {
        event_id: format!("{run}-{index}"),
        sku: sku(event.sku),
        kind: event.kind,
        quantity: event.quantity,
        // `main` is what is meant when none is named: both ways of saying it are used.
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

    fn join(&mut self, lane: Self) {
        self.accepted.extend(lane.accepted);
        self.accepted_twice += lane.accepted_twice;
        self.duplicates += lane.duplicates;
        self.refused += lane.refused;
        self.refusals.extend(lane.refusals);
        self.refusals.truncate(REFUSALS_TOLD);
        self.repeated += lane.repeated;
        self.answered_in.join(&lane.answered_in);
    }

    /// Takes in the answers to one request and its repetitions.
    fn take(&mut self, batch: &Batch, answers: &[Answer], times: Times) -> Result<(), Error> {
        let mut taken: Vec<Vec<ResultIn>> = Vec::with_capacity(answers.len());
        for answer in answers {
            self.answered_in.add_us(i64::try_from(answer.took.as_micros()).unwrap_or(i64::MAX));
            let refused = || Error::Refused { what: format!("POST {PATH}"), status: answer.status, detail: excerpt(&answer.body) };
            let results = serde_json::from_slice::<EventsIn>(&answer.body).map_err(|_| refused())?.results;
            if results.len() != batch.events.len() {
                return Err(refused());
            }
            taken.push(results);
        }
        // A sending whose answer was lost may be the one that was accepted.
        let some_lost = answers.iter().any(|answer| answer.perhaps_repeated);
        for (place, index) in batch.events.iter().enumerate() {
            let results: Vec<&ResultIn> = taken.iter().filter_map(|results| results.get(place)).collect();
            let of = |status| results.iter().filter(|result| result.status == status).count();
            self.duplicates += u64::try_from(of(Taken::Duplicate)).unwrap_or(0);
            if let Some(refused) = results.iter().find(|result| result.status == Taken::Rejected) {
                self.refused += 1;
                if self.refusals.len() < REFUSALS_TOLD {
                    self.refusals.push(refused.reason.clone().unwrap_or_default());
                }
                continue;
            }
            match of(Taken::Accepted) {
                1 => {}
                0 if some_lost => {}
                // Never accepted, yet a duplicate: as wrong as accepted twice.
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

    fn answer(statuses: [&str; 2], perhaps_repeated: bool) -> Answer {
        let results = statuses.map(|status| serde_json::json!({ "status": status, "event_id": "x" }));
        let body = serde_json::json!({ "accepted": 0, "results": results }).to_string().into_bytes();
        Answer { status: 200, body, took: Duration::from_millis(1), perhaps_repeated }
    }

    fn take(answers: &[Answer]) -> Sent {
        let mut sent = Sent::new().unwrap();
        let batch = Batch { seller: 0, form: Form::Array, repeat: Repeat::No, events: vec![4, 2] };
        sent.take(&batch, answers, Times { sent_us: 1, accepted_us: 2 }).unwrap();
        sent
    }

    #[test]
    fn a_repetition_that_is_accepted_again_is_told() {
        let good = take(&[answer(["accepted", "duplicate"], false), answer(["duplicate", "accepted"], false)]);
        assert_eq!((good.accepted_twice, good.duplicates, good.accepted.len()), (0, 2, 2));
        assert_eq!(take(&[answer(["accepted"; 2], false), answer(["accepted", "duplicate"], false)]).accepted_twice, 1);
    }

    #[test]
    fn a_duplicate_is_right_only_after_a_lost_answer() {
        assert_eq!(take(&[answer(["duplicate"; 2], true)]).accepted_twice, 0);
        assert_eq!(take(&[answer(["duplicate"; 2], false)]).accepted_twice, 2);
    }

    #[test]
    fn a_refused_event_is_not_part_of_the_model() {
        let sent = take(&[answer(["accepted", "rejected"], false)]);
        assert_eq!((sent.refused, sent.accepted), (1, vec![(4, Times { sent_us: 1, accepted_us: 2 })]));
    }

    #[test]
    fn events_are_written_as_the_interface_wants_them() {
        let event = Event { seller: 0, sku: 7, kind: Kind::Transfer, quantity: 3, warehouse: 0 };
        let text = serde_json::to_string(&event_out("r", 9, &event)).unwrap();
        assert_eq!(
            text,
            r#"{"event_id":"r-9","sku":"SKU-00007","kind":"transfer","quantity":3,"warehouse":"main","to_warehouse":"second"}"#
        );
        let sale = Event { kind: Kind::Sale, ..event };
        assert_eq!(
            serde_json::to_string(&event_out("r", 9, &sale)).unwrap(),
            r#"{"event_id":"r-9","sku":"SKU-00007","kind":"sale","quantity":3}"#
        );
    }
}
