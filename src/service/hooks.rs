//! Calls from platforms about shops that were connected through the operator's apps.
use super::apps::opened;
use super::checks::{answer_of, connect};
use super::connection::{Stale, Unanswered, connection, seal};
use super::context::{Caller, Service, audited};
use crate::db::apps::{app, append_operator_audit, is_in_operator_audit};
use crate::db::fleet::stores_of_shop;
use crate::db::grants::Grant;
use crate::db::{self, Tenant};
use crate::domain::delivery::Outcome;
use crate::domain::{SellerId, StoreId};
use crate::platforms::call::StoreConnection;
use crate::platforms::notice::{About, Notice, PlatformCall, Unheard};
use crate::platforms::sign::{EXPIRES_AT, REFRESH_ENDS_AT};
use crate::platforms::{identity, notices_of};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// What the audit logs call the one who acts.
const PLATFORM: &str = "platform";
/// The credentials that end with the grant. What the operator's app and the seller have entered stays.
const OF_THE_GRANT: [&str; 5] = ["access_token", "refresh_token", "auth_code", EXPIRES_AT, REFRESH_ENDS_AT];
/// A privacy request is noted once in this time, however often it is made or sent again.
const NOTED_ONCE_IN: Duration = Duration::from_secs(24 * 3600);
/// What is wrong with such a store.
const APP_REMOVED: &str = "The app was removed from the shop.";

/// Why a call changes nothing.
#[derive(Debug, thiserror::Error)]
pub enum NotHeard {
    /// This service does not listen to this platform, or the operator has no app there.
    #[error("there is no app for this platform")]
    NoApp,
    /// The platform has not signed it, or it is not what the platform documents.
    #[error("the call cannot be used")]
    Unheard(Unheard),
    /// The database does not allow it.
    #[error(transparent)]
    Rows(#[from] db::Error),
}

/// Hears a call: notes a privacy request for the operator, and returns the stores whose app is said to be removed.
///
/// # Errors
/// See [`NotHeard`].
pub async fn hear(service: &Service, platform: &str, call: PlatformCall<'_>) -> Result<Vec<(SellerId, StoreId)>, NotHeard> {
    let listener = notices_of(platform).ok_or(NotHeard::NoApp)?;
    let (name, now) = (platform.to_owned(), service.now());
    let row = service.db.read(move |conn| app(conn, &name)).await?.ok_or(NotHeard::NoApp)?;
    let opened = opened(&row, &service.sealer)?;
    let Notice { shop, about } = listener.notice(&opened, call).map_err(NotHeard::Unheard)?;
    match about {
        About::Other => Ok(Vec::new()),
        About::Privacy(request) => {
            let (subject, after) = (platform.to_owned(), json!({ "request": request, "shop": shop }));
            let note = move |conn: &mut db::Conn| {
                let what = ("privacy.requested", subject.as_str());
                match is_in_operator_audit(conn, what, &after, now - NOTED_ONCE_IN)? {
                    true => Ok(()),
                    false => append_operator_audit(conn, what, None, Some(&after), now),
                }
            };
            service.db.write(note).await?;
            Ok(Vec::new())
        }
        About::AppRemoved => {
            let Some(identity) = identity_of(platform, shop) else { return Ok(Vec::new()) };
            Ok(service.db.read(move |conn| stores_of_shop(conn, &identity, &row.client_id)).await?)
        }
    }
}

fn identity_of(platform: &str, shop: Map<String, Value>) -> Option<String> {
    identity::shop(&StoreConnection {
        store_id: StoreId(uuid::Uuid::nil()),
        platform: platform.to_owned(),
        base_url: None,
        config: shop,
        credentials: super::connection::Credentials::new(),
    })
}

/// Asks a store whether its app was removed. If it refuses its tokens, they are dropped and the store is held; if it does not, the
/// call was late, or sent again by somebody who had seen it, and nothing is changed.
///
/// # Errors
/// If the database fails. The next call to the store finds out, too.
pub async fn look_at(service: &Service, seller: SellerId, id: StoreId) -> db::Result<()> {
    let caller = Caller { db: service.db.seller(seller), name: PLATFORM.to_owned() };
    let Some(place) = service.outbound.take(seller, service.client.timeout()).await else { return Ok(()) };
    let store = match caller.db.read(move |t| t.store(id)).await {
        Err(db::Error::NotFound) => return Ok(()),
        store => store?,
    };
    // Those that cannot be opened say so already.
    let Ok(mut shop) = connect(service, &caller, &store) else { return Ok(()) };
    let refused = match answer_of(service, &caller, &mut shop).await {
        Err(Unanswered::Stale(Stale::Refused(_)) | Unanswered::NotRenewable { .. }) => true,
        Err(Unanswered::Outcome(outcome)) => matches!(outcome, Outcome::Unauthorized { .. }),
        Err(Unanswered::Stale(Stale::Database(error))) => return Err(error),
        Ok(_) | Err(Unanswered::Stale(Stale::TryAgain(_))) => false,
    };
    drop(place);
    if !refused {
        return Ok(());
    }
    let (sealer, now, used) = (service.sealer.clone(), service.now(), shop.credentials);
    let drop_tokens = move |t: &mut Tenant<'_>| {
        let mut store = t.store(id)?;
        let opened = connection(seller, &store, &sealer);
        let Ok(mut credentials) = opened.map(|shop| shop.credentials) else { return Ok(()) };
        // Somebody has authorized the app again meanwhile.
        if !super::connection::same(&credentials, &used) {
            return Ok(());
        }
        credentials.retain(|name, _| !OF_THE_GRANT.contains(&name.as_str()));
        let sealed = seal(seller, id, &credentials, &sealer).map_err(|error| db::Error::Unavailable(error.to_string()))?;
        (store.credentials, store.updated_at) = (sealed, now);
        t.save_store(&store)?;
        let grant = Grant { renew_at: None, ends_at: None, ..t.grant(id)? };
        t.save_grant(id, &grant)?;
        t.note_outcome(id, &Outcome::Unauthorized { reason: APP_REMOVED.to_owned() }, now)?;
        t.append_audit(&audited(PLATFORM, "store.app_removed", &store.name), now)
    };
    match caller.db.write(drop_tokens).await {
        Err(db::Error::NotFound) => Ok(()),
        done => done,
    }
}
