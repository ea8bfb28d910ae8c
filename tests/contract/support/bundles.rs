//! Bundles of sellers.
use super::Seller;
use stocktide::domain::bundle::checks::EnteredComponent;
use stocktide::domain::{RunId, Sku};
use stocktide::service::Error;
use stocktide::service::bundles::{self, BundleView};

impl Seller<'_> {
    /// Makes a SKU this bundle.
    pub async fn bundles(&self, sku: &str, components: &[(&str, i64)]) -> BundleView {
        self.tries_to_bundle(sku, components).await.unwrap()
    }

    pub async fn tries_to_bundle(&self, sku: &str, components: &[(&str, i64)]) -> Result<BundleView, Error> {
        let entered: Vec<EnteredComponent> =
            components.iter().map(|(sku, quantity)| EnteredComponent { sku: (*sku).to_owned(), quantity: *quantity }).collect();
        let saved = bundles::save(&self.world.service(), &self.caller(), Sku::parse(sku).unwrap(), &entered).await;
        saved.map(|(view, _)| view)
    }

    /// Makes a bundle a SKU like any other.
    pub async fn unbundles(&self, sku: &str) -> Option<RunId> {
        bundles::delete(&self.world.service(), &self.caller(), Sku::parse(sku).unwrap()).await.unwrap()
    }
}
