//! Loads everything that determines the targets of a seller's listings: see [`SellerRules`].
use super::{Result, Tenant};
use crate::domain::limits::MAX_STORES;
use crate::domain::targets::SellerRules;

impl Tenant<'_> {
    /// The seller's settings, stores and general rules, with the rules of these SKUs.
    pub(super) fn seller_rules(&mut self, skus: &[String]) -> Result<SellerRules> {
        let settings = self.sync_settings()?;
        let stores = self.stores(None, MAX_STORES)?;
        let rules = self.rules_of(skus)?;
        Ok(SellerRules::new(settings, stores.iter().map(|store| (store.rules(), store.hold())), rules))
    }
}
