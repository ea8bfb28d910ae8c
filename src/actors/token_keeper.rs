//! Has tokens renewed before they end, in the first node of each process. A batch goes on when its node ends, because a platform
//! may have handed out tokens that are not saved yet; the process waits for it ([`Deps::upkeep`]).
use super::deps::Deps;
use crate::service::renewing::{adopt, renew_due};
use std::sync::Arc;
use std::time::Duration;

/// How often to look: a token that ends within less is renewed when it is used.
const EVERY: Duration = Duration::from_secs(600);

/// Looks for tokens to renew until it is dropped.
pub(super) async fn keep(deps: Arc<Deps>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let deps = Arc::clone(&deps);
        let batch = actix::spawn(async move {
            let _under_way = deps.upkeep.lock().await;
            if let Err(error) = adopt(&deps.db, &deps.sealer, &deps.clock).await {
                tracing::debug!(%error, "could not note when to renew tokens; trying again");
            }
            match renew_due(&deps.db, &deps.renewals, &deps.clock).await {
                Ok(0) => {}
                Ok(stores) => tracing::debug!(stores, "looked after tokens that were due"),
                Err(error) => tracing::warn!(%error, "could not look for tokens to renew; trying again"),
            }
        });
        batch.await.ok();
    }
}
