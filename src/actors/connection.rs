//! A store's row as its connector knows it: settings read, credentials opened. Used by the store actors and to check
//! a store on request.
use crate::db::sealing::{SealError, Sealer};
use crate::db::stores::Store;
use crate::domain::SellerId;
use crate::platforms::call::StoreConnection;
use std::collections::BTreeMap;

/// Why a store's row does not make a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// Its credentials do not open.
    #[error(transparent)]
    Sealed(#[from] SealError),
    /// What is in the row is not what was written there.
    #[error("the store's {0} cannot be read")]
    Unreadable(&'static str),
}

/// How this store is reached.
///
/// # Errors
/// The credentials do not open, or the row cannot be read.
pub fn connection(seller: SellerId, store: &Store, sealer: &Sealer) -> Result<StoreConnection, ConnectionError> {
    let config = serde_json::from_str(&store.config).map_err(|_| ConnectionError::Unreadable("settings"))?;
    let credentials: BTreeMap<String, String> = match &store.credentials {
        None => BTreeMap::new(),
        Some(sealed) => {
            let plain = sealer.open(seller, store.id, sealed)?;
            serde_json::from_slice(&plain).map_err(|_| ConnectionError::Unreadable("credentials"))?
        }
    };
    Ok(StoreConnection {
        store_id: store.id,
        platform: store.platform.clone(),
        base_url: store.base_url.clone(),
        config,
        credentials: credentials.into_iter().map(|(name, secret)| (name, secret.into())).collect(),
    })
}
