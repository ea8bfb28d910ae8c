//! The shop that a store is: connected once by a seller, however it is entered.
use super::connection::Credentials;
use super::context::audited;
use super::pauses::record_store;
use crate::db::stores::Store;
use crate::db::{self, Error, Tenant};
use crate::domain::limits::MAX_STORES;
use crate::domain::{FieldError, StoreId, Timestamp};
use crate::platforms::call::StoreConnection;
use crate::platforms::identity;
use serde_json::json;

/// How its connector sees a store with these credentials.
pub(super) fn connection_of(store: &Store, credentials: &Credentials) -> StoreConnection {
    StoreConnection {
        store_id: store.id,
        platform: store.platform.clone(),
        base_url: store.base_url.clone(),
        config: serde_json::from_str(&store.config).unwrap_or_default(),
        credentials: credentials.clone(),
    }
}

/// The shop that a store is, as far as its settings tell.
pub(super) fn shop_of(store: &Store) -> Option<String> {
    identity::shop(&connection_of(store, &Credentials::new()))
}

/// The shop that a store is, by the name that its platform gives in answer to a check.
pub(super) fn named_shop_of(store: &Store, name: &str) -> Option<String> {
    identity::shop_by_name(&connection_of(store, &Credentials::new()), name)
}

/// Refuses a store that is the same shop as another one of the seller's: each of its sales and increases would count twice.
/// Stores of former versions have no `shop`, so all of them are compared.
pub(super) fn check_shop_is_new(t: &mut Tenant<'_>, store: &Store) -> db::Result<()> {
    match other_store_of(t, store, shop_of(store).as_ref())? {
        None => Ok(()),
        Some(other) => {
            Err(Error::ConflictAt(FieldError::new(identity::field(&connection_of(store, &Credentials::new())), connected_as(&other))))
        }
    }
}

/// Notes which shop a store is that has just answered a check. If an earlier store is the same shop, this one is paused, and
/// the inner result is a conflict.
pub(super) fn take_identity(
    t: &mut Tenant<'_>,
    actor: &str,
    store: StoreId,
    name: Option<&str>,
    now: Timestamp,
) -> db::Result<db::Result<()>> {
    let mut store = t.store(store)?;
    let Some(shop) = name.and_then(|name| named_shop_of(&store, name)).or_else(|| shop_of(&store)) else { return Ok(Ok(())) };
    match other_store_of(t, &store, Some(&shop))? {
        // Ids are in the order in which stores were added, so of two stores of former versions the second is refused.
        Some(other) if other.id < store.id => return pause_second(t, actor, store, &other, now).map(Err),
        Some(other) if other.shop.as_ref() == Some(&shop) => return Ok(Ok(())),
        _ => {}
    }
    if store.shop.as_ref() != Some(&shop) {
        (store.shop, store.updated_at) = (Some(shop), now);
        t.save_store(&store)?;
    }
    Ok(Ok(()))
}

/// Pauses a store that is the same shop as `first`. Returns what to answer.
fn pause_second(t: &mut Tenant<'_>, actor: &str, store: Store, first: &Store, now: Timestamp) -> db::Result<Error> {
    let detail = connected_as(first);
    if !store.paused {
        let problem = format!("This store is paused, because {detail}. Remove one of the two stores.");
        let paused = Store { paused: true, problem: Some(problem), updated_at: now, ..store.clone() };
        t.save_store(&paused)?;
        record_store(t, store.id, true, (actor, None), now)?;
        t.hold_store(store.id, now)?;
        let mut entry = audited(actor, "store.changed", &store.name);
        (entry.before, entry.after) = (Some(json!({ "paused": false })), Some(json!({ "paused": true, "problem": paused.problem })));
        t.append_audit(&entry, now)?;
    }
    Ok(Error::Conflict(format!("{detail}. This store is paused; remove one of the two")))
}

/// The store that gets the credentials of a shop that was connected by consent: the one that was to be authorized again, or one of
/// the same shop that waits for that. `None` if a store is added. The error is the name of the store whose shop it is not.
pub(super) fn store_to_authorize(
    t: &mut Tenant<'_>,
    shop: &StoreConnection,
    name: Option<&str>,
    store: Option<StoreId>,
) -> db::Result<Result<Option<StoreId>, String>> {
    let identity = name.and_then(|name| identity::shop_by_name(shop, name)).or_else(|| identity::shop(shop));
    if let Some(id) = store {
        let store = t.store(id)?;
        let known = [store.shop.clone(), shop_of(&store)];
        let is_another = identity.is_some() && known.iter().any(Option::is_some) && !known.contains(&identity);
        return Ok(if is_another { Err(store.name) } else { Ok(Some(id)) });
    }
    let is_same = |other: &Store| identity.is_some() && (other.shop == identity || shop_of(other) == identity);
    let other = t.stores(None, MAX_STORES)?.into_iter().find(is_same);
    Ok(Ok(other.filter(|other| other.needs_reauthorisation).map(|other| other.id)))
}

/// Another store of the seller's that is this shop, by what a check has found or by its settings.
fn other_store_of(t: &mut Tenant<'_>, store: &Store, shop: Option<&String>) -> db::Result<Option<Store>> {
    let Some(shop) = shop else { return Ok(None) };
    let is_same = |other: &Store| other.id != store.id && (other.shop.as_ref() == Some(shop) || shop_of(other).as_ref() == Some(shop));
    Ok(t.stores(None, MAX_STORES)?.into_iter().find(is_same))
}

fn connected_as(other: &Store) -> String {
    format!(
        "this shop is already connected as the store {}; a shop is connected only once, because otherwise every change would reach it twice",
        other.name
    )
}
