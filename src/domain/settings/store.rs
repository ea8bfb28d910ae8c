//! What a store itself says about its stock.
use crate::domain::allocation::Share;
use crate::domain::falls::{Falls, Restocks};
use crate::domain::{StoreId, WarehouseCode};

/// The allocation settings of a store itself.
#[derive(Debug, Clone, PartialEq)]
pub struct StoreRules {
    /// The store these apply to.
    pub store_id: StoreId,
    /// The store's share; rules may override it.
    pub share: Option<Share>,
    /// If false, nothing is pushed to this store, whatever the rules say.
    pub sync_enabled: bool,
    /// The warehouses that feed the store; all if `None`.
    pub warehouses: Option<Vec<WarehouseCode>>,
    /// Whether some of its listings may be more than one unit of their SKU.
    pub has_multiples: bool,
    /// For which reasons falls are pushed to it.
    pub falls: Falls,
    /// What it puts back on sale by itself.
    pub restocks: Restocks,
    /// Whether several of its listings may show the same SKU.
    pub repeats_skus: bool,
}
