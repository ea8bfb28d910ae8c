//! Traces: where the time of one request went, from its arrival to the platform's answer, as spans that are sent by OTLP.
//!
//! Off until [`switch_on`] is called; then a request is traced if its `traceparent` says so, or by chance. What is not traced carries
//! `None`, and costs comparisons. A push that a traced request has caused is [remembered](remember) by its id, in memory, so that the
//! call that carries it continues the trace. Spans that have ended wait in a bounded queue for whoever sends them; what does not fit
//! is dropped and counted. Attributes are ids, numbers and words of this program, never the text of a request, an answer or an error, so never a secret.
mod memory;
pub mod otlp;
mod span;
pub mod w3c;

use crate::clock::Clock;
use crate::domain::PushId;
use crate::metrics;
use memory::Memory;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use span::{Context, Ended, Kind, MAX_IDS, Value};

/// The most spans that wait to be sent.
const MAX_WAITING: usize = 4096;
/// So many spans are sent at once.
const BATCH: usize = 512;

static TRACES: OnceLock<Traces> = OnceLock::new();

/// What is shared by all that is traced.
struct Traces {
    /// Of requests without a `traceparent`, one in so many is traced.
    one_in: u64,
    ended: Mutex<VecDeque<Ended>>,
    is_batch: Notify,
    memory: Mutex<Memory>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Traces from now on; false if it does already.
pub fn switch_on(one_in: u64) -> bool {
    let (ended, memory) = (Mutex::default(), Mutex::default());
    TRACES.set(Traces { one_in: one_in.max(1), ended, is_batch: Notify::new(), memory }).is_ok()
}

/// A span under way; it ends when it is dropped, unless it has ended before.
#[derive(Debug)]
pub struct Span {
    span: Ended,
    end_us: Option<i64>,
}

fn now_us() -> i64 {
    Clock::system().now_us()
}

fn us(of: Duration) -> i64 {
    i64::try_from(of.as_micros()).unwrap_or(i64::MAX)
}

impl Span {
    fn new((trace, parent): ([u8; 16], Option<[u8; 8]>), name: &'static str, kind: Kind, start_us: i64) -> Self {
        // Not all zeros, which means none.
        let context = Context { trace, span: rand::random::<u64>().max(1).to_be_bytes() };
        let (attributes, links) = (Vec::new(), Vec::new());
        let span = Ended { context, parent, name, kind, start_us, end_us: start_us, attributes, links, has_failed: false };
        Self { span, end_us: None }
    }

    /// By which others refer to it.
    pub fn context(&self) -> Context {
        self.span.context
    }

    /// Adds an attribute.
    pub fn note(&mut self, name: &'static str, value: impl Into<Value>) {
        self.span.attributes.push((name, value.into()));
    }

    /// What it is about has failed.
    pub fn fail(&mut self) {
        self.span.has_failed = true;
    }

    /// Refers to spans that have caused it, too, at most [`MAX_IDS`].
    pub fn link(&mut self, causes: impl IntoIterator<Item = Context>) {
        self.span.links.extend(causes.into_iter().take(MAX_IDS));
    }

    /// Ended at this instant.
    pub fn end_at(mut self, at: Instant) {
        self.end_us = Some(now_us() - us(at.elapsed()));
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(traces) = TRACES.get() else { return };
        let mut ended = self.span.clone();
        ended.end_us = self.end_us.unwrap_or_else(now_us).max(ended.start_us);
        let mut waiting = lock(&traces.ended);
        if waiting.len() >= MAX_WAITING {
            drop(waiting);
            return metrics::note(|metrics| metrics.spans("dropped", 1));
        }
        waiting.push_back(ended);
        if waiting.len() >= BATCH {
            traces.is_batch.notify_one();
        }
    }
}

impl Context {
    /// A part of it that begins now.
    pub fn child(&self, name: &'static str, kind: Kind) -> Span {
        Span::new((self.trace, Some(self.span)), name, kind, now_us())
    }

    /// A part of it that began at this instant.
    pub fn child_since(&self, name: &'static str, since: Instant) -> Span {
        Span::new((self.trace, Some(self.span)), name, Kind::Internal, now_us() - us(since.elapsed()))
    }

    /// For lines of the log: entered, it adds the trace's id to them.
    pub fn in_log(&self) -> tracing::Span {
        // Of the highest level, so that every filter by which anything is logged has it.
        tracing::error_span!("trace", trace_id = %hex::encode(self.trace))
    }
}

/// [`Context::in_log`], or nothing.
pub fn in_log(of: Option<Context>) -> tracing::Span {
    of.map_or_else(tracing::Span::none, |context| context.in_log())
}

/// The span of a request, if it is traced: one with a [`traceparent`](w3c) if that says so, others by chance.
pub fn request<'h>(name: &'static str, traceparent: impl FnOnce() -> Option<&'h str>) -> Option<Span> {
    let traces = TRACES.get()?;
    match traceparent().and_then(w3c::parse) {
        Some(w3c::Parent { trace, span, is_sampled }) => is_sampled.then(|| Span::new((trace, Some(span)), name, Kind::Server, now_us())),
        None => traces.by_chance(name, Kind::Server),
    }
}

impl Traces {
    fn by_chance(&self, name: &'static str, kind: Kind) -> Option<Span> {
        let trace = rand::random::<u128>().max(1).to_be_bytes();
        rand::random::<u64>().is_multiple_of(self.one_in).then(|| Span::new((trace, None), name, kind, now_us()))
    }
}

/// Remembers that what this span is about has caused these pushes.
pub fn remember(cause: Context, pushes: &[PushId]) {
    if let Some(traces) = TRACES.get() {
        lock(&traces.memory).add(cause, pushes, Instant::now());
    }
}

/// The span of a delivery of these pushes. It belongs to the trace that has caused the first of them and began with that cause; other
/// causes are linked. If none is known here, it is a trace of its own, by chance. `None` if it is not traced.
pub fn delivery(name: &'static str, pushes: impl IntoIterator<Item = PushId>) -> Option<(Span, Instant)> {
    let traces = TRACES.get()?;
    let mut causes = lock(&traces.memory).causes_of(pushes).into_iter();
    match causes.next() {
        None => traces.by_chance(name, Kind::Internal).map(|span| (span, Instant::now())),
        Some((first, since)) => {
            let mut span = first.child_since(name, since);
            span.link(causes.map(|(cause, _)| cause));
            Some((span, since))
        }
    }
}

/// The next spans to send, once there are many or this long has passed.
pub async fn next_batch(within: Duration) -> Vec<Ended> {
    let Some(traces) = TRACES.get() else { return Vec::new() };
    if lock(&traces.ended).len() < BATCH {
        tokio::time::timeout(within, traces.is_batch.notified()).await.ok();
    }
    let mut waiting = lock(&traces.ended);
    let count = waiting.len().min(BATCH);
    waiting.drain(..count).collect()
}
