//! What a store's actor works with: the store's row, the seller's settings, and how the store is reached.
use crate::db::sealing::Sealer;
use crate::db::stores::Store;
use crate::domain::SellerId;
use crate::domain::settings::SyncSettings;
use crate::platforms::call::StoreConnection;
use crate::service::connection::connection;
use crate::service::delivery::Reach;

/// The configuration of a store's actor.
pub struct StoreConfig {
    pub(super) store: Store,
    pub(super) settings: SyncSettings,
    /// How the store is reached, or why it cannot be.
    pub(super) reach: Result<Reach, String>,
}

impl PartialEq for StoreConfig {
    fn eq(&self, other: &Self) -> bool {
        self.store == other.store && self.settings == other.settings
    }
}

impl StoreConfig {
    /// Built from rows. A store that cannot be reached is logged here, once per configuration; nothing is sent to it.
    pub fn new(seller: SellerId, store: Store, settings: SyncSettings, sealer: &Sealer) -> Self {
        let reach = connection(seller, &store, sealer).map_err(|error| error.to_string()).and_then(Reach::new);
        if let Err(reason) = &reach {
            tracing::error!(reason, seller.id = %seller, store.id = %store.id, "a store cannot be reached; nothing is sent to it");
        }
        Self { store, settings, reach }
    }

    pub(super) fn with_connection(&self, connection: &StoreConnection) -> Self {
        Self { store: self.store.clone(), settings: self.settings.clone(), reach: Reach::new(connection.clone()) }
    }
}
