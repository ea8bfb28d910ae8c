//! Renewing tokens before they end, also those of stores without work. When is a column of the store's grant, so that every
//! process knows; whoever comes first takes the turn there.
use super::connection::{Renewals, Stale, connection};
use super::grants::{draw_of, grant_of};
use crate::clock::Clock;
use crate::db::fleet::{AppStore, due_grants, stores_without_grant};
use crate::db::grants::Grant;
use crate::db::sealing::Sealer;
use crate::db::{self, Db, SellerDb, Tenant};
use crate::domain::delivery::Outcome;
use crate::domain::{StoreId, grant};
use std::sync::Arc;

/// The most pages of stores in one round.
const MOST_PAGES: usize = 500;
/// The most stores whose tokens are renewed before others are looked at.
const AT_ONCE: i64 = 20;

/// Notes when to renew the tokens of stores that a former version has added.
///
/// # Errors
/// If the database fails; what is left is found the next time.
pub async fn adopt(db: &Db, sealer: &Arc<Sealer>, clock: &Clock) -> db::Result<()> {
    loop {
        let found = db.read(|conn| stores_without_grant(conn, AT_ONCE)).await?;
        for AppStore { seller, store } in &found {
            let (id, now, row, sealer, seller) = (store.id, clock.now(), store.clone(), Arc::clone(sealer), *seller);
            let note = move |t: &mut Tenant<'_>| {
                let credentials = connection(seller, &row, &sealer).map(|opened| opened.credentials).unwrap_or_default();
                t.save_grant(id, &grant_of(id, &credentials, None, now))
            };
            db.seller(seller).write(note).await?;
        }
        if found.is_empty() {
            return Ok(());
        }
    }
}

/// Renews the tokens that are due, one store after the other. Returns how many were due.
///
/// # Errors
/// If the database fails; what is due stays so.
pub async fn renew_due(db: &Db, renewals: &Renewals, clock: &Clock) -> db::Result<usize> {
    let mut total = 0;
    for _ in 0..MOST_PAGES {
        let now = clock.now();
        let due = db.read(move |conn| due_grants(conn, now, AT_ONCE)).await?;
        for (seller, store) in &due {
            renew(&db.seller(*seller), *store, renewals, clock).await?;
        }
        total += due.len();
        if due.is_empty() {
            break;
        }
    }
    Ok(total)
}

async fn renew(db: &SellerDb, id: StoreId, renewals: &Renewals, clock: &Clock) -> db::Result<()> {
    let row = match db.read(move |t| t.store(id)).await {
        Err(db::Error::NotFound) => return db.write(move |t| t.delete_grant(id)).await,
        row => row?,
    };
    let renewed = match connection(db.id(), &row, renewals.sealer()) {
        Ok(old) => renewals.renew_ahead(db, &old).await,
        // Its row says so already; another key may open them.
        Err(error) => Err(Stale::TryAgain(error.to_string())),
    };
    let now = clock.now();
    match renewed {
        // Saved with its next time.
        Ok(Some(_)) => Ok(()),
        // There is nothing to renew any more.
        Ok(None) => put_off(db, id, move |grant| Grant { renew_at: None, ..grant }).await,
        Err(Stale::Database(error)) => Err(error),
        Err(Stale::TryAgain(reason)) => {
            tracing::debug!(store.id = %id, platform = row.platform, reason, "a store's tokens could not be renewed ahead of time; trying again");
            let draw = draw_of(id);
            put_off(db, id, move |grant| Grant { renew_at: Some(grant::try_again_at(now, grant.ends_at, draw)), ..grant }).await
        }
        Err(Stale::Refused(reason)) => {
            tracing::info!(store.id = %id, platform = row.platform, reason, "a store's platform no longer renews its tokens");
            let draw = draw_of(id);
            put_off(db, id, move |grant| Grant { renew_at: Some(grant::try_again_at(now, grant.ends_at, draw)), ..grant }).await?;
            let refused = Outcome::Unauthorized { reason };
            match db.write(move |t| t.note_outcome(id, &refused, now)).await {
                Err(db::Error::NotFound) => Ok(()),
                noted => noted,
            }
        }
    }
}

async fn put_off(db: &SellerDb, id: StoreId, change: impl Fn(Grant) -> Grant + Send + 'static) -> db::Result<()> {
    let saved = db.write(move |t| {
        t.store(id)?;
        let grant = change(t.grant(id)?);
        t.save_grant(id, &grant)
    });
    match saved.await {
        Err(db::Error::NotFound) => Ok(()),
        saved => saved,
    }
}
