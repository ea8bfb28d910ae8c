//! Answers that took long are not given to somebody who has lost the right to them meanwhile: a revoked key, a session that
//! was ended, a suspended or deleted seller. Streams look for themselves.
use super::auth::Right;
use super::error::ApiError;
use super::state::State;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, ResponseError};
use std::time::Duration;
use tokio::time::Instant;

/// An answer that took longer is checked again.
const LATE_AFTER: Duration = Duration::from_secs(1);

/// Refuses a late answer if the right to it has ended.
pub async fn refuse_late<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let started = Instant::now();
    let answer = next.call(request).await?;
    // An error of the server says nothing about the seller, and a database that does not answer would be asked once more.
    let is_due = started.elapsed() >= LATE_AFTER && !answer.status().is_server_error();
    let right = answer.request().extensions().get::<Right>().cloned().filter(|_| is_due);
    let state = answer.request().app_data::<State>().cloned();
    let (Some(right), Some(state)) = (right, state) else { return Ok(answer.map_into_left_body()) };
    let now = state.now();
    let refusal = match state.db.read(move |conn| right.holds(conn, now)).await {
        Ok(true) => return Ok(answer.map_into_left_body()),
        Ok(false) => ApiError::unauthorized("The key was revoked or the session ended before the answer was ready."),
        Err(error) => error.into(),
    };
    Ok(answer.into_response(refusal.error_response()).map_into_right_body())
}
