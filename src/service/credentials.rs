//! Whether the stores' credentials can be opened with the key that the service was started with. A store whose credentials
//! cannot be opened is held and says why, in its row, so that every page and answer that shows stores shows it.
use crate::clock::Clock;
use crate::db::fleet::{SealedStore, sealed_apps, sealed_stores};
use crate::db::sealing::{Owner, Sealer};
use crate::db::{Db, Result, Tenant};
use crate::domain::access::CREDENTIALS_UNREADABLE;
use crate::metrics;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait before another attempt while the database does not answer.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// How many stores' and apps' credentials can be opened, and how many cannot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Openable {
    /// Those that can.
    pub opened: usize,
    /// Those that were sealed under another key, or are damaged.
    pub unopened: usize,
}

/// Opens the credentials of all stores and of the operator's apps, and changes nothing.
///
/// # Errors
/// If the database does not answer.
pub async fn look(db: &Db, sealer: &Arc<Sealer>) -> Result<Openable> {
    let Openable { mut opened, mut unopened } = each(db, sealer, async |_, _| Ok(())).await?;
    for app in db.read(sealed_apps).await? {
        let opens = sealer.open_for(Owner::App(&app.platform), &app.secret).is_ok();
        *(if opens { &mut opened } else { &mut unopened }) += 1;
    }
    Ok(Openable { opened, unopened })
}

/// Holds the stores whose credentials cannot be opened, and releases those that were held for that and can be opened now.
/// Waits for the database, which the service does not need in order to start.
pub async fn keep_marked(db: Db, sealer: Arc<Sealer>, clock: Clock) {
    loop {
        let mark = async |store: &SealedStore, opens: bool| {
            let is_marked = store.problem.as_deref() == Some(CREDENTIALS_UNREADABLE);
            if opens != is_marked {
                return Ok(());
            }
            let (id, now) = (store.id, clock.now());
            let seller = db.seller(store.seller);
            let mark =
                move |t: &mut Tenant<'_>| if opens { t.release_store(id, now).map(drop) } else { t.note_unreadable_credentials(id, now) };
            seller.write(mark).await
        };
        let found = each(&db, &sealer, mark).await;
        if let Ok(Openable { unopened, .. }) = found {
            metrics::note(|metrics| metrics.unreadable_credentials.set(i64::try_from(unopened).unwrap_or(i64::MAX)));
        }
        match found {
            Ok(Openable { unopened: 0, .. }) => return,
            Ok(Openable { unopened, .. }) => {
                tracing::error!(
                    stores = unopened,
                    "the credentials of stores were sealed under another key, so nothing is sent to them; give that key as credential_key_previous"
                );
                return;
            }
            Err(error) => tracing::debug!(%error, "could not look for credentials that were sealed under another key; trying again"),
        }
        tokio::time::sleep(TRY_AGAIN_AFTER).await;
    }
}

/// Calls `then` with every store that has credentials, and whether they can be opened.
async fn each(db: &Db, sealer: &Arc<Sealer>, then: impl AsyncFn(&SealedStore, bool) -> Result<()>) -> Result<Openable> {
    let (mut found, mut after) = (Openable::default(), None);
    loop {
        let page = db.read(move |conn| sealed_stores(conn, after)).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some((last.seller, last.id));
        for store in page {
            let Some(sealed) = &store.sealed else { continue };
            let opens = sealer.open(store.seller, store.id, sealed).is_ok();
            *(if opens { &mut found.opened } else { &mut found.unopened }) += 1;
            then(&store, opens).await?;
        }
    }
}
