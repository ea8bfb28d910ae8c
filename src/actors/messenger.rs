//! Sends the messages of webhooks, in the first node of each process. Several processes share them: each takes those that it sends.
use super::deps::Deps;
use crate::service::webhooks::send_due;
use std::sync::Arc;

/// The most rounds between two pauses, so that a broken row cannot keep this busy.
const ROUNDS: usize = 1_000;

/// Looks for messages to send until it is dropped. A message that is cut off is sent again a while later.
pub(super) async fn keep(deps: Arc<Deps>) {
    loop {
        tokio::time::sleep(deps.settings.poll_every).await;
        for _ in 0..ROUNDS {
            match send_due(&deps.db, (&deps.client, &deps.sealer, &deps.clock), deps.settings.draw).await {
                Ok(0) => break,
                Ok(messages) => tracing::debug!(messages, "sent messages of webhooks"),
                Err(error) => {
                    tracing::warn!(%error, "could not send the messages of webhooks; trying again");
                    break;
                }
            }
        }
    }
}
