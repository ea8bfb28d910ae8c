//! `/v1/stream`: server-sent events for a seller when a push, a sync run or the status of a store changes.
//!
//! Each stream polls the rows, so it reports changes made by any node. It is meant for people who watch, not as a log: if
//! more changes than it can send, it sends the newest. The number of streams is limited. A stream ends after a while, when
//! browsers reconnect on their own, when the service stops, and at the first poll after its reader lost the right to read: a
//! revoked key, a session that was ended, a suspended or deleted seller.
use super::auth::{Caller, Right, right_by_key};
use super::console::session::caller_by_cookie;
use super::error::Problem;
use super::open_streams::{MAX_AGE, Ticket};
use super::pushes::PushAnswer;
use super::state::{Answer, State};
use super::syncs::SyncAnswer;
use crate::db::Tenant;
use crate::db::runs::Run;
use crate::domain::limits::MAX_STORES;
use crate::domain::{PushId, RunId, StoreId, Timestamp};
use crate::service::stores::{StoreState, state_of};
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest, HttpResponse, get};
use futures_util::StreamExt;
use futures_util::stream::unfold;
use serde::Serialize;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::time::Instant;

/// How often a stream polls the rows.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// A pause lasts at least this many times as long as the poll before it, so that streams spend under a tenth of their time
/// polling.
const PAUSE_FACTOR: u32 = 10;
/// Each poll overlaps the previous one by this much, because rows become visible a little after their own timestamps.
const OVERLAP: Duration = Duration::from_secs(5);
/// How far back a reconnecting client can resume.
const RESUME_WITHIN: Duration = Duration::from_secs(60);
/// The most changes of one kind that one poll sends.
const MAX_PER_POLL: i64 = 200;
/// A comment is sent after this long without events, so that proxies keep the connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The status of a store.
#[derive(Clone, PartialEq, Serialize, utoipa::ToSchema)]
struct StoreStatus {
    id: StoreId,
    name: String,
    state: StoreState,
    /// While the store is not responding: when it will be tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    circuit_open_until: Option<Timestamp>,
    problem: Option<String>,
    last_success_at: Option<Timestamp>,
}

/// Streams server-sent events `push`, `run` and `store`, each with the current state of what changed. Meant for people who
/// watch: if too much changes at once, only the newest changes are sent. Accepts a key or a session of the console.
#[utoipa::path(tag = "records", security(("seller_key" = [])),
    responses((status = 200, description = "Events `push`, `run` and `store`.", content_type = "text/event-stream", body = String),
        (status = 401, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
#[get("/v1/stream")]
pub async fn stream(request: HttpRequest, state: State) -> Answer {
    let (caller, right) = if request.headers().contains_key(AUTHORIZATION) {
        (Caller::extract(&request).await?, right_by_key(&request)?)
    } else {
        caller_by_cookie(&state, &request).await?
    };
    let ticket = state.console.streams.take(caller.db.id())?;
    let now = state.now();
    let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok()).map(Timestamp::from_millis);
    let resumed_from = last.map(|last| last.clamp(now - RESUME_WITHIN, now));
    let stopping = state.console.stopping.clone();
    let watch = Watch::new(caller, right, state, ticket, resumed_from);
    let events = unfold(watch, |mut watch| async move {
        let text = watch.next().await?;
        Some((Ok::<Bytes, actix_web::Error>(Bytes::from(text)), watch))
    });
    let events = events.take_until(async move { stopping.cancelled().await }).take_until(tokio::time::sleep(MAX_AGE));
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // Neither compression here nor buffering in a proxy may delay events.
        .insert_header((CONTENT_ENCODING, "identity"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(Box::pin(events)))
}

/// What one stream has seen of the rows.
struct Watch {
    caller: Caller,
    right: Right,
    state: State,
    _ticket: Ticket,
    started: bool,
    /// Whether the client has seen an earlier stream, so that the first poll also sends what has changed since then.
    resumed: bool,
    /// Changes up to this instant have been sent.
    since: Timestamp,
    pause: Duration,
    /// What was sent recently, so that the overlap sends nothing twice.
    pushes: HashMap<PushId, Timestamp>,
    runs: HashMap<RunId, Run>,
    stores: HashMap<StoreId, StoreStatus>,
}

impl Watch {
    fn new(caller: Caller, right: Right, state: State, ticket: Ticket, resumed_from: Option<Timestamp>) -> Self {
        let since = resumed_from.unwrap_or_else(|| state.now());
        Self {
            caller,
            right,
            state,
            _ticket: ticket,
            started: false,
            resumed: resumed_from.is_some(),
            since,
            pause: Duration::ZERO,
            pushes: HashMap::new(),
            runs: HashMap::new(),
            stores: HashMap::new(),
        }
    }

    /// Waits for the next text to send; `None` ends the stream.
    async fn next(&mut self) -> Option<String> {
        if !self.started {
            // For a new client, the first poll only establishes the current state.
            let missed = self.poll(!self.resumed).await.ok()?;
            self.started = true;
            return Some(format!("retry: 3000\n\n{missed}"));
        }
        let quiet_since = Instant::now();
        loop {
            tokio::time::sleep(self.pause).await;
            match self.poll(false).await {
                Ok(text) if !text.is_empty() => return Some(text),
                Ok(_) if quiet_since.elapsed() >= KEEP_ALIVE => return Some(": still here\n\n".to_owned()),
                Ok(_) => {}
                Err(crate::db::Error::NotFound) => return None,
                Err(error) => tracing::debug!(%error, "a stream could not read the rows; retrying"),
            }
        }
    }

    /// Reads the rows and returns what has changed as events; if `silently`, only remembers the rows.
    ///
    /// # Errors
    /// [`NotFound`](crate::db::Error::NotFound) once the reader may not read any more.
    async fn poll(&mut self, silently: bool) -> Result<String, crate::db::Error> {
        let started_at = Instant::now();
        let (since, now) = (self.since - OVERLAP, self.state.now());
        let (seller, right) = (self.caller.db.id(), self.right.clone());
        let (pushes, runs, stores, circuits) = self
            .state
            .db
            .read_of(seller, move |conn| {
                let t = &mut Tenant::of(conn, seller);
                // What was written before the clock was set back would crowd out what changes now.
                let pushes = t.pushes_changed_between(since, now + OVERLAP, MAX_PER_POLL)?;
                let runs = t.live_runs(since, MAX_PER_POLL)?;
                let read = (pushes, runs, t.stores(None, MAX_STORES)?, t.open_circuits(now)?);
                // Checked after the rows were read, so that no row is sent that was written after the right ended.
                if right.holds(conn, now)? { Ok(read) } else { Err(crate::db::Error::NotFound) }
            })
            .await?;
        let mut events = Events { text: String::new(), id: now.as_millis() };
        for push in pushes.into_iter().rev() {
            if self.pushes.insert(push.id(), push.updated_at()) != Some(push.updated_at()) && !silently {
                events.add("push", &PushAnswer::from(push));
            }
        }
        self.pushes.retain(|_, at| *at > since);
        let sent = std::mem::take(&mut self.runs);
        for run in runs.into_iter().rev() {
            if sent.get(&run.id) != Some(&run) && !silently {
                events.add("run", &SyncAnswer::new(run.clone(), now));
            }
            self.runs.insert(run.id, run);
        }
        let sent = std::mem::take(&mut self.stores);
        for store in stores {
            let status = StoreStatus {
                id: store.id,
                state: state_of(&store, now),
                circuit_open_until: circuits.get(&store.id).copied(),
                problem: store.problem,
                last_success_at: store.last_success_at,
                name: store.name,
            };
            if sent.get(&status.id) != Some(&status) && !silently {
                events.add("store", &status);
            }
            self.stores.insert(status.id, status);
        }
        self.since = now;
        self.pause = POLL_INTERVAL.max(started_at.elapsed() * PAUSE_FACTOR);
        Ok(events.text)
    }
}

struct Events {
    text: String,
    id: i64,
}

impl Events {
    fn add(&mut self, kind: &str, value: &impl Serialize) {
        // JSON on one line contains no line break, so its content cannot forge another event.
        let data = serde_json::to_string(value).unwrap_or_default();
        write!(self.text, "event: {kind}\nid: {}\ndata: {data}\n\n", self.id).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_of_an_event_cannot_forge_another() {
        let mut events = Events { text: String::new(), id: 1 };
        events.add("push", &serde_json::json!({"reason": "a\n\nevent: run\ndata: {}"}));
        assert_eq!(events.text.lines().filter(|line| line.starts_with("event:")).count(), 1);
    }
}
