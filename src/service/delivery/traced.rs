//! The spans of one call: how long its pushes waited for their turn and for the limits, how long the platform took, and how long
//! its outcome took to save.
use crate::domain::claim::ClaimedCall;
use crate::domain::delivery::Outcome;
use crate::platforms::call::StoreConnection;
use crate::platforms::client::outcome_label;
use crate::traces::{self, Context, Kind, Span, Value};
use std::time::Duration;
use tokio::time::Instant;

/// When a call was permitted, and how long the limits had made it wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Permitted {
    pub at: Instant,
    pub waited: Duration,
}

/// A call that is traced.
pub(super) struct Traced {
    whole: Span,
    part: Option<Span>,
}

impl Traced {
    /// The call is about to be sent. `None` if it is not traced.
    pub fn begin(to: &StoreConnection, call: &ClaimedCall, permitted: Permitted) -> Option<Self> {
        let (mut whole, since) = traces::delivery("deliver", call.items.iter().map(|item| item.push))?;
        let context = whole.context();
        // The limits may have made the store wait since before there was this push.
        let limited_since = permitted.at.checked_sub(permitted.waited).unwrap_or(since).max(since);
        context.child_since("wait in queue", since).end_at(limited_since);
        context.child_since("wait for the limiter", limited_since).end_at(permitted.at);
        whole.note("store.id", Value::Text(to.store_id.to_string()));
        whole.note("platform", to.platform.as_str());
        whole.note("call.id", Value::Text(call.id.to_string()));
        whole.note("push.count", call.items.len());
        whole.note("push.ids", Value::ids(call.items.iter().map(|item| item.push)));
        let part = Some(context.child("call", Kind::Client));
        Some(Self { whole, part })
    }

    pub fn context(&self) -> Context {
        self.whole.context()
    }

    /// The platform has answered, or will not any more.
    pub fn answered(&mut self, outcome: &Outcome) {
        if let Some(mut call) = self.part.take() {
            call.note("outcome", outcome_label(outcome));
            if !matches!(outcome, Outcome::Answered(_)) {
                call.fail();
            }
        }
        self.part = Some(self.whole.context().child("save the outcome", Kind::Internal));
    }

    /// The outcome is saved.
    pub fn saved(mut self, confirmed: usize) {
        self.part = None;
        self.whole.note("push.confirmed", confirmed);
    }
}
