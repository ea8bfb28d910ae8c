//! The shop that a store is: connected once by a seller, however it is entered.
use super::connection::Credentials;
use crate::db::stores::Store;
use crate::db::{self, Error, Tenant};
use crate::domain::limits::MAX_STORES;
use crate::platforms::call::StoreConnection;
use crate::platforms::identity;

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

/// Refuses a store that is the same shop as another one of the seller's: each of its sales and increases would count twice.
/// Stores of former versions have no `shop`, so all of them are compared.
pub(super) fn check_shop_is_new(t: &mut Tenant<'_>, store: &Store) -> db::Result<()> {
    let Some(shop) = shop_of(store) else { return Ok(()) };
    let others = t.stores(None, MAX_STORES)?;
    match others.iter().find(|other| other.id != store.id && shop_of(other).as_ref() == Some(&shop)) {
        None => Ok(()),
        Some(other) => Err(Error::Conflict(format!(
            "this shop is already connected as the store {}; a shop is connected only once, because otherwise every change would reach it twice",
            other.name
        ))),
    }
}
