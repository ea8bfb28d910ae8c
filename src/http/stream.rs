//! `/v1/stream`: server-sent events of what changes for a seller: pushes, runs, how stores stand.
//!
//! Each stream looks at the rows now and then, so it tells what happens on every node; it is for people who watch, not
//! a log: what changes faster than it is told is left out in favour of the newest. Streams are counted and bounded, and
//! end after a while (browsers come back by themselves) and when the service stops.
use super::auth::Caller;
use super::console::session::caller_by_cookie;
use super::error::Problem;
use super::open_streams::{MAX_AGE, Ticket};
use super::pushes::PushAnswer;
use super::stores::{StoreState, state_of};
use super::syncs::SyncAnswer;
use super::{Answer, State};
use crate::db::runs::Run;
use crate::domain::limits::MAX_STORES;
use crate::domain::{PushId, RunId, StoreId, Timestamp};
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

/// How often a stream looks at the rows.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A look that takes long is followed by a pause so many times as long, so that watching never costs more than a tenth.
const PAUSE_FACTOR: u32 = 10;
/// Rows become visible a little after the instant that stands in them.
const OVERLAP: Duration = Duration::from_secs(5);
/// How far back a stream that was cut off is taken up.
const LOOK_BACK: Duration = Duration::from_secs(60);
/// Changes of one kind told at once, at most.
const MOST_AT_ONCE: i64 = 200;
/// Something is sent at least so often, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How a store stands.
#[derive(Clone, PartialEq, Serialize, utoipa::ToSchema)]
struct StoreStanding {
    id: StoreId,
    name: String,
    state: StoreState,
    /// While it keeps failing: until when it is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    circuit_open_until: Option<Timestamp>,
    problem: Option<String>,
    last_success_at: Option<Timestamp>,
}

/// Server-sent events of this seller: `push`, `run` and `store`, each with the thing as it stands now. For people who
/// watch: when more changes than can be told, the newest is told. Opened by a key or by a session of the console.
#[utoipa::path(tag = "records", security(("seller_key" = [])),
    responses((status = 200, description = "Events `push`, `run` and `store`.", content_type = "text/event-stream", body = String),
        (status = 401, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
#[get("/v1/stream")]
pub async fn stream(request: HttpRequest, state: State) -> Answer {
    let caller = if request.headers().contains_key(AUTHORIZATION) {
        Caller::extract(&request).await?
    } else {
        caller_by_cookie(&state, &request).await?
    };
    let ticket = state.console.streams.take(caller.db.id())?;
    let now = state.now();
    let last = request.headers().get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok()).map(Timestamp::from_millis);
    let since = last.map_or(now, |last| last.clamp(now - LOOK_BACK, now));
    let stopping = state.console.stopping.clone();
    let watch = Watch::new(caller, state, ticket, since);
    let events = unfold(watch, |mut watch| async move {
        let text = watch.next().await?;
        Some((Ok::<Bytes, actix_web::Error>(Bytes::from(text)), watch))
    });
    let events = events.take_until(async move { stopping.cancelled().await }).take_until(tokio::time::sleep(MAX_AGE));
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // Neither our compression nor a proxy's buffer may hold events back.
        .insert_header((CONTENT_ENCODING, "identity"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(Box::pin(events)))
}

/// One stream's view of the rows.
struct Watch {
    caller: Caller,
    state: State,
    _ticket: Ticket,
    begun: bool,
    /// Changes up to here were told.
    since: Timestamp,
    pause: Duration,
    /// What was told of late, so that the overlap tells nothing twice.
    pushes: HashMap<PushId, Timestamp>,
    runs: HashMap<RunId, Run>,
    stores: HashMap<StoreId, StoreStanding>,
}

impl Watch {
    fn new(caller: Caller, state: State, ticket: Ticket, since: Timestamp) -> Self {
        Self {
            caller,
            state,
            _ticket: ticket,
            begun: false,
            since,
            pause: Duration::ZERO,
            pushes: HashMap::new(),
            runs: HashMap::new(),
            stores: HashMap::new(),
        }
    }

    /// What to send next; waits until there is something.
    async fn next(&mut self) -> Option<String> {
        if !self.begun {
            // The first look only learns how things stand.
            self.look(true).await.ok()?;
            self.begun = true;
            return Some("retry: 3000\n\n".to_owned());
        }
        let quiet_since = Instant::now();
        loop {
            tokio::time::sleep(self.pause).await;
            match self.look(false).await {
                Ok(text) if !text.is_empty() => return Some(text),
                Ok(_) if quiet_since.elapsed() >= KEEP_ALIVE => return Some(": still here\n\n".to_owned()),
                Ok(_) => {}
                Err(crate::db::Error::NotFound) => return None,
                Err(error) => tracing::debug!(%error, "a stream could not look at the rows; trying again"),
            }
        }
    }

    /// Looks at the rows; what is new in them, as events.
    async fn look(&mut self, first: bool) -> Result<String, crate::db::Error> {
        let began = Instant::now();
        let (since, now) = (self.since - OVERLAP, self.state.now());
        let (pushes, runs, stores, circuits) = self
            .caller
            .db
            .read(move |t| {
                let pushes = t.pushes_changed_since(since, MOST_AT_ONCE)?;
                let runs = t.live_runs(since, MOST_AT_ONCE)?;
                Ok((pushes, runs, t.stores(None, MAX_STORES)?, t.open_circuits(now)?))
            })
            .await?;
        let mut events = Events { text: String::new(), id: now.as_millis() };
        for push in pushes.into_iter().rev() {
            if self.pushes.insert(push.id(), push.updated_at()) != Some(push.updated_at()) && (!first || push.updated_at() > self.since) {
                events.add("push", &PushAnswer::from(push));
            }
        }
        self.pushes.retain(|_, at| *at > since);
        let told = std::mem::take(&mut self.runs);
        for run in runs.into_iter().rev() {
            if told.get(&run.id) != Some(&run) && !first {
                events.add("run", &SyncAnswer::new(run.clone(), now));
            }
            self.runs.insert(run.id, run);
        }
        let told = std::mem::take(&mut self.stores);
        for store in stores {
            let standing = StoreStanding {
                id: store.id,
                state: state_of(&store),
                circuit_open_until: circuits.get(&store.id).copied(),
                problem: store.problem,
                last_success_at: store.last_success_at,
                name: store.name,
            };
            if told.get(&standing.id) != Some(&standing) && !first {
                events.add("store", &standing);
            }
            self.stores.insert(standing.id, standing);
        }
        self.since = now;
        self.pause = LOOK_EVERY.max(began.elapsed() * PAUSE_FACTOR);
        Ok(events.text)
    }
}

struct Events {
    text: String,
    id: i64,
}

impl Events {
    fn add(&mut self, kind: &str, of: &impl Serialize) {
        // JSON on one line holds no line break, so no event can be forged from what stands in it.
        let data = serde_json::to_string(of).unwrap_or_default();
        write!(self.text, "event: {kind}\nid: {}\ndata: {data}\n\n", self.id).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_event_can_be_forged_from_what_stands_in_one() {
        let mut events = Events { text: String::new(), id: 1 };
        events.add("push", &serde_json::json!({"reason": "a\n\nevent: run\ndata: {}"}));
        assert_eq!(events.text.lines().filter(|line| line.starts_with("event:")).count(), 1);
    }
}
