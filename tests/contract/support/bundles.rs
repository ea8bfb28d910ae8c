//! Bundles of sellers.
use super::Seller;
use stocktide::domain::bundling::EnteredComponent;
use stocktide::domain::{RunId, Sku};
use stocktide::service::bundles::{self, BundleView};
use stocktide::service::{Error, skus};

impl Seller<'_> {
    /// Makes a SKU, which is created if there is none, this bundle.
    pub async fn bundles(&self, sku: &str, components: &[(&str, i64)]) -> BundleView {
        self.tries_to_bundle(sku, components).await.unwrap()
    }

    pub async fn tries_to_bundle(&self, sku: &str, components: &[(&str, i64)]) -> Result<BundleView, Error> {
        let entered: Vec<EnteredComponent> =
            components.iter().map(|(sku, quantity)| EnteredComponent { sku: (*sku).to_owned(), quantity: *quantity }).collect();
        let (service, sku) = (self.world.service(), Sku::parse(sku).unwrap());
        skus::save(&service, &self.caller(), vec![(sku.clone(), None)]).await.unwrap();
        bundles::save(&service, &self.caller(), sku, &entered).await
    }

    /// Makes a bundle a SKU like any other.
    pub async fn unbundles(&self, sku: &str) -> Option<RunId> {
        bundles::delete(&self.world.service(), &self.caller(), Sku::parse(sku).unwrap()).await.unwrap()
    }
}
