//! Sends the messages of webhooks that are due, for the first node of each process, which finds out whether any are as it looks for
//! work. Several processes share the messages: each takes those that it sends.
use super::deps::Deps;
use crate::service::webhooks::send_due;
use std::sync::Arc;

/// The most rounds in one go, so that a broken row cannot keep this busy.
const ROUNDS: usize = 1_000;

/// Sends until none is due. A message that is cut off is sent again a while later.
pub(super) async fn send(deps: Arc<Deps>) {
    for _ in 0..ROUNDS {
        match send_due(&deps.db, (&deps.client, &deps.sealer, &deps.clock), deps.settings.draw).await {
            Ok(0) => return,
            Ok(messages) => tracing::debug!(messages, "sent messages of webhooks"),
            Err(error) => {
                tracing::warn!(%error, "could not send the messages of webhooks; trying again");
                return;
            }
        }
    }
}
