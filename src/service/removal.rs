//! Deletes the rows of deleted sellers and removed stores, in small steps: the first ones at once, the rest by the
//! housekeeping.
use crate::db::removal::{Removals, delete_seller_step, removals};
use crate::db::{self, Db};
use crate::domain::{SellerId, StoreId, Timestamp};
use std::time::Duration;

/// Steps taken before the request is answered; a small seller or store has no more.
const STEPS_AT_ONCE: usize = 10;
/// The pause between two steps of the housekeeping.
const PAUSE: Duration = Duration::from_millis(20);

/// What was removed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Removed {
    Seller(SellerId),
    Store(SellerId, StoreId),
}

async fn step(db: &Db, removed: Removed, now: Timestamp) -> db::Result<bool> {
    match removed {
        Removed::Seller(seller) => db.write(move |conn| delete_seller_step(conn, seller)).await,
        Removed::Store(seller, store) => match db.seller(seller).write(move |t| t.remove_store_step(store, now)).await {
            // The seller was deleted meanwhile, with everything.
            Err(db::Error::NotFound) => Ok(true),
            done => done,
        },
    }
}

/// Takes the first steps. A failure is only logged: what is marked will be removed.
pub(super) async fn begin(db: &Db, removed: Removed, now: Timestamp) {
    for _ in 0..STEPS_AT_ONCE {
        match step(db, removed, now).await {
            Ok(false) => {}
            Ok(true) => return,
            Err(error) => {
                tracing::warn!(%error, ?removed, "the rows of what was removed could not be deleted; the housekeeping will try again");
                return;
            }
        }
    }
}

/// Deletes all rows that are left of deleted sellers and removed stores.
///
/// # Errors
/// If the database fails; calling it again continues.
pub async fn finish(db: &Db, now: Timestamp) -> db::Result<()> {
    let Removals { sellers, stores } = db.read(removals).await?;
    let stores = stores.into_iter().map(|(seller, store)| Removed::Store(seller, store));
    for removed in sellers.into_iter().map(Removed::Seller).chain(stores) {
        while !step(db, removed, now).await? {
            tokio::time::sleep(PAUSE).await;
        }
        tracing::info!(?removed, "the rows of what was removed are deleted");
    }
    Ok(())
}
