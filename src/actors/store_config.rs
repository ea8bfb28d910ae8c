//! What a store's actor works with: the store's row, the seller's settings, and how the store is reached.
use crate::db::sealing::Sealer;
use crate::db::stores::Store;
use crate::domain::SellerId;
use crate::domain::settings::SyncSettings;
use crate::platforms::call::StoreConnection;
use crate::service::connection::connection;
use crate::service::delivery::Reach;
use std::sync::Arc;

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

    /// The configuration after a claim that began with `from` and has perhaps renewed the store's tokens. If another
    /// configuration has come in the meantime, the claim's connection may be older than that: it is not used, and the next
    /// claim finds the new tokens in the row.
    pub(super) fn after_claim(current: &Arc<Self>, from: &Arc<Self>, renewed: Option<&StoreConnection>) -> Arc<Self> {
        match renewed {
            Some(connection) if Arc::ptr_eq(current, from) => {
                let (store, settings) = (current.store.clone(), current.settings.clone());
                Arc::new(Self { store, settings, reach: Reach::new(connection.clone()) })
            }
            _ => Arc::clone(current),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pause::Above;
    use crate::domain::{StoreId, Timestamp};
    use uuid::Uuid;

    fn config(base_url: &str) -> Arc<StoreConfig> {
        let store = Store {
            id: StoreId(Uuid::nil()),
            name: "shop".to_owned(),
            platform: "simulated".to_owned(),
            base_url: Some(base_url.to_owned()),
            config: "{}".to_owned(),
            credentials: None,
            warehouses: None,
            share: None,
            sync_enabled: true,
            paused: false,
            needs_reauthorisation: false,
            problem: None,
            probe_at: None,
            last_success_at: None,
            created_at: Timestamp::default(),
            updated_at: Timestamp::default(),
            shop: None,
            write_refused: false,
            protect_unseen_sales: true,
            unseen_sales_hours: 72,
            sales_named_at: None,
            has_multiples: false,
            repeats_skus: false,
            above: Above::default(),
            resumes_at: None,
            rehearsal: false,
            falls: Default::default(),
            restocks: Default::default(),
        };
        let sealer = Sealer::from_base64("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=").unwrap();
        let settings = SyncSettings::new(chrono_tz::UTC, Timestamp::default());
        Arc::new(StoreConfig::new(SellerId(Uuid::nil()), store, settings, &sealer))
    }

    fn address(config: &StoreConfig) -> Option<&str> {
        config.reach.as_ref().unwrap().connection.base_url.as_deref()
    }

    #[test]
    fn tokens_renewed_by_a_claim_do_not_bring_back_settings_that_have_changed_meanwhile() {
        let (old, new) = (config("http://old"), config("http://new"));
        let renewed = StoreConnection { base_url: Some("http://renewed".to_owned()), ..old.reach.as_ref().unwrap().connection.clone() };
        assert_eq!(address(&StoreConfig::after_claim(&old, &old, Some(&renewed))), Some("http://renewed"));
        assert_eq!(address(&StoreConfig::after_claim(&new, &old, Some(&renewed))), Some("http://new"));
        assert_eq!(address(&StoreConfig::after_claim(&new, &new, None)), Some("http://new"));
    }
}
