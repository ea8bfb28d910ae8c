//! Makes and sends the mails that are due, for the first node of each process, which finds out whether any are as it looks for work.
//! Several processes share the mails: each takes those that it sends.
use super::deps::Deps;
use crate::service::mailing::{Round, send_due};
use std::sync::Arc;

/// The most rounds in one go, so that a broken row cannot keep this busy.
const ROUNDS: usize = 1_000;

/// Sends until none is due, or the mail server takes none. A mail that is cut off is sent again a while later.
pub(super) async fn send(deps: Arc<Deps>) {
    let Some(post) = &deps.post else { return };
    for _ in 0..ROUNDS {
        match send_due(&deps.db, (post, &deps.clock), deps.settings.draw).await {
            // A server that takes none of them is tried again at the next look, with other mails.
            Ok(round) if round.taken == 0 => return,
            Ok(Round { due, taken }) => tracing::debug!(due, taken, "sent mails"),
            Err(error) => {
                tracing::warn!(%error, "could not send the mails that are due; trying again");
                return;
            }
        }
    }
}
