//! One request and its reply, or what the absence of a reply means.
use super::replies::dated;
use crate::clock::Clock;
use crate::domain::delivery::Outcome;
use crate::platforms::call::{Reply, Request};
use crate::platforms::interference;
use crate::platforms::limits::Permit;
use crate::platforms::transport::{SendError, Transport};
use futures_util::future::BoxFuture;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// What a request may take longer than its timeout, before it is given up from outside.
const GRACE: Duration = Duration::from_millis(500);

/// Whether a request may still be sent: asked as the last thing before it is.
pub type MaySend = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// Waits until a call with this permit may leave. That it may be sent is made sure of before each look at the limits, because that may
/// take a transaction: if it came after, the next call would follow sooner than the limits allow.
pub(super) async fn depart(permit: Option<&Permit>, may_send: Option<&MaySend>) {
    loop {
        if let Some(may_send) = may_send
            && !may_send().await
        {
            return;
        }
        match permit.and_then(Permit::try_depart) {
            Some(wait) => tokio::time::sleep(wait).await,
            None => return,
        }
    }
}

/// Sends a request, which may take this long, if it may be sent. Returns the complete reply, or what its absence means.
pub(super) async fn exchange(
    request: Request,
    (transport, timeout): (&dyn Transport, Duration),
    may_send: Option<&MaySend>,
    clock: &Clock,
) -> Result<Reply, Outcome> {
    if let Some(may_send) = may_send
        && !may_send().await
    {
        let reason = "It was not sent, because another node works for this seller now.".to_owned();
        return Err(Outcome::TryAgain { reason, after: None, throttled: false });
    }
    let longest = timeout + GRACE;
    let (mut reply, given_up_at) = (transport.send(request, timeout), Instant::now() + longest);
    // A timer alone would not do: after the process was frozen, the request might go on before the timer is looked at.
    let reply = poll_fn(|cx| if Instant::now() >= given_up_at { Poll::Ready(None) } else { reply.as_mut().poll(cx).map(Some) });
    match tokio::time::timeout(longest, reply).await {
        Ok(Some(Ok(reply))) => Ok(normalized(reply, clock)),
        Ok(Some(Err(SendError::NotConnected(why)))) => {
            Err(Outcome::TryAgain { reason: format!("The store could not be reached ({why})."), after: None, throttled: false })
        }
        Ok(Some(Err(SendError::Lost(why)))) => Err(lost(&why)),
        Ok(Some(Err(SendError::TooLarge))) => Err(Outcome::Unknown { reason: TOO_LARGE.to_owned() }),
        Ok(None) | Err(_) => Err(lost("timeout")),
    }
}

/// Sends a message to a receiver that is no store. Returns the status of the answer, or why there is none.
pub(super) async fn post(request: Request, (transport, timeout): (&dyn Transport, Duration)) -> Result<u16, String> {
    match tokio::time::timeout(timeout, transport.send(request, timeout)).await {
        Ok(Ok(reply)) => Ok(reply.status),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer: timeout".to_owned()),
    }
}

/// The reply without noise before its body, and dated.
fn normalized(mut reply: Reply, clock: &Clock) -> Reply {
    let body = interference::without_noise(&reply.body);
    if body.len() < reply.body.len() {
        reply.body = body.to_owned();
    }
    dated(reply, clock.now())
}

/// The reason of an outcome whose answer was too large. The store is alive, so this is no failure of the store.
const TOO_LARGE: &str = "The store's answer is too large to be read.";

pub(super) fn is_too_large(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unknown { reason } if reason == TOO_LARGE)
}

fn lost(why: &str) -> Outcome {
    Outcome::Unknown { reason: format!("The store did not answer ({why}).") }
}
